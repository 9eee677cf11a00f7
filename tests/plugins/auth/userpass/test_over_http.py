"""People at a real server: what an audit log keeps, what a lockout tells, what a flood gets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.core.system.conftest import Api


@pytest.fixture
def api(broker_dev) -> Iterator[Api]:
    made = Api(broker_dev)
    made.done("POST", "sys/auth/people", {"type": "userpass"})
    yield made
    made.done("DELETE", "sys/auth/people")
    made.close()


def attempt(api, name, password):
    return api.ask("POST", f"auth/people/login/{name}", {"password": password}, token="")


def told(reply):
    return (
        reply.status,
        reply.raw,
        {k: v for k, v in reply.headers.items() if k not in ("date", "x-request-id")},
    )


def test_known_and_unknown_names_are_told_apart_by_nothing_even_when_locked_out(api):
    api.done("POST", "auth/people/users/ann", {"password": "good"})
    known = [told(attempt(api, "ann", "bad")) for _ in range(7)]
    unknown = [told(attempt(api, "eve", "bad")) for _ in range(7)]
    assert known == unknown
    assert [status for status, _, _ in known] == [400] * 5 + [403] * 2
    assert attempt(api, "ann", "good").status == 403


def test_failures_at_different_workers_add_up(api):
    api.done("POST", "auth/people/users/ann", {"password": "good"})

    def one(_):
        mine = Api(api.server)
        status = attempt(mine, "ann", "bad").status
        mine.close()
        return status

    with ThreadPoolExecutor(8) as pool:
        found = Counter(pool.map(one, range(24)))
    assert found[200] == 0
    assert attempt(api, "ann", "good").status == 403


def test_a_lockout_is_only_its_namespaces(api):
    api.done("POST", "sys/namespaces/team")
    for where in ("", "team"):
        if where:
            api.done("POST", "sys/auth/people", {"type": "userpass"}, namespace=where)
        api.done("POST", "auth/people/users/ann", {"password": "good"}, namespace=where)
    for _ in range(6):
        api.ask("POST", "auth/people/login/ann", {"password": "bad"}, token="", namespace="team")
    assert attempt(api, "ann", "good").status == 200
    everywhere = api.data("GET", "sys/locked-users")
    assert [(one["namespace_path"], one["counts"]) for one in everywhere["by_namespace"]] == [
        ("", 0),
        ("team/", 1),
    ]
    assert api.data("GET", "sys/locked-users", namespace="team")["total"] == 1
    api.done("DELETE", "sys/namespaces/team")


def test_a_wrong_password_is_no_text_of_an_answer(api):
    secret = "hunter2-" * 8
    api.done("POST", "auth/people/users/ann", {"password": "good"})
    for body in ({"password": secret}, {"password": [secret]}, {"password": {secret: 1}}):
        reply = api.ask("POST", "auth/people/login/ann", body, token="")
        assert (reply.status, secret.encode() in reply.raw) == (400, False)
