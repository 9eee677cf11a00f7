"""Nobody becomes root, or somebody else's tenant, by spelling."""

from __future__ import annotations

import json
import re

import pytest

ROOTS = [
    "root",
    "ROOT",
    "Root",
    " root",
    "root ",
    "root\n",
    "root\t",
    "root\u00a0",
    "root\u200b",
    "root\u0000",
    "\uff52\uff4f\uff4f\uff54",
    "ro\u043et",
    "\u212aroot",
    "root,",
    ",root",
    "root/",
    "./root",
    "default,root",
    "rOOt\r\n",
]


def powerless(node, token: str) -> bool:
    """Whether a token may not do what needs root."""
    return node.call("GET", "sys/mounts", token=token).status == 403


@pytest.fixture(scope="module")
def maker(node):
    """A token that may create tokens, with and without sudo, but is not root."""
    for name, extra in (("maker", ""), ("sudomaker", ', "sudo"')):
        node.policy(name, f'path "auth/token/*" {{ capabilities = ["create", "update"{extra}] }}')
    return {name: node.mint(name, "default") for name in ("maker", "sudomaker")}


@pytest.mark.parametrize("name", ROOTS, ids=ascii)
@pytest.mark.parametrize("who", ["maker", "sudomaker"])
def test_no_spelling_of_root_mints_a_root_token(node, maker, who, name):
    for policies in ([name], ["default", name], name, f"default,{name}"):
        for path in ("auth/token/create", "auth/token/create-orphan"):
            reply = node.call("POST", path, {"policies": policies}, token=maker[who])
            if reply.status == 200:
                auth = reply.body["auth"]
                assert "root" not in auth["policies"] + auth["token_policies"], reply
                assert powerless(node, auth["client_token"])
            else:
                assert reply.status in (400, 403), reply


@pytest.mark.parametrize("name", ROOTS, ids=ascii)
def test_no_policy_is_written_under_a_spelling_of_root(node, name):
    quoted = "".join(f"%{byte:02x}" for byte in name.encode())
    body = {"policy": 'path "sys/mounts" { capabilities = ["read"] }'}
    for path in (f"sys/policies/acl/{quoted}", f"sys/policy/{quoted}"):
        reply = node.call("PUT", path, body)
        assert reply.status == 400, reply
        assert node.call("DELETE", path).status == 400
    assert "root" not in node.ok("GET", "sys/policies/acl/root").data["policy"]


def test_names_of_policies_are_compared_in_one_case(node, fresh):
    node.policy(fresh.upper(), f'path "{fresh}/a" {{ capabilities = ["read"] }}')
    assert fresh in node.ok("LIST", "sys/policies/acl").data["keys"]
    assert node.ok("POST", "auth/token/create", {"policies": [f" {fresh.title()} "]}).body["auth"][
        "policies"
    ] == ["default", fresh]


def test_the_default_policy_may_change_but_not_go(node):
    assert node.call("DELETE", "sys/policies/acl/default").status == 400
    assert node.call("DELETE", "sys/policies/acl/DEFAULT").status == 400
    text = node.ok("GET", "sys/policies/acl/default").data["policy"]
    node.ok("PUT", "sys/policies/acl/default", {"policy": text})


def test_without_a_policy_a_token_may_do_nothing(node, fresh):
    """Deny by default: an unknown policy grants nothing, and neither does an empty one's absence."""
    token = node.mint(f"{fresh}-unknown")
    for method, path in (
        ("GET", "sys/mounts"),
        ("GET", "cubbyhole/a"),
        ("GET", "auth/token/lookup-self"),
        ("PUT", "sys/seal"),
        ("LIST", "sys/namespaces"),
        ("GET", "nowhere"),
    ):
        assert node.call(method, path, token=token).status == 403, path


SUDO = [
    ("PUT", "sys/seal", None),
    ("PUT", "sys/step-down", None),
    ("GET", "sys/audit", None),
    ("PUT", "sys/audit/new", {"type": "file", "options": {"file_path": "/tmp/x"}}),
    ("DELETE", "sys/audit/main", None),
    ("PUT", "sys/rotate", None),
    ("POST", "sys/remount", {"from": "a", "to": "b"}),
    ("LIST", "auth/token/accessors", None),
    ("POST", "auth/token/create", {"no_parent": True}),
    ("POST", "auth/token/create", {"period": "1h"}),
    ("POST", "auth/token/create", {"id": "chosen-by-me"}),
    ("POST", "auth/token/revoke-orphan", {"token": "x"}),
]


@pytest.mark.parametrize(
    ("method", "path", "body"), SUDO, ids=lambda value: value if isinstance(value, str) else ""
)
def test_root_protected_paths_need_sudo_besides_everything_else(node, fresh, method, path, body):
    node.policy(
        "everything",
        'path "*" { capabilities = ["create", "read", "update", "patch", "delete", "list", "scan"] }',
    )
    token = node.mint("everything", "default")
    reply = node.call(method, path, body, token=token)
    assert reply.status in (400, 403), reply
    assert reply.status == 403 or "sudo" in reply.raw.decode() or "root" in reply.raw.decode(), reply
    assert node.ok("GET", "sys/seal-status", token="").body["sealed"] is False


def test_ceremonies_are_not_open_to_strangers(node):
    for method, path in (
        ("PUT", "sys/generate-root/attempt"),
        ("DELETE", "sys/generate-root/attempt"),
        ("PUT", "sys/rekey/init"),
        ("DELETE", "sys/rekey/init"),
        ("GET", "sys/rekey/backup"),
        ("PUT", "sys/rotate"),
        ("GET", "sys/key-status"),
        ("PUT", "sys/seal"),
        ("GET", "sys/audit"),
        ("GET", "sys/metrics"),
        ("GET", "sys/host-info"),
        ("GET", "sys/in-flight-req"),
        ("GET", "sys/pprof/"),
        ("GET", "sys/config/state/sanitized"),
        ("GET", "sys/internal/specs/openapi"),
    ):
        reply = node.call(method, path, {} if method == "PUT" else None, token="")
        assert reply.status in (400, 403, 404, 405), f"{method} {path}: {reply}"
        assert not (reply.status == 400 and "sys/generate" not in path and "rekey" not in path), (
            f"{method} {path}: {reply}"
        )


OPEN = {
    "sys/health",
    "sys/seal-status",
    "sys/leader",
    "sys/init",
    "sys/unseal",
    "sys/internal/ui/mounts",
    "sys/internal/ui/mounts/{path}",
    "sys/wrapping/lookup",
    "sys/wrapping/unwrap",
    "sys/internal/ui/resultant-acl",
    "sys/internal/ui/namespaces",
    "identity/oidc/.well-known/keys",
    "identity/oidc/.well-known/openid-configuration",
}


LOGINS = re.compile(r"auth/[^/]+/(login|login/\{[a-z]+\}|oidc/auth_url|oidc/callback|oidc/poll)")
"""Where a token is to be had, at mounts of whatever name; which rows these are is checked with the path tables."""


def test_the_list_of_paths_without_a_token_is_complete(node):
    """Walk the document: whatever is not on the list is refused without a token, whatever the verb."""
    document = node.ok("GET", "sys/internal/specs/openapi").body
    opened: dict[str, str] = {}
    for template in document["paths"]:
        path = template.lstrip("/")
        name = path.replace("{", "").replace("}", "").replace("kv_mount_path", "secret")
        for method in ("GET", "POST", "DELETE", "LIST", "PATCH"):
            raw = json.dumps({}).encode() if method in ("POST", "PATCH") else None
            kind = [("Content-Type", "application/merge-patch+json")] if method == "PATCH" else []
            if method == "POST" and path in ("sys/init", "sys/unseal"):
                continue
            reply = node.call(method, name, raw=raw, token="", headers=kind)
            if reply.status not in (403, 404, 405):
                opened[path] = f"{method}: {reply}"
    assert {
        path: reply for path, reply in opened.items() if path not in OPEN and not LOGINS.fullmatch(path)
    } == {}


RESERVED = [
    "root",
    "ROOT",
    "Root",
    ".",
    "..",
    "sys",
    "SYS",
    "auth",
    "audit",
    "cubbyhole",
    "identity",
    "Identity",
]
BAD = [
    "a b",
    "a%20b",
    "a%2fb",
    "x" * 300,
    "e\u0301",
    "\u00e9",
    "a\u200b",
    ".a",
    "*",
    "+",
    "a,b",
    "%00",
    "a%0a",
    "\u212a",
    "\uff52\uff4f\uff4f\uff54",
    "-%2f..",
    "a:b",
]


@pytest.mark.parametrize("name", RESERVED + BAD, ids=ascii)
def test_reserved_and_odd_names_make_no_namespace(node, name):
    quoted = "".join(
        char
        if char.isascii() and char.isprintable() and char != " "
        else "".join(f"%{byte:02x}" for byte in char.encode())
        for char in name
    )
    reply = node.call("PUT", f"sys/namespaces/{quoted}")
    assert reply.status == 400 and reply.errors[0], reply
    for method in ("GET", "DELETE", "PATCH"):
        again = node.call(
            method,
            f"sys/namespaces/{quoted}",
            raw=b"{}" if method == "PATCH" else None,
            headers=[("Content-Type", "application/merge-patch+json")] if method == "PATCH" else (),
        )
        assert again.status in (200, 400, 404), again
        assert again.status != 200 or again.data is None
    assert node.ok("GET", "sys/mounts").data["sys/"]["type"] == "system"


def test_a_namespace_cannot_take_a_mounts_name_nor_a_mount_a_namespaces(node, fresh):
    node.kv(fresh)
    assert node.call("PUT", f"sys/namespaces/{fresh}").status == 400
    node.ok("PUT", f"sys/namespaces/{fresh}-ns")
    reply = node.call("POST", f"sys/mounts/{fresh}-ns", {"type": "kv"})
    assert reply.status == 400, reply
    reply = node.call("POST", f"sys/mounts/{fresh}-ns/deeper", {"type": "kv"})
    assert reply.status == 400, reply


@pytest.mark.parametrize(
    "path",
    [
        "sys",
        "sys/x",
        "auth",
        "auth/x",
        "cubbyhole",
        "cubbyhole/x",
        "../x",
        "a/../b",
        "a//b",
        "a%20b/%00",
        "%2e%2e",
    ],
)
def test_mounts_take_no_reserved_or_relative_path(node, path):
    reply = node.call("POST", f"sys/mounts/{path}", {"type": "kv"})
    assert reply.status == 400 and reply.errors[0], reply
