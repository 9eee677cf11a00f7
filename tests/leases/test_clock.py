"""The machine's clock is set while a node runs: nothing lives longer for it."""

from __future__ import annotations

import os
import re
import signal

import pytest

from tests.invariants.node import eventually
from tests.leases.conftest import Target, lookup

HOUR = 3600.0


@pytest.fixture
def node(site, wall_clock, begin):
    return begin(workers=2)


@pytest.fixture
def target(node, tmp_path):
    return Target(node, "target", tmp_path / "target")


def dead(node, token):
    return node.call("GET", "auth/token/lookup-self", token=token).status == 403


def test_no_lease_outlives_its_time_though_the_clock_is_set_back_an_hour(wall_clock, node, target):
    lease = target.issue(ttl="4s").body["lease_id"]
    renewed = target.issue(ttl="4s").body["lease_id"]
    wall_clock.set(-HOUR)
    assert lookup(node, lease).data["ttl"] <= 4
    assert (
        node.ok("PUT", "sys/leases/renew", {"lease_id": renewed, "increment": 3}).body["lease_duration"] == 3
    )
    target.issue(ttl="3s")  # made after it
    assert target.emptied()
    for gone in (lease, renewed):
        eventually(lambda gone=gone: lookup(node, gone).status == 400)


def test_no_token_outlives_its_time_though_the_clock_is_set_back_an_hour(wall_clock, node):
    before = [node.mint("default", ttl="3s"), node.mint("default", period="3s")]
    batch = node.mint("default", ttl="3s", type="batch")
    wrapped = node.ok("POST", "sys/wrapping/wrap", {"a": 1}, headers=[("X-Vault-Wrap-TTL", "3s")]).body[
        "wrap_info"
    ]["token"]
    wall_clock.set(-HOUR)
    after = node.mint("default", ttl="3s")
    for token in (*before, batch, after):
        eventually(lambda token=token: dead(node, token))
    assert node.call("POST", "sys/wrapping/unwrap", {"token": wrapped}).status == 400


def test_a_worker_that_starts_after_the_clock_was_set_back_keeps_the_others_time(wall_clock, node, target):
    token = node.mint("default", ttl="6s")
    target.issue(ttl="6s")
    wall_clock.set(-HOUR)
    old = set(node.workers())
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(set(node.workers()) - old) == 2)
    node.close()
    eventually(lambda: node.call("GET", "sys/health").status == 200)
    assert target.emptied(60)  # one of them has to become steward first
    eventually(lambda: dead(node, token))


def test_a_clock_that_is_set_forward_ends_what_is_over_and_set_back_again_revives_nothing(
    wall_clock, node, target
):
    token, stays = node.mint("default", ttl="1h"), node.mint("default", ttl="5h")
    lease = target.issue(ttl="1h").body["lease_id"]
    wall_clock.set(2 * HOUR)
    assert target.emptied()
    eventually(lambda: dead(node, token))
    wall_clock.set(0)
    assert dead(node, token)
    assert lookup(node, lease).status == 400
    assert 2.9 * HOUR < node.call("GET", "auth/token/lookup-self", token=stays).data["ttl"] <= 3 * HOUR
    target.issue(ttl="3s")
    assert target.emptied()


def test_the_operator_is_told_of_a_clock_that_was_set(wall_clock, node):
    wall_clock.set(-HOUR)
    node.ok("GET", "auth/token/lookup-self")
    eventually(lambda: re.search(r"clock\.set_back seconds=3(59|60)\d", node.server.log_path.read_text()))
    wall_clock.set(HOUR)
    eventually(lambda: "clock.set_forward seconds=3" in node.server.log_path.read_text())
