"""Keys at a real server: tokens that die, races, and what audit devices see."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.core.system.conftest import Api, node  # noqa: F401 - a fixture
from tests.invariants.node import eventually


@pytest.fixture
def api(broker_dev) -> Iterator[Api]:
    made = Api(broker_dev)
    made.ask("POST", "sys/auth/apikey", {"type": "apikey"})
    yield made
    for path in ("apikey", "apikey2"):
        made.done("DELETE", f"sys/auth/{path}")
    made.close()


def test_a_key_opens_what_its_policies_say(api):
    made = api.data("POST", "auth/apikey/keys", {"name": "web", "token_ttl": "5m"})
    reply = api.ask("POST", "auth/apikey/login", {"api_key": made["api_key"]}, token="")
    auth = reply.body["auth"]
    assert (reply.status, auth["token_policies"], auth["lease_duration"]) == (200, ["default"], 300)
    assert auth["metadata"] == {"key_id": made["id"], "key_name": "web"}
    about = api.data("GET", "auth/token/lookup-self", token=auth["client_token"])
    assert about["display_name"] == "apikey-web"


def test_every_failure_answers_403_in_the_same_bytes(api):
    made = api.data("POST", "auth/apikey/keys", {"name": "web"})
    away = api.data("POST", "auth/apikey/keys", {"name": "web", "token_bound_cidrs": "192.0.2.0/24"})
    wrong = made["api_key"][:-1] + ("A" if made["api_key"][-1] != "A" else "B")
    unknown = made["api_key"].replace(made["id"], "0" * 16)
    answers = {
        (reply.status, reply.raw)
        for reply in (
            api.ask("POST", "auth/apikey/login", {"api_key": key}, token="")
            for key in (wrong, unknown, "nonsense", "", "bk_é", away["api_key"])
        )
    }
    assert answers == {(403, b'{"errors":["invalid API key"]}\n')}


def logged_in(api, key):
    return api.ask("POST", "auth/apikey/login", {"api_key": key}, token="").body["auth"]["client_token"]


def lives(api, token):
    return api.ask("GET", "auth/token/lookup-self", token=token).status == 200


@pytest.mark.parametrize(("method", "path"), [("POST", "/revoke"), ("DELETE", "")])
def test_tokens_end_with_their_key_at_once(api, method, path):
    made, other = (api.data("POST", "auth/apikey/keys", {"name": "web"}) for _ in range(2))
    tokens = [logged_in(api, made["api_key"]) for _ in range(3)]
    spared = logged_in(api, other["api_key"])
    child = api.ask("POST", "auth/token/create", {}, token=tokens[0])
    assert child.status == 403  # the default policy makes no children
    assert all(lives(api, token) for token in tokens)
    api.done(method, f"auth/apikey/keys/{made['id']}{path}")
    assert not any(lives(api, token) for token in tokens)
    assert lives(api, spared)


def test_an_operator_ends_the_tokens_of_a_key_and_leaves_the_key(api):
    made = api.data("POST", "auth/apikey/keys", {"name": "web"})
    token = logged_in(api, made["api_key"])
    api.done("POST", f"sys/leases/revoke-prefix/auth/apikey/login/{made['id']}")
    eventually(lambda: not lives(api, token))
    assert lives(api, logged_in(api, made["api_key"]))


def test_hundreds_of_tokens_end_with_their_key(api):
    made = api.data("POST", "auth/apikey/keys", {"name": "busy"})
    tokens = [logged_in(api, made["api_key"]) for _ in range(230)]
    api.done("POST", f"auth/apikey/keys/{made['id']}/revoke")
    eventually(lambda: not any(lives(api, token) for token in (tokens[0], tokens[-1], *tokens[::20])))


def test_an_emergency_rotation_ends_the_tokens_of_the_version_before(api):
    made = api.data("POST", "auth/apikey/keys", {"name": "leaked"})
    token = logged_in(api, made["api_key"])
    path = f"auth/apikey/keys/{made['id']}/rotate"
    second = api.data("POST", path, {"grace_period": "1h"})
    assert lives(api, token)
    newer = logged_in(api, second["api_key"])
    api.done("POST", f"auth/apikey/keys/{made['id']}/retire")
    assert (lives(api, token), lives(api, newer)) == (False, True)
    api.done("POST", path, {"grace_period": 0})
    assert not lives(api, newer)


def test_logins_that_race_with_a_revocation_leave_no_token_alive(api):
    for _ in range(5):
        made = api.data("POST", "auth/apikey/keys", {"name": "raced"})

        def one(own, number, made=made):
            if number == 6:
                return own.ask("POST", f"auth/apikey/keys/{made['id']}/revoke", {})
            return own.ask("POST", "auth/apikey/login", {"api_key": made["api_key"]}, token="")

        replies = at_once(api, 16, one)
        tokens = [reply.body["auth"]["client_token"] for reply in replies if reply.status == 200]
        eventually(lambda tokens=tokens: not any(lives(api, token) for token in tokens))


def test_a_token_dies_with_its_key_in_real_seconds(api):
    made = api.data("POST", "auth/apikey/keys", {"name": "brief", "expires_in": "2s"})
    login = api.ask("POST", "auth/apikey/login", {"api_key": made["api_key"]}, token="").body["auth"]
    assert login["lease_duration"] <= 2
    eventually(lambda: api.ask("GET", "auth/token/lookup-self", token=login["client_token"]).status == 403)
    eventually(lambda: api.data("GET", f"auth/apikey/keys/{made['id']}")["state"] == "expired")
    assert api.ask("POST", "auth/apikey/login", {"api_key": made["api_key"]}, token="").status == 403


def at_once(api, count, request):
    def one(number):
        own = Api(api.server)
        try:
            return request(own, number)
        finally:
            own.close()

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(one, range(count)))


def test_of_many_rotations_at_once_only_one_begins_an_overlap(api):
    for _ in range(5):
        made = api.data("POST", "auth/apikey/keys", {"name": "raced"})
        path = f"auth/apikey/keys/{made['id']}/rotate"
        replies = at_once(api, 12, lambda own, _, path=path: own.ask("POST", path, {"grace_period": "1h"}))
        assert sorted(reply.status for reply in replies) == [200] + [400] * 11
        (won,) = (reply.body["data"] for reply in replies if reply.status == 200)
        for key in (made["api_key"], won["api_key"]):
            assert api.ask("POST", "auth/apikey/login", {"api_key": key}, token="").status == 200


def test_of_many_emergencies_at_once_one_key_is_left(api):
    made = api.data("POST", "auth/apikey/keys", {"name": "raced"})
    path = f"auth/apikey/keys/{made['id']}/rotate"
    replies = at_once(api, 12, lambda own, _: own.ask("POST", path, {"grace_period": 0}))
    keys = [made["api_key"], *(reply.body["data"]["api_key"] for reply in replies)]
    good = [
        key for key in keys if api.ask("POST", "auth/apikey/login", {"api_key": key}, token="").status == 200
    ]
    assert len(good) == 1


def test_many_logins_at_once_all_succeed(api):
    made = api.data("POST", "auth/apikey/keys", {"name": "busy"})
    replies = at_once(
        api, 40, lambda own, _: own.ask("POST", "auth/apikey/login", {"api_key": made["api_key"]}, token="")
    )
    assert {reply.status for reply in replies} == {200}


def test_no_key_stands_in_an_audit_record(node, tmp_path):  # noqa: F811
    log = tmp_path / "audit" / "a.log"
    log.parent.mkdir()
    api = node(audit_directory=str(log.parent))
    api.done("PUT", "sys/audit/file", {"type": "file", "options": {"file_path": str(log)}})
    api.done("POST", "sys/auth/apikey", {"type": "apikey"})
    made = api.data("POST", "auth/apikey/keys", {"name": "web"})
    api.ask("POST", "auth/apikey/login", {"api_key": made["api_key"]}, token="")
    api.ask("POST", "auth/apikey/login", {"api_key": made["api_key"] + "x"}, token="")
    rotated = api.data("POST", f"auth/apikey/keys/{made['id']}/rotate", {})
    text = log.read_text()
    assert text.count('"auth/apikey/login"') >= 4
    for key in (made["api_key"], rotated["api_key"]):
        assert key.rpartition("_")[2] not in text


def test_a_second_mount_takes_no_keys_of_the_first(api):
    api.ask("POST", "sys/auth/apikey2", {"type": "apikey"})
    api.data("POST", "auth/apikey2/keys", {"name": "other"})
    made = api.data("POST", "auth/apikey/keys", {"name": "web"})
    assert api.ask("POST", "auth/apikey2/login", {"api_key": made["api_key"]}, token="").status == 403
