"""Mounts: what may stand where, what may be tuned, and that the built-in ones stay as they are."""

from __future__ import annotations

import pytest

from tests.core.system.conftest import Api

SETTINGS = [
    {"description": "mine"},
    {"max_lease_ttl": "5h"},
    {"default_lease_ttl": "5h"},
    {"listing_visibility": "unauth"},
    {"passthrough_request_headers": ["X-Vault-Token"]},
    {"allowed_response_headers": ["Set-Cookie"]},
    {"options": {"version": "2"}},
]


@pytest.mark.parametrize("mount", ["sys", "cubbyhole"])
@pytest.mark.parametrize("wanted", SETTINGS, ids=str)
def test_built_in_mounts_keep_their_settings(api: Api, mount: str, wanted: dict[str, object]):
    before = api.data("GET", f"sys/mounts/{mount}")
    reply = api.ask("POST", f"sys/mounts/{mount}/tune", wanted)
    (name,) = wanted
    assert (reply.status, reply.body["errors"]) == (400, [f"cannot tune parameter {name} of {mount}/"])
    assert api.data("GET", f"sys/mounts/{mount}") == before


@pytest.mark.parametrize(
    "mount", ["mounts/sys", "mounts/cubbyhole", "mounts/cubbyhole/", "mounts/sys/x", "auth/token"]
)
def test_built_in_mounts_are_not_disabled(api: Api, mount: str):
    assert api.ask("DELETE", f"sys/{mount}").status == 400
    assert api.ask("GET", "cubbyhole/x").status == 404
    assert api.ask("GET", "auth/token/lookup-self").status == 200


@pytest.mark.parametrize(
    "path",
    [
        "sys",
        "sys/x",
        "cubbyhole",
        "cubbyhole/x",
        "auth",
        "auth/x",
        "identity/x",
        "audit",
        "a%0a",
        "x" * 300,
        "secret",
        "secret/x",
    ],
)
def test_a_mount_stands_only_where_nothing_else_does(api: Api, path: str):
    before = api.data("GET", "sys/mounts")
    assert api.ask("POST", f"sys/mounts/{path}", {"type": "kv"}).status == 400
    assert api.data("GET", "sys/mounts") == before


@pytest.mark.parametrize(
    "to", ["../x", "a/../../sys/x", "./x", "a//b", "sys/x", "cubbyhole", "auth/x", "secret", "secret/below"]
)
def test_a_mount_moves_only_to_where_it_could_be_made(api: Api, to: str):
    api.done("POST", "sys/mounts/moving", {"type": "kv"})
    try:
        assert api.ask("POST", "sys/remount", {"from": "moving", "to": to}).status == 400
        assert api.data("GET", "sys/mounts/moving")["type"] == "kv"
    finally:
        api.done("DELETE", "sys/mounts/moving")


def test_a_moved_mount_takes_its_data_along_and_frees_its_path(api: Api):
    api.done("POST", "sys/mounts/here", {"type": "kv"})
    api.done("POST", "here/a", {"v": "1"})
    api.data("POST", "sys/remount", {"from": "here", "to": "there"})
    assert api.data("GET", "there/a") == {"v": "1"}
    assert api.ask("GET", "here/a").status == 404
    api.done("DELETE", "sys/mounts/there")
    api.done("POST", "sys/mounts/there", {"type": "kv"})
    assert api.ask("GET", "there/a").status == 404
    api.done("DELETE", "sys/mounts/there")


def test_logins_of_a_moved_method_end_and_those_at_its_new_path_end_with_it(api: Api):
    api.done("POST", "sys/auth/here", {"type": "userpass"})
    api.done("POST", "auth/here/users/ann", {"password": "correct horse"})

    def login(path: str) -> str:
        reply = api.ask("POST", f"auth/{path}/login/ann", {"password": "correct horse"}, token=None)
        return reply.body["auth"]["client_token"]

    def status(token: str) -> int:
        return api.ask("GET", "auth/token/lookup-self", token=token).status

    before = login("here")
    assert status(before) == 200
    api.data("POST", "sys/remount", {"from": "auth/here", "to": "auth/there"})
    assert status(before) == 403
    assert api.ask("LIST", "sys/leases/lookup/auth/here/login/").status == 404
    after = login("there")
    assert api.ask("POST", "auth/token/renew-self", {}, token=after).status == 200
    api.done("POST", "sys/auth/here", {"type": "userpass"})
    api.done("DELETE", "sys/auth/here")
    assert status(after) == 200
    api.done("DELETE", "sys/auth/there")
    assert status(after) == 403


@pytest.mark.parametrize(
    ("given", "shown"),
    [({"default_lease_ttl": "30m"}, 1800), ({"default_lease_ttl": 60}, 60), ({"default_lease_ttl": ""}, 900)],
    ids=str,
)
def test_system_and_empty_lifetimes_are_not_zero_lifetimes(api: Api, given: dict[str, object], shown: int):
    api.done("POST", "sys/mounts/tuned", {"type": "kv", "config": {"default_lease_ttl": "15m"}})
    try:
        api.done("POST", "sys/mounts/tuned/tune", given)
        assert api.data("GET", "sys/mounts/tuned/tune")["default_lease_ttl"] == shown
        api.done("POST", "sys/mounts/tuned/tune", {"default_lease_ttl": "system"})
        assert api.data("GET", "sys/mounts/tuned/tune")["default_lease_ttl"] == 768 * 3600
        assert api.data("GET", "sys/mounts/tuned")["config"]["default_lease_ttl"] == 0
    finally:
        api.done("DELETE", "sys/mounts/tuned")


@pytest.mark.parametrize("value", ["soon", -1, "-1s", [], {}, True, "99999999999h"], ids=str)
@pytest.mark.parametrize("field", ["default_lease_ttl", "max_lease_ttl"])
def test_a_lifetime_that_means_nothing_is_refused_by_enable_and_tune(api: Api, field: str, value: object):
    assert api.ask("POST", "sys/mounts/never", {"type": "kv", "config": {field: value}}).status == 400
    assert api.ask("GET", "sys/mounts/never").status == 400
    assert api.ask("POST", "sys/mounts/secret/tune", {field: value}).status == 400


def test_the_lifetimes_of_auth_token_bound_the_tokens_made_there(api: Api):
    api.done("POST", "sys/auth/token/tune", {"default_lease_ttl": "1h", "max_lease_ttl": "2h"})
    try:
        made = api.ask("POST", "auth/token/create", {"policies": ["default"]}).body["auth"]
        assert made["lease_duration"] == 3600
        long = api.ask("POST", "auth/token/create", {"policies": ["default"], "ttl": "9h"}).body
        assert long["auth"]["lease_duration"] == 7200
        assert len(long["warnings"]) == 1
        token = made["client_token"]
        renewed = api.ask("POST", "auth/token/renew-self", {"increment": "9h"}, token=token).body["auth"]
        assert renewed["lease_duration"] <= 7200
    finally:
        api.done("POST", "sys/auth/token/tune", {"default_lease_ttl": "system", "max_lease_ttl": "system"})


def test_tokens_of_the_token_method_are_of_its_own_type(api: Api):
    assert api.ask("POST", "sys/auth/token/tune", {"token_type": "batch"}).status == 400
    assert api.data("GET", "sys/auth/token")["config"]["token_type"] == "default-service"
