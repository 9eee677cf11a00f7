"""Invariant: what one worker has done, every other worker sees on the very next request."""

from __future__ import annotations

import itertools
from functools import partial

import pytest

from tests.invariants.node import together

ROUNDS = 40


@pytest.fixture(scope="module")
def lines(node):
    """Two dozen connections, every worker among their holders."""
    made = node.spread()
    yield made
    for line in made:
        line.close()


def pairs(lines, rounds=ROUNDS):
    """Each round a writer and a reader on different connections."""
    ring = itertools.cycle(lines)
    writer = next(ring)
    for number in range(rounds):
        reader = next(ring)
        yield number, writer, reader
        writer = reader


def test_a_write_is_read_back_through_every_other_connection(node, lines, fresh):
    node.kv(fresh)
    for number, writer, _ in pairs(lines):
        writer.ok("POST", f"{fresh}/data/shared", {"data": {"round": number}})
        for reader in lines[:: max(1, len(lines) // 6)]:
            assert reader.ok("GET", f"{fresh}/data/shared").data["data"] == {"round": number}


def test_a_revoked_token_is_dead_on_the_next_request_anywhere(node, lines):
    for _, writer, reader in pairs(lines):
        token = node.mint("default")
        for line in (writer, reader):
            line.ok("GET", "auth/token/lookup-self", token=token)  # both workers hold it in their caches now
        writer.ok("POST", "auth/token/revoke", {"token": token})
        for line in [*lines[:6], reader, writer]:
            assert line.call("GET", "auth/token/lookup-self", token=token).status == 403


def test_a_changed_policy_rules_the_next_request_anywhere(node, lines, fresh):
    node.kv(fresh)
    node.ok("POST", f"{fresh}/data/a", {"data": {"k": "v"}})
    token = node.mint(fresh)
    for number, writer, reader in pairs(lines):
        allowed = number % 2 == 0
        word = "read" if allowed else "deny"
        body = {"policy": f'path "{fresh}/data/*" {{ capabilities = ["{word}"] }}'}
        writer.ok("PUT", f"sys/policies/acl/{fresh}", body)
        for line in (reader, writer, lines[number % len(lines)]):
            reply = line.call("GET", f"{fresh}/data/a", token=token)
            assert reply.status == (200 if allowed else 403)
    node.ok("DELETE", f"sys/policies/acl/{fresh}")
    assert {line.call("GET", f"{fresh}/data/a", token=token).status for line in lines} == {403}


def test_a_disabled_mount_is_gone_on_the_next_request_anywhere(node, lines, fresh):
    for number, writer, reader in pairs(lines, 12):
        mount = f"{fresh}-{number}"
        writer.ok("POST", f"sys/mounts/{mount}", {"type": "kv", "options": {"version": "2"}})
        reader.ok("POST", f"{mount}/data/a", {"data": {"k": "v"}})
        for line in lines[:6]:
            line.ok("GET", f"{mount}/data/a")
        writer.ok("DELETE", f"sys/mounts/{mount}")
        for line in [reader, *lines[:6]]:
            assert line.call("GET", f"{mount}/data/a").status == 404


def test_a_token_for_three_uses_serves_exactly_three_of_a_hundred_at_once(node, fresh):
    node.kv(fresh)
    node.policy(fresh, f'path "{fresh}/data/*" {{ capabilities = ["create", "update", "read"] }}')
    token = node.mint(fresh, num_uses=3)
    lines = [node.line(token) for _ in range(100)]
    for line in lines:
        line.call("GET", "sys/health", token="")  # connected, so that all start together
    replies = together(
        partial(line.call, "POST", f"{fresh}/data/{n}", {"data": {"n": n}}) for n, line in enumerate(lines)
    )
    for line in lines:
        line.close()
    served = [n for n, reply in enumerate(replies) if reply.status == 200]
    assert len(served) == 3, sorted(reply.status for reply in replies)
    assert {reply.status for reply in replies} == {200, 403}
    assert sorted(int(key) for key in node.ok("LIST", f"{fresh}/metadata").data["keys"]) == served
    assert node.call("GET", "auth/token/lookup-self", token=token).status == 403


def test_check_and_set_lets_one_of_many_through(node, lines, fresh):
    node.kv(fresh)
    for number in range(8):
        body = {"options": {"cas": number}, "data": {"round": number}}
        write = [partial(line.call, "POST", f"{fresh}/data/a", body) for line in lines]
        assert sorted(reply.status for reply in together(write)) == [200] + [400] * (len(lines) - 1)


def test_sealing_through_one_connection_seals_them_all(begin):
    node = begin(workers=3)
    node.kv("secret")
    node.ok("POST", "secret/data/a", {"data": {"k": "v"}})
    lines = node.spread()
    for line in lines:
        line.ok("GET", "secret/data/a")
    lines[0].ok("PUT", "sys/seal")
    for line in lines:
        reply = line.call("GET", "secret/data/a")
        assert (reply.status, reply.errors) == (503, ["Vault is sealed"])
    node.unseal()
    for line in lines:
        assert line.ok("GET", "secret/data/a").data["data"] == {"k": "v"}
        line.close()
