"""Leases, tokens and places in the due index that were damaged on disk: they hold up nobody else, and can be got rid of."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from tests.invariants.node import eventually
from tests.invariants.test_store_faults import base_of, edited, rows, spoil
from tests.leases.conftest import Target, lookup

HOUR = 3600


@pytest.fixture
def target(site, wall_clock, begin, tmp_path):
    return Target(begin(workers=2), "target", tmp_path / "target")


def damaged(node, *likes: str) -> None:
    """Turn a bit in each of the stored entries whose path is like this."""

    def edit(base: sqlite3.Connection) -> None:
        for like in likes:
            found = list(rows(base, like))
            assert found, like
            for path in found:
                spoil(base, path)

    edited(node, edit)


def test_a_damaged_lease_keeps_nobody_from_theirs_and_goes_by_force(target):
    node = target.node
    made = [target.issue(ttl="1h").body for _ in range(4)]
    spoilt = made[1]
    user = spoilt["data"]["username"]
    damaged(node, f"sys/lease/id/{spoilt['lease_id']}")
    for path, body in (
        ("lookup", {"lease_id": spoilt["lease_id"]}),
        ("revoke", {"lease_id": spoilt["lease_id"]}),
    ):
        reply = node.call("PUT", f"sys/leases/{path}", body)
        assert reply.status == 500 and "does not open" in reply.errors[0]
    refused = node.call("PUT", "sys/leases/revoke-prefix/target", {"sync": True})
    assert refused.status == 400 and "failed to revoke 1 of 4 leases" in refused.errors[0]
    assert target.live() == {user}
    node.ok("PUT", f"sys/leases/revoke-force/{spoilt['lease_id']}")
    assert lookup(node, spoilt["lease_id"]).errors == ["invalid lease"]
    assert node.call("LIST", "sys/leases/lookup/target").status == 404
    assert target.live() == {user}  # how to undo it, nobody knows any more


def test_the_steward_goes_on_past_damaged_leases(wall_clock, target):
    node = target.node
    made = [target.issue(ttl="1h").body for _ in range(6)]
    gone = {made[1]["data"]["username"], made[2]["data"]["username"]}
    damaged(node, *(f"sys/lease/id/{made[at]['lease_id']}" for at in (1, 2)))
    wall_clock.set(2 * HOUR)
    eventually(lambda: target.live() == gone, 40)
    assert f"lease.unreadable lease=id/{made[1]['lease_id']}" in node.server.log_path.read_text()


def test_a_token_is_revoked_with_what_it_was_given_though_its_entry_is_damaged(target):
    node = target.node
    tokens = [
        node.ok("POST", "auth/token/create", {"policies": ["root"], "ttl": "1h"}).body["auth"]
        for _ in range(3)
    ]
    for token in tokens:
        target.issue(ttl="1h", token=token["client_token"])
    kept = node.ok("POST", "auth/token/create", {"policies": ["default"], "ttl": "1h"}).body["auth"]
    before = set(node.ok("LIST", "auth/token/accessors").data["keys"])

    def edit(base: sqlite3.Connection) -> None:
        # All tokens that something was leased to.
        for path in rows(base, "sys/token/leases/%"):
            spoil(base, path.replace("/leases/", "/id/"))

    edited(node, edit)
    reply = node.call("GET", "auth/token/lookup-self", token=tokens[0]["client_token"])
    assert reply.status == 500 and "sys/token/id/" in reply.errors[0]
    listed = node.ok("LIST", "auth/token/accessors")
    assert set(listed.data["keys"]) == before - {token["accessor"] for token in tokens}
    assert len(listed.body["warnings"]) == 3
    node.ok("POST", "auth/token/revoke", {"token": tokens[0]["client_token"]})
    node.ok("POST", "auth/token/revoke-accessor", {"accessor": tokens[1]["accessor"]})
    for token in tokens[:2]:
        assert node.call("GET", "auth/token/lookup-self", token=token["client_token"]).status == 403
    assert node.call("PUT", "sys/leases/revoke-prefix/auth/token/create", {"sync": False}).status == 202
    assert target.emptied(40)
    for token in (*tokens, kept):
        assert node.call("GET", "auth/token/lookup-self", token=token["client_token"]).status == 403


def test_damaged_places_in_the_due_index_hold_up_nobody(wall_clock, target):
    node = target.node
    node.ok("POST", "sys/auth/userpass", {"type": "userpass"})
    assert node.call("POST", "auth/userpass/login/ann", {"password": "wrong"}, token="").status == 400
    for _ in range(3):
        node.mint("default", ttl="1h")
    damaged(node, "sys/due/%/lockout-%", "sys/due/%/token-%")
    node.mint("default", ttl="1h")
    wall_clock.set(2 * HOUR)

    def left() -> int:
        with closing(sqlite3.connect(base_of(node))) as base:
            return len(rows(base, "sys/token/id/%"))

    eventually(lambda: left() == 1, 40)  # the root token: also those were cleared that had lost their places
    told = eventually(
        lambda: [
            line for line in node.server.log_path.read_text().splitlines() if "steward.unreadable" in line
        ]
    )
    assert len(told) == 1 and "/lockout-" in told[0]
