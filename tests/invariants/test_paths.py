"""Invariant: the policy sees exactly the path that the engine sees, however it is spelt."""

from __future__ import annotations

import json
import re

import pytest

from tests.invariants.node import exchange

VICTIM = "the victim's value"


@pytest.fixture(scope="module")
def ground(node):
    """A mount with a victim, and a token that may do everything beside it: ``(mount, token)``."""
    mount = node.kv("paths")
    node.ok("POST", f"{mount}/data/victim", {"data": {"k": VICTIM}})
    node.ok("POST", f"{mount}/data/deny/x", {"data": {"k": VICTIM}})
    node.ok("POST", f"{mount}/data/mine/a", {"data": {"k": "mine"}})
    everything = '["create", "read", "update", "patch", "delete", "list", "scan"]'
    rules = [
        f'path "{mount}/data/mine/*" {{ capabilities = {everything} }}',
        f'path "{mount}/data/deny*" {{ capabilities = {everything} }}',
        f'path "{mount}/data/deny/*" {{ capabilities = ["deny"] }}',
        'path "sys/policies/acl/mine-*" { capabilities = ["read", "update", "delete"] }',
        'path "sys/mounts/mine/*" { capabilities = ["read", "update", "delete"] }',
    ]
    node.policy("paths", "\n".join(rules))
    return mount, node.mint("paths")


def untouched(node, mount) -> None:
    for name in ("victim", "deny/x"):
        found = node.ok("GET", f"{mount}/data/{name}").data
        assert found["data"] == {"k": VICTIM} and found["metadata"]["version"] == 1
    assert set(node.ok("LIST", f"{mount}/metadata").data["keys"]) == {"deny/", "mine/", "victim"}


METHODS = ("GET", "POST", "PATCH", "DELETE", "LIST", "SCAN")
BODY = json.dumps({"data": {"k": "changed"}}).encode()
MERGE = [("Content-Type", "application/merge-patch+json")]


def every_method(node, path: str, token: str):
    for method in METHODS:
        raw = BODY if method in ("POST", "PATCH") else None
        yield (
            method,
            node.call(method, path, raw=raw, token=token, headers=MERGE if method == "PATCH" else ()),
        )


DOTS = ["..", "%2e%2e", "%2E.", ".%2e", "%2E%2E", ".", "%2e"]


@pytest.mark.parametrize("dots", DOTS)
@pytest.mark.parametrize("slash", ["/", "%2f", "%2F"])
def test_dot_segments_are_refused_in_every_spelling(node, ground, dots, slash):
    mount, token = ground
    for path in (
        f"{mount}/data/mine/{dots}{slash}victim",
        f"{mount}/data/mine{slash}{dots}/victim",
        f"{mount}/data/mine/a{slash}{dots}{slash}{dots}/victim",
        f"{mount}/data/mine/a/{dots}",
        f"{mount}/data/mine/{dots}/",
        f"{mount}/data/mine/{dots}{slash}{dots}{slash}{dots}{slash}sys/mounts",
        f"sys/policies/acl/mine-{slash}{dots}{slash}paths",
        f"sys/mounts/mine/{dots}{slash}{mount}",
    ):
        for who in (token, node.token):
            for method, reply in every_method(node, path, who):
                assert reply.status == 400, f"{method} {path}: {reply}"
                assert "relative paths not supported" in reply.raw.decode()
    untouched(node, mount)


@pytest.mark.parametrize("name", ["a..b", "...", "..a", "a..", ".hidden", "a.b"])
def test_dots_inside_a_name_are_ordinary(node, ground, name):
    mount, token = ground
    node.ok("POST", f"{mount}/data/mine/{name}", {"data": {"k": name}}, token=token)
    assert node.ok("GET", f"{mount}/data/mine/{name}", token=token).data["data"] == {"k": name}
    node.ok("DELETE", f"{mount}/metadata/mine/{name}")


SPELLINGS = [
    "deny/x",
    "deny%2fx",
    "deny%2Fx",
    "%64eny/x",
    "d%65ny%2f%78",
    "deny/x/",
    "deny%2fx%2f",
    "deny//x",
    "deny%2f%2fx",
    "deny/%78",
    "deny/x?version=1",
    "deny/x?list=true",
    "deny/x;p=1",
    "deny%2fx%00",
    "deny/x%20",
    "deny/X",
    "Deny/x",
    "deny\\x",
    "deny%5cx",
    "deny%252fx",
    "deny/x%23",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_of_a_denied_path_reaches_it(node, ground, spelling):
    mount, token = ground
    for method, reply in every_method(node, f"{mount}/data/{spelling}", token):
        assert VICTIM.encode() not in reply.raw, f"{method} {spelling}"
        assert reply.status < 500, f"{method} {spelling}: {reply}"
        if "x" in spelling and spelling.lower().replace("%2f", "/").replace("%64", "d").startswith("deny/x"):
            assert reply.status in (400, 403, 405), f"{method} {spelling}: {reply}"
    for name in ("deny%252fx", "deny%255cx", "deny%5Cx", "deny;p=1"):
        node.call("DELETE", f"{mount}/metadata/{name}")
    cleaned(node, mount)
    untouched(node, mount)


def cleaned(node, mount) -> None:
    """Remove what a spelling rightly wrote beside the victim."""
    for key in node.ok("LIST", f"{mount}/metadata").data["keys"]:
        if key not in ("deny/", "mine/", "victim"):
            quoted = "".join(f"%{byte:02x}" for byte in key.encode())
            node.ok("DELETE", f"{mount}/metadata/{quoted}")


def test_an_encoded_slash_is_the_slash_itself_and_only_once(node, ground):
    mount, token = ground
    node.ok("POST", f"{mount}%2fdata/mine%2fenc", {"data": {"k": "1"}}, token=token)
    assert node.ok("GET", f"{mount}/data/mine/enc", token=token).data["data"] == {"k": "1"}
    node.ok("POST", f"{mount}/data/mine/b%252fc", {"data": {"k": "2"}}, token=token)
    assert "b%2fc" in node.ok("LIST", f"{mount}/metadata/mine").data["keys"]
    assert node.call("GET", f"{mount}/data/mine/b/c", token=token).status == 404
    for name in ("enc", "b%252fc"):
        node.ok("DELETE", f"{mount}/metadata/mine/{name}")


@pytest.mark.parametrize(
    "part",
    [
        "%ff",
        "%c0%af",
        "%e2%82",
        "%ed%a0%80",
        "%00",
        "%0a",
        "%0d%0a",
        "%7f",
        "%1b",
        "%",
        "%2",
        "%zz",
        "%u002e",
    ],
)
def test_bytes_that_are_no_text_and_control_characters_are_refused(node, ground, part):
    mount, _ = ground
    for path in (f"{mount}/data/mine/{part}", f"{mount}/data/mine/a{part}z", f"sys/mounts/mine/{part}"):
        for method, reply in every_method(node, path, node.token):
            assert reply.status == 400 and reply.errors[0], f"{method} {path}: {reply}"
    untouched(node, mount)


TARGETS = {
    "http://evil.example/v1/sys/mounts": (200, 400, 404),
    "http://evil.example@127.0.0.1/v1/sys/mounts": (200, 400, 404),
    "*": (400, 404),
    "/v1/sys/mounts#f": (400,),
    "/V1/sys/mounts": (404,),
    "/v1/SYS/mounts": (404,),
    "/v1/sys/../../ui/": (400, 404),
    "//v1/sys/mounts": (400, 404),
    "/v1//sys/mounts": (400,),
    "/v1": (404,),
    "/v1/": (404, 400),
    "/": (404, 200),
    "v1/sys/mounts": (400, 404),
    "/v1/" + "a" * 65536: (400, 404, 414, 431),
    "/v1/" + "a/" * 8000: (400, 404, 414, 431),
    "/v1/sys/mounts?" + "a" * 65536: (400, 414, 431),
    "/v1/sys/mounts?" + "a=1&" * 200: (400,),
    "/v1/sys/mounts?x=%ff": (400,),
    "/v1/sys/mounts?x=%00": (400,),
}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target[:40])
def test_odd_targets_get_a_4xx_and_the_server_goes_on(node, target):
    head = f"GET {target} HTTP/1.1\r\nHost: other.example\r\nX-Vault-Token: {node.token}\r\nConnection: close\r\n\r\n"
    answer = exchange(node.server.address, head.encode())
    status = int(re.match(rb"HTTP/1\.1 (\d{3})", answer)[1])
    assert status in TARGETS[target], answer[:300]
    assert b"other.example" not in answer and b"evil.example" not in answer and b"Location" not in answer
    node.ok("GET", "sys/health", token="")


@pytest.mark.parametrize(
    "name",
    ["X-Vault-Token", "X-Vault-Namespace", "X-Vault-Wrap-TTL", "Authorization", "Content-Length", "Host"],
)
@pytest.mark.parametrize("second", ["same", "other", "case"])
def test_a_header_that_decides_something_comes_once(node, name, second):
    values = {
        "X-Vault-Token": (node.token, "hvs.other"),
        "X-Vault-Namespace": ("", "elsewhere"),
        "X-Vault-Wrap-TTL": ("60s", "70s"),
        "Authorization": (f"Bearer {node.token}", "Bearer other"),
        "Content-Length": ("0", "1"),
        "Host": ("a.example", "b.example"),
    }[name]
    pair = [(name, values[0]), (name.lower() if second == "case" else name, values[second == "other"])]
    lines = "".join(f"{key}: {value}\r\n" for key, value in pair)
    host = "" if name == "Host" else "Host: a.example\r\n"
    raw = f"GET /v1/sys/mounts HTTP/1.1\r\n{host}{lines}Connection: close\r\n\r\n"
    answer = exchange(node.server.address, raw.encode())
    assert answer.startswith(b"HTTP/1.1 400"), answer[:200]


def test_two_different_tokens_in_two_headers_are_not_guessed_between(node):
    """Vault takes X-Vault-Token first; whichever is taken, the other must never widen what it may do."""
    weak = node.mint("default")
    bearer = [("Authorization", f"Bearer {node.token}")]
    reply = node.call("GET", "sys/mounts", token=weak, headers=bearer)
    assert reply.status in (400, 403)


@pytest.mark.parametrize(
    "namespace", ["..", ".", "a/..", "a/../b", "%2e%2e", "a//b", "a\tb", "\x80", "root/..", "x" * 5000]
)
def test_namespace_headers_are_paths_too(node, namespace):
    reply = node.call("GET", "sys/mounts", namespace=namespace)
    assert reply.status in (400, 403, 404, 431), reply
