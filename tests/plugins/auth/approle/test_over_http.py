"""Machines at a real server with several workers: races for one use, locks that strangers turn, sources that lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.core.system.conftest import Api
from tests.invariants.node import eventually


@pytest.fixture
def api(broker_dev) -> Iterator[Api]:
    made = Api(broker_dev)
    made.done("POST", "sys/auth/machines", {"type": "approle"})
    yield made
    made.done("DELETE", "sys/auth/machines")
    made.close()


@pytest.fixture
def role(api):
    api.done("POST", "auth/machines/role/app", {"token_policies": ["a"]})
    return api.data("GET", "auth/machines/role/app/role-id")["role_id"]


def made(api, **body):
    return api.data("POST", "auth/machines/role/app/secret-id", body)["secret_id"]


def race(api, role_id, secret_id, *, count, threads):
    """Log in many times at once, over a connection per thread. Returns how often each status came back."""
    body = {"role_id": role_id, "secret_id": secret_id}

    def some(number):
        mine = Api(api.server)
        found = [mine.ask("POST", "auth/machines/login", body, token="").status for _ in range(number)]
        mine.close()
        return found

    with ThreadPoolExecutor(threads) as pool:
        rounds = pool.map(some, [count // threads] * threads)
    return Counter(status for found in rounds for status in found)


def test_of_a_thousand_logins_with_one_use_one_wins(api, role):
    found = race(api, role, made(api, num_uses=1), count=1000, threads=50)
    assert found[200] == 1
    assert set(found) <= {200, 400, 403}


def test_one_use_is_one_login_in_a_hundred_races(api, role):
    api.done("POST", "sys/auth/machines/tune", {"user_lockout_config": {"lockout_disable": True}})
    for _ in range(100):
        found = race(api, role, made(api, num_uses=1), count=4, threads=4)
        assert found == {200: 1, 400: 3}


def test_several_uses_are_so_many_logins(api, role):
    assert race(api, role, made(api, num_uses=7), count=40, threads=10)[200] == 7


def test_who_knows_only_a_role_id_cannot_keep_its_machine_out(api, role):
    good = made(api)
    bad = {"role_id": role, "secret_id": "guess"}
    statuses = [api.ask("POST", "auth/machines/login", bad, token="").status for _ in range(8)]
    assert statuses == [400] * 5 + [403] * 3
    reply = api.ask("POST", "auth/machines/login", {"role_id": role, "secret_id": good}, token="")
    assert reply.status == 200
    accessor = api.data("GET", "sys/auth/machines")["accessor"]
    api.done("POST", f"sys/locked-users/{accessor}/unlock/{role}")


def test_known_and_unknown_roles_are_told_apart_by_nothing(api, role):
    def answers(role_id):
        body = {"role_id": role_id, "secret_id": "guess"}
        replies = [api.ask("POST", "auth/machines/login", body, token="") for _ in range(7)]
        headers = {"date", "x-request-id"}
        return [(r.status, r.raw, {k: v for k, v in r.headers.items() if k not in headers}) for r in replies]

    assert answers(role) == answers("00000000-0000-0000-0000-000000000000")


def test_a_secret_id_that_expires_takes_its_entries_along_in_real_seconds(api, role):
    made(api, ttl="1s")
    kept = made(api)
    eventually(lambda: len(api.data("LIST", "auth/machines/role/app/secret-id")["keys"]) == 1)
    found = api.ask("POST", "auth/machines/login", {"role_id": role, "secret_id": kept}, token="")
    assert found.status == 200


def test_a_forwarded_address_from_anybody_is_not_where_a_login_comes_from(api, role):
    away = made(api, cidr_list="10.0.0.0/8")
    from tests.peer.client import Client

    client = Client(api.server.address)
    body = f'{{"role_id": "{role}", "secret_id": "{away}"}}'.encode()
    for headers in (
        {"X-Forwarded-For": "10.0.0.1"},
        {"Forwarded": "for=10.0.0.1"},
        {"X-Real-IP": "10.0.0.1"},
    ):
        assert client.send("POST", "/v1/auth/machines/login", headers, body).status == 400
    client.close()
