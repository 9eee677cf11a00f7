"""Invariant: nothing crosses a tenant, and a deleted tenant is dead, also under its old name."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.invariants.node import eventually

EVERYTHING = (
    'path "*" { capabilities = ["create", "read", "update", "patch", "delete", "list", "scan", "sudo"] }'
)


@pytest.fixture
def two(node, fresh):
    """Two sibling tenants alike in everything but their values; for each an all-powerful token of its own."""
    tokens = {}
    for name in (f"{fresh}-a", f"{fresh}-b"):
        node.ok("PUT", f"sys/namespaces/{name}")
        node.kv("secret", namespace=name)
        node.ok("POST", "secret/data/x", {"data": {"of": name}}, namespace=name)
        node.policy("all", EVERYTHING, namespace=name)
        tokens[name] = node.mint("all", namespace=name)
        node.ok("POST", "cubbyhole/x", {"of": name}, token=tokens[name], namespace=name)
    yield tokens
    for name in tokens:
        node.call("DELETE", f"sys/namespaces/{name}")


ASKED = [
    ("GET", "secret/data/x", None),
    ("GET", "secret/data/unknown", None),
    ("LIST", "secret/metadata", None),
    ("POST", "secret/data/x", {"data": {"of": "a stranger"}}),
    ("DELETE", "secret/metadata/x", None),
    ("GET", "cubbyhole/x", None),
    ("GET", "sys/mounts", None),
    ("GET", "sys/policies/acl/all", None),
    ("PUT", "sys/policies/acl/all", {"policy": EVERYTHING}),
    ("GET", "auth/token/lookup-self", None),
    ("POST", "auth/token/create", {"policies": ["all"]}),
    ("LIST", "auth/token/accessors", None),
    ("POST", "sys/capabilities-self", {"paths": ["secret/data/x"]}),
    ("LIST", "sys/namespaces", None),
    ("PUT", "sys/namespaces/child", {}),
    ("DELETE", "sys/mounts/secret", None),
]


@pytest.mark.parametrize(
    ("method", "path", "body"), ASKED, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_siblings_token_is_as_good_as_an_unknown_one(node, two, method, path, body):
    (here, mine), (there, _) = two.items()
    unknown = mine[: mine.index(".") + 1] + "A" * 24 + mine[mine.rindex(".") :]
    for target, where in ((path, there), (f"{there}/{path}", "")):
        theirs = node.call(method, target, body, token=mine, namespace=where)
        nobodys = node.call(method, target, body, token=unknown, namespace=where)
        assert theirs.status == nobodys.status == 403, theirs
        assert theirs.raw == nobodys.raw and set(theirs.headers) == set(nobodys.headers)
    assert node.ok("GET", "secret/data/x", namespace=there).data["data"] == {"of": there}
    assert node.ok("GET", "secret/data/x", token=mine, namespace=here).data["data"] == {"of": here}


def test_a_childs_token_has_no_power_above_and_none_by_relative_names(node, two):
    (here, mine), (there, _) = two.items()
    for namespace in (
        "",
        "root",
        "/",
        f"{here}/..",
        f"{here}/../{there}",
        f"../{there}",
        f"{there}/",
        here.upper(),
    ):
        for path in ("sys/mounts", "secret/data/x", f"../{there}/secret/data/x"):
            reply = node.call("GET", path, token=mine, namespace=namespace)
            assert reply.status in (400, 403, 404), f"{namespace} {path}: {reply}"
            assert there.encode() not in reply.raw


def masked(reply) -> dict:
    return {key: value for key, value in (reply.body or {}).items() if key != "request_id"}


def test_lookups_of_a_neighbours_token_and_accessor_find_nothing(node, two):
    (here, mine), (there, theirs) = two.items()
    accessor = node.ok("GET", "auth/token/lookup-self", token=theirs, namespace=there).data["accessor"]
    for path, body in (
        ("auth/token/lookup", {"token": theirs}),
        ("auth/token/lookup-accessor", {"accessor": accessor}),
        ("auth/token/renew", {"token": theirs}),
        ("auth/token/revoke", {"token": theirs}),
        ("auth/token/revoke-accessor", {"accessor": accessor}),
        ("auth/token/revoke-orphan", {"token": theirs}),
        ("sys/capabilities", {"token": theirs, "paths": ["secret/data/x"]}),
        ("sys/capabilities-accessor", {"accessor": accessor, "paths": ["secret/data/x"]}),
        ("sys/policies/explain", {"token": theirs, "path": "secret/data/x"}),
        ("sys/policies/explain", {"accessor": accessor, "path": "secret/data/x"}),
    ):
        made_up = {
            key: value[:8] + "Z" * (len(value) - 8) if isinstance(value, str) and key != "path" else value
            for key, value in body.items()
        }
        found = node.call("POST", path, body, token=mine, namespace=here)
        unknown = node.call("POST", path, made_up, token=mine, namespace=here)
        assert (found.status, masked(found)) == (unknown.status, masked(unknown)), path
        assert found.status != 200 or found.body.get("data") is None
    node.ok("GET", "auth/token/lookup-self", token=theirs, namespace=there)


def test_policies_mounts_tokens_and_drawers_of_tenants_are_their_own(node, two):
    (here, mine), (there, theirs) = two.items()
    node.policy("all", 'path "nothing" { capabilities = ["deny"] }', namespace=there)
    assert node.call("GET", "secret/data/x", token=theirs, namespace=there).status == 403
    node.ok("GET", "secret/data/x", token=mine, namespace=here)
    node.ok("DELETE", "sys/mounts/secret", namespace=there)
    node.ok("GET", "secret/data/x", token=mine, namespace=here)
    assert node.ok("GET", "cubbyhole/x", token=mine, namespace=here).data == {"of": here}
    accessors = [set(node.ok("LIST", "auth/token/accessors", namespace=name).data["keys"]) for name in two]
    assert not accessors[0] & accessors[1]


def test_the_audit_log_tells_tenants_apart(node, two):
    asked = {
        name: node.ok("GET", "secret/data/x", token=token, namespace=name).body["request_id"]
        for name, token in two.items()
    }
    found = {}
    for line in node.audit_log.read_text().splitlines():
        entry = json.loads(line)
        for name, request in asked.items():
            if entry.get("request", {}).get("id") == request:
                found[name] = (entry["request"]["namespace"]["path"], entry["request"]["path"])
    assert found == {name: (f"{name}/", "secret/data/x") for name in two}


def test_one_tenants_values_are_stored_in_its_own_file_under_its_own_key(node, two):
    files = set()
    for name in two:
        tenant = node.ok("GET", f"sys/namespaces/{name}").data["uuid"]
        file = node.folder / "data" / f"{tenant}.db"
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as base:
            assert base.execute("SELECT count(*) FROM entries WHERE path LIKE 'logical/%'").fetchone()[0] >= 2
        files.add(file)
    assert len(files) == 2


def test_a_parents_token_reaches_its_children_and_no_further(node, fresh):
    for name in (fresh, f"{fresh}-other"):
        node.ok("PUT", f"sys/namespaces/{name}")
    node.ok("PUT", "sys/namespaces/child", namespace=fresh)
    node.kv("secret", namespace=f"{fresh}/child")
    node.ok("POST", "secret/data/x", {"data": {"k": "v"}}, namespace=f"{fresh}/child")
    node.policy("below", 'path "child/secret/data/*" { capabilities = ["read"] }', namespace=fresh)
    token = node.mint("below", namespace=fresh)
    assert node.ok("GET", "secret/data/x", token=token, namespace=f"{fresh}/child").data["data"] == {"k": "v"}
    assert node.ok("GET", f"{fresh}/child/secret/data/x", token=token).data["data"] == {"k": "v"}
    assert (
        node.call("POST", "secret/data/x", {"data": {}}, token=token, namespace=f"{fresh}/child").status
        == 403
    )
    for namespace in ("", f"{fresh}-other"):
        assert node.call("GET", "child/secret/data/x", token=token, namespace=namespace).status in (403, 404)
    assert node.call("DELETE", f"sys/namespaces/{fresh}").status == 400  # not with a child inside
    node.ok("GET", "secret/data/x", token=token, namespace=f"{fresh}/child")


def files_of(node, tenant: str) -> list[Path]:
    return list((node.folder / "data").rglob(f"*{tenant}*"))


def held_files(node) -> list[str]:
    """What the workers have open, as far as /proc tells."""
    links = [link for pid in node.workers() for link in Path(f"/proc/{pid}/fd").glob("*")]
    names = []
    for link in links:
        with suppress(OSError):
            names.append(os.readlink(link))
    return names


def test_a_deleted_tenants_tokens_and_data_stay_dead_under_the_old_name(node, fresh):
    first = node.ok("PUT", f"sys/namespaces/{fresh}").data
    node.kv("secret", namespace=fresh)
    node.ok("POST", "secret/data/x", {"data": {"k": "old"}}, namespace=fresh)
    node.policy("all", EVERYTHING, namespace=fresh)
    old = node.mint("all", namespace=fresh)
    lines = node.spread()
    for line in lines:
        line.ok("GET", "secret/data/x", token=old, namespace=fresh)
    assert files_of(node, first["uuid"])
    node.ok("DELETE", f"sys/namespaces/{fresh}")
    for line in lines:  # each worker had it open, with token, policy and value in its caches
        for token in (old, node.token):
            assert line.call("GET", "secret/data/x", token=token, namespace=fresh).status in (403, 404)
    eventually(lambda: node.call("PUT", f"sys/namespaces/{fresh}").status == 200)
    second = node.ok("GET", f"sys/namespaces/{fresh}").data
    assert second["uuid"] != first["uuid"] and second["id"] != first["id"]
    node.kv("secret", namespace=fresh)
    node.policy("all", EVERYTHING, namespace=fresh)
    for line in lines:
        assert line.call("GET", "secret/data/x", token=old, namespace=fresh).status == 403
        assert line.call("GET", "secret/data/x", namespace=fresh).status == 404
        line.close()
    eventually(lambda: not [file for file in files_of(node, first["uuid"]) if file.stat().st_size])
    eventually(lambda: not [name for name in held_files(node) if first["uuid"] in name])


def test_a_deletion_survives_a_kill_at_once(begin):
    node = begin()
    tenant = node.ok("PUT", "sys/namespaces/gone").data["uuid"]
    node.kv("secret", namespace="gone")
    old = node.mint("default", namespace="gone")
    node.ok("DELETE", "sys/namespaces/gone")
    node.server.kill()
    node.restart()
    assert node.call("GET", "auth/token/lookup-self", token=old, namespace="gone").status in (403, 404)
    assert node.call("GET", "sys/namespaces/gone").status == 404
    eventually(lambda: not [file for file in files_of(node, tenant) if file.stat().st_size])
    node.ok("PUT", "sys/namespaces/gone")
    assert node.call("GET", "secret/data/x", namespace="gone").status == 404
