"""Invariant 7: every secret with a lifetime has a lease before it is handed out, and revocation is retried until it works."""

from __future__ import annotations

import json
import os
import random
import signal
import time

import pytest

from tests.invariants.node import LOST, Node, eventually, together
from tests.leases.conftest import Target, lookup, offer


@pytest.fixture
def own(begin, tmp_path, monkeypatch):
    """A node that knows the engine ``target``, and a mount of it."""
    from pathlib import Path

    offer(tmp_path / "site", Path(__file__).parents[1] / "leases" / "broker_target.py")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))

    def start(**settings: object) -> Target:
        return Target(begin(**settings), "target", tmp_path / "target")

    return start


def leased(node: Node) -> set[str]:
    """The ids of all leases of the mount."""
    reply = node.call("LIST", "sys/leases/lookup/target/creds/app")
    return set(reply.data["keys"]) if reply.status == 200 else set()


def test_every_secret_that_was_told_has_a_lease_and_every_lease_its_secret(own):
    target = own()
    lines = target.node.spread()[:8]
    told = [
        reply.body["lease_id"].rpartition("/")[2]
        for replies in together(
            [lambda line=line: [line.ok("GET", "target/creds/app") for _ in range(20)] for line in lines]
        )
        for reply in replies
    ]
    assert leased(target.node) == set(told)
    # A try that met a conflict has been undone at the target, or is about to be.
    eventually(lambda: len(target.live()) == len(told) == 160, 40)


def test_workers_killed_at_any_moment_leave_no_secret_without_a_lease(own):
    """After the dust has settled, what works at the target is what is leased, and what was told is among it."""
    target = own()
    node, told = target.node, set()
    chance = random.Random(7)
    for _ in range(3):
        lines = node.spread()[:6]

        def ask(line, seed):
            names = set()
            for _ in range(30):
                try:
                    names.add(line.ok("GET", "target/creds/app?grace=3s").data["username"])
                except LOST:
                    return names
            return names

        jobs = [lambda line=line, seed=seed: ask(line, seed) for seed, line in enumerate(lines)]

        def kill():
            time.sleep(chance.uniform(0.01, 0.1))
            os.kill(chance.choice(node.workers()), signal.SIGKILL)
            return set()

        for names in together([*jobs, kill]):
            told |= names
        node.close()
        eventually(node.server.answers)
    assert told <= target.live()
    eventually(lambda: len(target.live()) == len(leased(node)), 40)
    assert told <= target.live()


def test_an_answer_whose_record_is_refused_leaves_no_lease(own, small_disk):
    disk = small_disk(256, "audit")
    target = own(audit={"file": {"main": {"options": {"file_path": str(disk / "audit.log")}}}})
    target.issue()
    before = target.live()
    with (disk / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 512)
        except OSError:
            pass
    refused = target.node.call("GET", "target/creds/app")
    assert refused.status == 500
    (disk / "filler").unlink()
    assert eventually(lambda: target.live() == before)
    assert eventually(lambda: len(leased(target.node)) == 1)


def test_revocation_goes_on_through_failures_restarts_and_hangs(own):
    target = own(workers=1)
    for _ in range(5):
        target.issue(ttl="1s")
    target.mode("fail")
    eventually(lambda: len(target.tries()) >= 5)
    target.node.server.kill()
    target.mode("hang")
    target.node.restart()
    eventually(lambda: any(" hang " in line for line in target.tries()), 60)
    target.node.server.kill()
    target.mode("ok")
    target.node.restart()
    assert target.emptied(60)


def test_no_audit_record_and_no_lease_shows_the_engines_own(own):
    target = own()
    target.mode("fail")
    body = target.issue().body
    target.node.call("PUT", "sys/leases/revoke", {"lease_id": body["lease_id"], "sync": True})
    shown = lookup(target.node, body["lease_id"]).raw.decode()
    recorded = target.node.audit_log.read_text()
    assert body["data"]["password"] not in shown + recorded + target.node.server.log_tail()
    assert json.loads(shown)["data"]["revocation"]["last_error"] == "ValueError"
