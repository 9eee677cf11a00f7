"""Invariant: a sealed node serves health, seal status, init and unseal, and nothing else, on any worker and connection."""

from __future__ import annotations

import os
import signal

import pytest

from tests.fixtures.servers import config_server
from tests.invariants.node import LOST, Line, Node, eventually, together

STILL_SERVED = {
    "sys/health": {503},
    "sys/seal-status": {200},
    "sys/leader": {200},
    "sys/init": {200},
}


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    """A node that was sealed under load; yields it with connections that were open all the while."""
    node = Node.begin(tmp_path_factory.mktemp("sealed"), workers=3)
    try:
        node.kv("secret")
        for number in range(20):
            node.ok("POST", f"secret/data/{number}", {"data": {"password": f"SeCrEt{number:04d}"}})
        lines = node.spread()
        for line in lines:
            line.ok("GET", "secret/data/1")
        document = node.ok("GET", "sys/internal/specs/openapi").body
        node.ok("PUT", "sys/seal")
        yield node, lines, document
    finally:
        node.end()


def test_every_path_of_the_document_is_refused(sealed):
    _, lines, document = sealed
    for number, template in enumerate(document["paths"]):
        path = template.lstrip("/").replace("{", "").replace("}", "")
        for method in ("GET", "POST", "LIST", "DELETE"):
            if path in ("sys/unseal", "sys/init", "sys/seal") and method == "POST":
                continue  # to seal what is sealed changes nothing, and is answered as in Vault
            reply = lines[number % len(lines)].call(method, path, raw=b"{}" if method == "POST" else None)
            if reply.status in STILL_SERVED.get(path, set()) and method == "GET":
                continue
            assert reply.status in (503, 405, 404, 400), f"{method} {path}: {reply}"
            assert b"SeCrEt" not in reply.raw
            if reply.status == 503 and path != "sys/health":
                assert reply.errors == ["Vault is sealed"], f"{method} {path}: {reply}"


def test_what_was_cached_is_not_served_by_any_worker(sealed):
    _, lines, _ = sealed
    for line in lines:
        for path in (
            "secret/data/1",
            "auth/token/lookup-self",
            "sys/mounts",
            "secret/metadata/1",
            "cubbyhole/x",
        ):
            reply = line.call("GET", path)
            assert (reply.status, reply.errors) == (503, ["Vault is sealed"])


def test_a_worker_that_dies_while_sealed_is_replaced_sealed(sealed):
    node, lines, _ = sealed
    victim = node.workers()[0]
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: victim not in node.workers() and len(node.workers()) == 3)
    for line in node.spread():
        assert line.call("GET", "secret/data/1").status == 503
    for line in lines:
        try:
            assert line.call("GET", "secret/data/1").status == 503
        except LOST:
            continue


def test_sealing_under_load_lets_nothing_through_afterwards(begin):
    node = begin(workers=3)
    node.kv("secret")
    node.ok("POST", "secret/data/a", {"data": {"k": "v"}})
    lines = node.spread()

    def load(line) -> list[int]:
        return [line.call("GET", "secret/data/a").status for _ in range(60)]

    def seal() -> list[int]:
        eventually(lambda: node.call("PUT", "sys/seal").status == 204)
        return [line.call("GET", "secret/data/a").status for line in (node.line() for _ in range(12))]

    *loaded, after = together([*(lambda line=line: load(line) for line in lines), seal])
    assert set(after) == {503}
    for statuses in loaded:
        assert statuses == sorted(statuses) and set(statuses) <= {200, 503}  # 200s, then 503s, never back
    node.unseal()
    for line in lines:
        line.ok("GET", "secret/data/a")


@pytest.mark.may_skip("telling workers apart needs root")
def test_a_paused_worker_does_not_serve_after_the_others_sealed(begin):
    node = begin(workers=2)
    node.kv("secret")
    node.ok("POST", "secret/data/a", {"data": {"k": "v"}})
    lines = node.spread()
    for line in lines:
        line.ok("GET", "secret/data/a")
    asleep, awake = node.workers()
    if os.geteuid() != 0:
        pytest.skip("telling workers apart needs root")
    os.kill(asleep, signal.SIGSTOP)
    try:
        free = next(line for line in lines if node.owners([line]) == [awake])
        free.ok("PUT", "sys/seal")
        assert free.call("GET", "secret/data/a").status == 503
    finally:
        os.kill(asleep, signal.SIGCONT)
    for line in lines:
        assert line.call("GET", "secret/data/a").status == 503


def test_wrong_shares_open_nothing_and_cost_nobody_the_progress(tmp_path):
    server = config_server(
        "broker", tmp_path / "own", "own", {"sqlite": {"path": str(tmp_path / "data")}}, workers=3
    )
    line = Line(server.address)
    try:
        made = line.ok("PUT", "sys/init", {"secret_shares": 3, "secret_threshold": 3}).body
        for number, share in enumerate(made["keys"]):
            status = line.ok("PUT", "sys/unseal", {"key": share}).body
            assert status["sealed"] is (number < 2)
            for wrong in (
                "00",
                "not a share",
                "zz" * 40,
                "e05b" * 20,
                "academic " * 33,
                share if number < 2 else "0",
            ):
                reply = line.call("PUT", "sys/unseal", {"key": wrong})
                assert reply.status in (200, 400) and wrong.strip().encode() not in reply.raw, reply
            line.call("PUT", "sys/unseal", {"reset": True})  # without the nonce of the attempt
            now = line.ok("GET", "sys/seal-status").body
            assert (now["sealed"], now["progress"]) == (number < 2, (number + 1) % 3)
    finally:
        line.close()
        server.stop()
