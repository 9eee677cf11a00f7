"""What may go wrong between us and the target: it fails, it hangs, or we die in the middle of it."""

import os
import signal
import time

from tests.invariants.node import LOST, eventually, together
from tests.leases.conftest import Target, lookup

WELL_BELOW_A_HANG = 20
"""Seconds; a target that does not answer is given up after 30."""


def test_a_worker_killed_between_the_effect_and_the_commit_leaves_nothing_behind(begin, tmp_path):
    node = begin(workers=2)
    target = Target(node, "target", tmp_path / "target")
    target.mode("crash")
    try:
        node.call("GET", "target/creds/app?grace=2s")
        raise AssertionError("the worker lives")
    except LOST:
        pass
    assert len(target.live()) == 1
    target.mode("ok")
    assert target.emptied(40)  # another may have to become steward first
    assert node.call("LIST", "sys/leases/lookup/target").status == 404


def test_a_node_killed_while_revoking_goes_on_when_it_is_back(begin, tmp_path):
    node = begin(workers=1)
    target = Target(node, "target", tmp_path / "target")
    for _ in range(5):
        target.issue(ttl="1h")
    target.mode("hang")
    assert node.call("PUT", "sys/leases/revoke-prefix/target", {"sync": False}).status == 202
    eventually(lambda: len(target.tries()) == 5)
    node.server.kill()
    target.mode("ok")
    node.restart()
    assert target.emptied(30)


def test_a_target_that_hangs_holds_up_nobody_else(shared, tmp_path):
    stuck = Target(shared, "stuck", tmp_path / "stuck")
    well = Target(shared, "well", tmp_path / "well")
    stuck.mode("hang")
    for _ in range(40):
        stuck.issue(ttl="1s")
    well.issue(ttl="2s")
    assert well.emptied(WELL_BELOW_A_HANG)
    assert len(stuck.live()) == 40
    assert len(stuck.tries()) <= 16  # no more than that at once
    started = time.monotonic()
    shared.ok("GET", "sys/leases/count?type=irrevocable")
    assert time.monotonic() - started < WELL_BELOW_A_HANG
    stuck.mode("ok")


def test_leases_that_fall_due_together_are_all_revoked_while_requests_are_answered(shared, tmp_path):
    target = Target(shared, "many", tmp_path / "many")
    lines = shared.spread()[:8]
    ttl = 4

    def issue(line):
        for _ in range(25):
            line.ok("GET", f"many/creds/app?ttl={ttl}s")

    together([lambda line=line: issue(line) for line in lines])
    assert len(target.live()) + len(target.tries()) >= 200
    while target.live():
        shared.ok("GET", "auth/token/lookup-self")
    assert len({line.split()[2] for line in target.tries()}) == 200


def test_a_stopped_steward_hands_over(begin, tmp_path):
    node = begin(workers=2)
    target = Target(node, "target", tmp_path / "target")
    target.mode("hang")
    target.issue(ttl="1s")
    eventually(target.tries)
    target.mode("ok")
    for pid in node.workers():
        os.kill(pid, signal.SIGKILL)
    assert target.emptied(60)


def test_a_lease_whose_target_works_again_after_it_was_refused_is_no_trouble_any_more(target):
    target.mode("fail")
    lease = target.issue(ttl="1s").body["lease_id"]
    eventually(lambda: "revocation" in lookup(target.node, lease).body.get("data", {}))
    target.mode("ok")
    assert target.emptied()
    eventually(lambda: lookup(target.node, lease).status == 400)
