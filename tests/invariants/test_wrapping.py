"""Invariant: what a wrapping token holds is handed over once, whoever asks, on whichever worker, and never shown elsewhere."""

from __future__ import annotations

import json
import shutil
from collections import Counter

import pytest

from tests.invariants.node import Line, Node, Reply, eventually, together

INVALID = ["wrapping token is not valid or does not exist"]
WRAP = (("X-Vault-Wrap-TTL", "5m"),)


def wrapped(node: Line, values: dict[str, object]) -> str:
    return node.ok("POST", "sys/wrapping/wrap", values, headers=WRAP).body["wrap_info"]["token"]


def records(node: Node) -> list[dict]:
    lines = node.audit_log.read_text().splitlines()
    return [json.loads(line) for line in lines if '"request"' in line]


def unwrap_all(lines: list[Line], token: str, each: int, *, as_caller: bool) -> list[Reply]:
    def ask(line: Line) -> list[Reply]:
        if as_caller:
            return [line.call("PUT", "sys/wrapping/unwrap", token=token) for _ in range(each)]
        return [line.call("POST", "sys/wrapping/unwrap", {"token": token}) for _ in range(each)]

    return [reply for part in together([lambda line=line: ask(line) for line in lines]) for reply in part]


@pytest.mark.parametrize("as_caller", [True, False], ids=["own-token", "in-the-body"])
def test_of_a_thousand_who_unwrap_at_once_one_gets_it(node, as_caller):
    lines = node.spread()[:25]
    token = wrapped(node, {"canary": "only-once"})
    replies = unwrap_all(lines, token, 1000 // len(lines), as_caller=as_caller)
    assert Counter(reply.status for reply in replies) == {200: 1, 400: len(replies) - 1}
    assert {tuple(reply.errors) for reply in replies if reply.status == 400} == {tuple(INVALID)}
    assert [reply.data for reply in replies if reply.status == 200] == [{"canary": "only-once"}]


@pytest.mark.parametrize("as_caller", [True, False], ids=["own-token", "in-the-body"])
def test_a_race_for_a_wrapping_token_has_one_winner_every_time(node, as_caller):
    lines = node.spread()[:8]
    for number in range(25):
        replies = unwrap_all(lines, wrapped(node, {"n": number}), 1, as_caller=as_caller)
        assert sorted(reply.status for reply in replies) == [200] + [400] * (len(lines) - 1)


def test_unwrap_and_rewrap_at_once_have_one_winner(node):
    lines = node.spread()[:8]
    for number in range(10):
        token = wrapped(node, {"n": number})
        replies = together(
            [
                lambda line=line, path=path, token=token: line.call(
                    "POST", f"sys/wrapping/{path}", {"token": token}
                )
                for line, path in zip(lines, ["unwrap", "rewrap"] * 4, strict=True)
            ]
        )
        won = [reply.body for reply in replies if reply.status == 200]
        assert len(won) == 1
        if won[0]["wrap_info"]:
            again = node.ok("POST", "sys/wrapping/unwrap", {"token": won[0]["wrap_info"]["token"]})
            assert again.data == {"n": number}


def test_the_audit_log_shows_who_wrapped_and_unwrapped_but_not_what(node):
    token = wrapped(node, {"canary": "CANARY-in-the-wrapping"})
    accessor = node.ok("POST", "auth/token/lookup", {"token": token}).data["accessor"]
    node.ok("POST", "sys/wrapping/unwrap", {"token": token})
    assert node.call("POST", "sys/wrapping/unwrap", {"token": token}).errors == INVALID
    text = node.audit_log.read_text()
    assert "CANARY-in-the-wrapping" not in text
    assert token not in text
    assert accessor not in text
    told = [
        r
        for r in records(node)
        if r["type"] == "response" and r["request"].get("path") == "sys/wrapping/wrap"
    ]
    info = told[-1]["response"]["wrap_info"]
    assert info["token"].startswith("hmac-sha256:")
    assert info["accessor"].startswith("hmac-sha256:")
    assert info["creation_path"] == "sys/wrapping/wrap"
    assert "data" not in told[-1]["response"]
    refused = [r for r in records(node) if r["request"].get("path") == "sys/wrapping/unwrap"][-1]
    assert refused["error"] == INVALID[0]


def test_a_second_unwrap_is_an_event_and_a_wrong_token_is_none(node):
    def seen() -> int:
        return node.server.log_path.read_text().count("wrapping.second_unwrap")

    before = seen()
    token = wrapped(node, {"a": 1})
    node.ok("POST", "sys/wrapping/unwrap", {"token": token})
    assert node.call("POST", "sys/wrapping/unwrap", {"token": "hvs.AAAAAAAAAAAAAAAAAAAAAAAA"}).status == 400
    assert node.call("PUT", "sys/wrapping/unwrap", token=token).status == 400
    eventually(lambda: seen() == before + 1)
    assert token not in node.server.log_path.read_text()


def test_an_error_is_not_wrapped(node):
    for method, path, status in (("GET", "cubbyhole/nothing", 404), ("GET", "nothing/at/all", 404)):
        reply = node.call(method, path, headers=WRAP)
        assert reply.status == status
        assert list(reply.body) == ["errors"]


def test_a_revoked_wrapping_token_takes_its_answer_along(node):
    token = wrapped(node, {"a": 1})
    node.ok("POST", "auth/token/revoke", {"token": token})
    assert node.call("POST", "sys/wrapping/unwrap", {"token": token}).errors == INVALID
    assert node.call("GET", "cubbyhole/response", token=token).status == 403


def test_an_expired_wrapping_token_is_refused(node):
    short = (("X-Vault-Wrap-TTL", "1s"),)
    token = node.ok("GET", "auth/token/lookup-self", headers=short).body["wrap_info"]["token"]
    eventually(lambda: node.call("POST", "sys/wrapping/lookup", {"token": token}).status == 400)
    assert node.call("POST", "sys/wrapping/unwrap", {"token": token}).errors == INVALID


def test_a_namespaces_wrapping_token_is_refused_in_another(node, fresh):
    for name in (fresh + "a", fresh + "b"):
        node.ok("POST", f"sys/namespaces/{name}")
    mine = node.ok("GET", "sys/mounts", namespace=fresh + "a", headers=WRAP).body["wrap_info"]["token"]
    for namespace in ("", fresh + "b"):
        for path in ("lookup", "unwrap", "rewrap"):
            reply = node.call("POST", f"sys/wrapping/{path}", {"token": mine}, namespace=namespace)
            assert (reply.status, reply.errors) == (400, INVALID)
    node.ok("POST", "sys/wrapping/unwrap", {"token": mine}, namespace=fresh + "a")


def test_a_wrapped_token_whose_record_was_refused_is_revoked(begin, tmp_path):
    folder = tmp_path / "audit"
    folder.mkdir()
    node = begin(workers=1, audit={"file": {"main": {"options": {"file_path": str(folder / "audit.log")}}}})
    before = node.ok("LIST", "auth/token/accessors").data["keys"]
    shutil.rmtree(folder)
    eventually(lambda: node.call("GET", "sys/mounts").status == 500)
    made = node.call("POST", "auth/token/create", {"policies": ["default"]}, headers=WRAP)
    assert made.status == 500
    folder.mkdir()
    eventually(lambda: node.call("GET", "sys/mounts").status == 200)
    assert node.ok("LIST", "auth/token/accessors").data["keys"] == before
