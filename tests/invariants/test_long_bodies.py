"""Invariant: more than 128 KiB is read only from somebody whose token stands; a made-up token is as good as none."""

from __future__ import annotations

import json

import pytest

from tests.invariants.node import Node
from tests.invariants.test_bodies import LIMIT, send_until_answered

STRANGERS = 128 * 1024
LONG = 400 * 1024
MADE_UP = {
    "service": "hvs.CAESIJmadeupmadeupmadeup",
    "batch": "hvb.AAAAAQmadeupmadeupmadeup",
    "of no namespace": "hvs.CAESIJmadeupmadeupmadeup.nowher",
    "text": "x",
}


def long_secret(size: int = LONG) -> bytes:
    return b'{"data": {"k": "' + b"x" * size + b'"}}'


@pytest.fixture(scope="module")
def mount(node: Node) -> str:
    node.policy("long", 'path "long/*" { capabilities = ["create", "read", "update"] }')
    return node.kv("long")


def sent(node: Node, path: str, headers: str, size: int) -> tuple[bytes, int]:
    """Send the head of a request and its body until the server answers: the answer, and how much it took."""
    head = f"POST /v1/{path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n"
    chunk = b"%x\r\n" % (1 << 16) + b" " * (1 << 16) + b"\r\n" if "chunked" in headers else b" " * (1 << 16)
    return send_until_answered(node.server.address, head.encode(), chunk, size)


@pytest.mark.parametrize("token", MADE_UP)
@pytest.mark.parametrize("length", [f"Content-Length: {LIMIT}", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("header", ["X-Vault-Token: {}", "Authorization: Bearer {}"])
def test_a_made_up_token_gets_no_more_read_than_none(node, mount, token, length, header):
    shown = header.format(MADE_UP[token])
    answer, taken = sent(node, f"{mount}/data/a", f"{shown}\r\n{length}\r\n", LIMIT)
    assert answer.startswith(b"HTTP/1.1 403"), answer[:200]
    assert b"permission denied" in answer
    assert taken < LIMIT // 2
    assert node.call("GET", f"{mount}/data/a").status == 404


@pytest.mark.parametrize(
    "path", ["long/data/a", "auth/userpass/login/x", "sys/unseal", "sys/wrapping/unwrap"]
)
def test_no_path_reads_more_for_a_made_up_token(node, mount, path):
    answer, taken = sent(node, path, f"X-Vault-Token: made-up\r\nContent-Length: {LIMIT}\r\n", LIMIT)
    assert answer.startswith(b"HTTP/1.1 403"), answer[:200]
    assert taken < LIMIT // 2


@pytest.mark.parametrize("header", ["", "X-Vault-Token: \r\n", "Authorization: Basic YTpi\r\n"])
def test_who_shows_no_token_is_told_the_limit(node, mount, header):
    answer, _ = sent(node, f"{mount}/data/a", f"{header}Content-Length: {STRANGERS + 1}\r\n", LIMIT)
    assert answer.startswith(b"HTTP/1.1 413") and b"131072 bytes" in answer, answer[:300]


def test_a_live_token_may_send_more_whichever_kind_it_is(node, mount, fresh):
    for number, kind in enumerate(("service", "batch")):
        token = node.mint("long", type=kind, ttl="1h")
        path = f"{mount}/data/{fresh}-{number}"
        node.ok("POST", path, raw=long_secret(), token=token)
        assert len(node.ok("GET", path, token=token).data["data"]["k"]) == LONG


def test_a_token_from_above_may_send_more_to_a_namespace_and_one_from_below_may_not(node, mount, fresh):
    node.ok("POST", f"sys/namespaces/{fresh}", {})
    node.kv("kv", namespace=fresh)
    node.ok("POST", "kv/data/a", raw=long_secret(), namespace=fresh)
    below = node.mint("default", namespace=fresh)
    reply = node.call("POST", f"{mount}/data/{fresh}", raw=long_secret(), token=below)
    assert reply.status == 403, reply


def test_asking_takes_no_use_of_a_limited_token(node, mount, fresh):
    token = node.mint("long", num_uses=2)
    for number in range(2):
        node.ok("POST", f"{mount}/data/{fresh}-{number}", raw=long_secret(), token=token)
    assert node.call("POST", f"{mount}/data/{fresh}-2", raw=long_secret(), token=token).status == 403
    assert node.call("GET", f"{mount}/data/{fresh}-2").status == 404


def test_a_token_that_ended_may_send_no_more(node, mount):
    token = node.mint("long")
    lines = node.spread(token=token)
    for line in lines[:6]:
        line.ok("POST", f"{mount}/data/ended", raw=long_secret())
    node.ok("POST", "auth/token/revoke", {"token": token})
    assert {line.call("POST", f"{mount}/data/ended", raw=long_secret()).status for line in lines} == {403}


def test_a_token_used_from_elsewhere_than_it_may_be_sends_no_more(node, mount):
    terms = {"token_bound_cidrs": "203.0.113.0/24", "allowed_policies": "default"}
    node.ok("POST", "auth/token/roles/far", terms)
    token = node.ok("POST", "auth/token/create/far", {}).body["auth"]["client_token"]
    answer, taken = sent(
        node, f"{mount}/data/a", f"X-Vault-Token: {token}\r\nContent-Length: {LIMIT}\r\n", LIMIT
    )
    assert answer.startswith(b"HTTP/1.1 403") and taken < LIMIT // 2, answer[:200]


def test_a_refusal_is_in_the_audit_log(node, mount, fresh):
    sent(node, f"{mount}/data/{fresh}", f"X-Vault-Token: made-up\r\nContent-Length: {LONG}\r\n", LONG)
    lines = [json.loads(line) for line in node.audit_log.read_text().splitlines() if fresh in line]
    assert [line["type"] for line in lines] == ["request", "response"]
    assert all(line["error"] == "permission denied" for line in lines)


def test_what_is_refused_counts_against_a_rate_limit(node, mount, fresh):
    node.ok("POST", f"sys/quotas/rate-limit/{fresh}", {"path": f"{mount}/", "rate": 3, "interval": "1h"})
    try:
        headers = f"X-Vault-Token: made-up\r\nContent-Length: {LONG}\r\n"
        answers = [sent(node, f"{mount}/data/a", headers, LONG)[0][:12] for _ in range(5)]
    finally:
        node.ok("DELETE", f"sys/quotas/rate-limit/{fresh}")
    assert answers == [b"HTTP/1.1 403"] * 3 + [b"HTTP/1.1 429"] * 2


def test_while_sealed_nobodys_token_is_live(begin):
    own = begin()
    own.ok("PUT", "sys/seal")
    answer, taken = sent(
        own, "sys/unseal", f"X-Vault-Token: {own.token}\r\nContent-Length: {LIMIT}\r\n", LIMIT
    )
    assert answer.startswith(b"HTTP/1.1 503") and taken < LIMIT // 2, answer[:200]
    own.unseal()
