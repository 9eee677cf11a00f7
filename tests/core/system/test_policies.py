"""Writing policies: what is refused, what check-and-set protects, and how a policy ends."""

from __future__ import annotations

import json
import time

import pytest
from broker_plugins.engines.kv.paths import PATHS as KV2_PATHS

from broker.access.policy.kv2 import FAMILIES
from tests.core.system.conftest import Api
from tests.peer.client import Client, Reply

READ = 'path "a/*" { capabilities = ["read"] }'
OTHER = 'path "b/*" { capabilities = ["read"] }'


def patched(api: Api, name: str, change: dict[str, object]) -> Reply:
    client = Client(api.server.address)
    headers = {"X-Vault-Token": "root", "Content-Type": "application/merge-patch+json"}
    try:
        return client.send("PATCH", f"/v1/sys/policies/acl/{name}", headers, json.dumps(change).encode())
    finally:
        client.close()


@pytest.fixture
def name(api: Api, request: pytest.FixtureRequest):
    made = f"pol-{abs(hash(request.node.nodeid)):x}"
    yield made
    api.done("DELETE", f"sys/policies/acl/{made}")


@pytest.mark.parametrize(
    ("cas", "text"),
    [
        (0, "check-and-set parameter 0 did not match the current version 1"),
        (2, "check-and-set parameter 2 did not match the current version 1"),
        (-1, "check-and-set parameter set to -1 on existing entry"),
    ],
)
def test_a_stale_check_and_set_changes_nothing(api: Api, name: str, cas: int, text: str):
    api.done("PUT", f"sys/policies/acl/{name}", {"policy": READ, "cas": -1})
    reply = api.ask("PUT", f"sys/policies/acl/{name}", {"policy": OTHER, "cas": cas})
    assert (reply.status, reply.body["errors"]) == (400, [text])
    assert api.data("GET", f"sys/policies/acl/{name}")["policy"] == READ
    api.done("PUT", f"sys/policies/acl/{name}", {"policy": OTHER, "cas": 1})
    assert api.data("GET", f"sys/policies/acl/{name}")["version"] == 2


def test_check_and_set_once_demanded_is_demanded_from_that_write_on(api: Api, name: str):
    demand = {"policy": READ, "cas_required": True}
    assert api.ask("PUT", f"sys/policies/acl/{name}", demand).status == 400
    api.done("PUT", f"sys/policies/acl/{name}", {**demand, "cas": 0})
    assert api.ask("PUT", f"sys/policies/acl/{name}", {"policy": OTHER}).status == 400
    assert api.ask("PUT", f"sys/policies/acl/{name}", {"policy": OTHER, "cas_required": False}).status == 400
    api.done("PUT", f"sys/policies/acl/{name}", {"policy": OTHER, "cas": 1, "cas_required": False})
    api.done("PUT", f"sys/policies/acl/{name}", {"policy": READ})


def test_a_patch_changes_what_it_names_and_nothing_else(api: Api, name: str):
    assert patched(api, name, {"policy": READ}).status == 400
    api.done("PUT", f"sys/policies/acl/{name}", {"policy": READ, "ttl": "1h"})
    before = api.data("GET", f"sys/policies/acl/{name}")
    assert patched(api, name, {"cas_required": True}).status == 200
    after = api.data("GET", f"sys/policies/acl/{name}")
    for key in ("policy", "expiration"):
        assert after[key] == before[key]
    assert (after["cas_required"], after["version"]) == (True, 2)
    assert patched(api, name, {"policy": OTHER}).status == 400
    assert patched(api, name, {"policy": "", "cas": 2}).status == 400
    assert patched(api, name, {"policy": "path {", "cas": 2}).status == 400
    assert api.data("GET", f"sys/policies/acl/{name}") == after
    assert patched(api, name, {"policy": OTHER, "cas": 2}).status == 200
    assert api.data("GET", f"sys/policies/acl/{name}")["policy"] == OTHER


@pytest.mark.parametrize("builtin", ["root", "ROOT", "response-wrapping", "missing"])
def test_there_is_no_patching_what_is_not_an_operators(api: Api, builtin: str):
    assert patched(api, builtin, {"policy": READ}).status == 400


@pytest.mark.parametrize(
    "end",
    [
        {"ttl": "0"},
        {"ttl": "-1h"},
        {"expiration": "2020-01-01T00:00:00Z"},
        {"ttl": "1h", "expiration": "2099-01-01T00:00:00Z"},
        {"ttl": "soon"},
        {"expiration": "tomorrow"},
    ],
    ids=str,
)
def test_a_policy_that_would_have_ended_already_is_not_stored(api: Api, end: dict[str, object]):
    assert api.ask("PUT", "sys/policies/acl/ended", {"policy": READ, **end}).status == 400
    assert api.ask("GET", "sys/policies/acl/ended").status == 404


def test_a_policy_grants_nothing_once_it_has_ended(api: Api, name: str):
    api.done(
        "PUT",
        f"sys/policies/acl/{name}",
        {"policy": 'path "secret/*" { capabilities = ["read"] }', "ttl": "1s"},
    )
    token = api.ask("POST", "auth/token/create", {"policies": [name]}).body["auth"]["client_token"]
    ends = time.monotonic() + 20
    while api.ask("GET", "secret/data/nothing", token=token).status != 403:
        assert time.monotonic() < ends
        time.sleep(0.05)
    shown = api.data("POST", "sys/capabilities", {"token": token, "paths": ["secret/data/nothing"]})
    assert shown["capabilities"] == ["deny"]


@pytest.mark.parametrize("builtin", ["root", "Root", "default", "DEFAULT"])
def test_built_in_policies_stay(api: Api, builtin: str):
    before = api.data("GET", "sys/policies/acl/default")
    assert api.ask("DELETE", f"sys/policies/acl/{builtin}").status == 400
    if builtin.lower() == "root":
        assert api.ask("PUT", f"sys/policies/acl/{builtin}", {"policy": READ}).status == 400
    assert api.data("GET", "sys/policies/acl/default") == before


@pytest.mark.parametrize("paths", [[], [""], ["a", ""], "", None, 5, [[]], {}], ids=str)
def test_capabilities_are_asked_of_paths(api: Api, paths: object):
    assert api.ask("POST", "sys/capabilities-self", {"paths": paths}).status == 400


def test_capabilities_of_an_unknown_token_or_accessor_say_no_more_than_that(api: Api):
    for path, body in (
        ("capabilities", {"token": "hvs.unknown"}),
        ("capabilities-accessor", {"accessor": "unknown"}),
    ):
        reply = api.ask("POST", f"sys/{path}", {**body, "paths": ["a"]})
        assert reply.status == 400
        assert "unknown" not in reply.body["errors"][0]


def test_a_rule_without_data_on_a_mount_of_kv_version_2_is_warned_of_and_explained(api: Api, name: str):
    text = 'path "secret/app/*" { capabilities = ["read"] }'
    api.done("PUT", f"sys/mounts/{name}", {"type": "kv", "options": {"version": "1"}})
    try:
        (warning,) = api.ask("PUT", f"sys/policies/acl/{name}", {"policy": text}).body["warnings"]
        assert '"secret/data/app/*" for read' in warning
        api.done("PUT", f"sys/policies/acl/{name}", {"policy": text.replace("secret", name)})
    finally:
        api.done("DELETE", f"sys/mounts/{name}")
    api.ask("PUT", f"sys/policies/acl/{name}", {"policy": text})
    asked = {"policies": [name], "path": "secret/app/db"}
    assert "secret/data/app/db" in api.data("POST", "sys/policies/explain", asked)["notes"][-1]


def test_a_note_tells_nobody_of_a_mount_that_they_do_not_reach(api: Api, name: str):
    text = 'path "sys/policies/explain" { capabilities = ["update"] }'
    api.done("PUT", f"sys/policies/acl/{name}", {"policy": text})
    token = api.ask("POST", "auth/token/create", {"policies": [name]}).body["auth"]["client_token"]
    reply = api.ask("POST", "sys/policies/explain", {"path": "secret/app"}, token=token)
    assert "KV version 2:" not in str(reply.body)


def test_the_linter_knows_every_family_of_paths_of_kv_version_2():
    described = {row.template.partition("/")[0] for row in KV2_PATHS} - {"{path:path}"}
    assert described == FAMILIES
