"""Invariant: acknowledged means durable. kill -9 at any moment loses nothing that was answered, and leaves nothing half done."""

from __future__ import annotations

import os
import random
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import pytest

from tests.invariants.node import LOST, Line, eventually

SEED = 20261122
ROUNDS = 10
WRITERS = 6


@dataclass
class Writer:
    """Writes of every kind, one after the other, and what was acknowledged; ends with its connection."""

    number: int
    line: Line
    random: random.Random
    acknowledged: int = 0
    versions: dict[str, int] = field(default_factory=dict)
    attempted: dict[str, int] = field(default_factory=dict)
    policies: dict[str, str] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)
    revoked: list[str] = field(default_factory=list)
    mounts: list[str] = field(default_factory=list)
    unsure: set[str] = field(default_factory=set)

    def run(self, stop: threading.Event) -> None:
        kinds = [self.put, self.put, self.put, self.policy, self.mint, self.revoke, self.mount]
        with suppress(*LOST):
            while not stop.is_set():
                self.random.choice(kinds)()
                self.acknowledged += 1

    def name(self) -> str:
        return f"w{self.number}-{self.random.getrandbits(48):012x}"

    def put(self) -> None:
        key = f"w{self.number}-k{self.random.randrange(4)}"
        wanted = self.attempted[key] = self.versions.get(key, 0) + 1
        reply = self.line.ok("POST", f"secret/data/{key}", {"data": {"v": wanted, "pad": key * 50}})
        assert reply.data["version"] == wanted
        self.versions[key] = wanted

    def policy(self) -> None:
        name = self.name()
        text = f'path "{name}/*" {{ capabilities = ["read"] }}'
        self.unsure.add(name)
        self.line.ok("PUT", f"sys/policies/acl/{name}", {"policy": text})
        self.policies[name] = text

    def mint(self) -> None:
        reply = self.line.ok(
            "POST", "auth/token/create", {"policies": ["default"], "display_name": self.name()}
        )
        self.tokens.append(reply.body["auth"]["client_token"])

    def revoke(self) -> None:
        if self.tokens:
            token = self.tokens.pop()
            self.unsure.add(token)
            self.line.ok("POST", "auth/token/revoke", {"token": token})
            self.revoked.append(token)

    def mount(self) -> None:
        name = self.name()
        self.unsure.add(name)
        self.line.ok("POST", f"sys/mounts/{name}", {"type": "kv", "options": {"version": "2"}})
        self.line.ok("POST", f"{name}/data/first", {"data": {"in": name}})
        self.mounts.append(name)

    def check(self, node) -> None:
        """Everything acknowledged is there; what was under way is wholly there or not at all."""
        for key, tried in self.attempted.items():
            self._check_key(node, key, tried)
        for name, text in self.policies.items():
            assert node.ok("GET", f"sys/policies/acl/{name}").data["policy"] == text
        for token in self.tokens:
            assert node.call("GET", "auth/token/lookup-self", token=token).status == 200
        for token in self.revoked:
            assert node.call("GET", "auth/token/lookup-self", token=token).status == 403
        for name in self.mounts:
            assert node.ok("GET", f"{name}/data/first").data["data"] == {"in": name}

    def _check_key(self, node, key: str, tried: int) -> None:
        reply = node.call("GET", f"secret/metadata/{key}")
        known = self.versions.get(key, 0)
        if reply.status == 404:
            assert known == 0, f"{key} is lost"
            assert node.call("GET", f"secret/data/{key}").status == 404
            return
        current = reply.data["current_version"]
        assert known <= current <= tried, f"{key}: {known} acknowledged, {tried} tried, {current} there"
        assert set(map(int, reply.data["versions"])) == set(range(max(1, current - 9), current + 1))
        for version in reply.data["versions"]:
            found = node.ok("GET", f"secret/data/{key}?version={version}")
            assert found.data["data"] == {"v": int(version), "pad": key * 50}


def load(node, numbers, seed: random.Random) -> list[Writer]:
    return [Writer(number, node.line(), random.Random(seed.random())) for number in numbers]


def run_until(writers: list[Writer], seconds: float, strike) -> None:
    """Let all write, strike after a while, wait until the connections have ended or told to."""
    stop = threading.Event()
    threads = [threading.Thread(target=writer.run, args=(stop,)) for writer in writers]
    for thread in threads:
        thread.start()
    wanted = sum(writer.acknowledged for writer in writers) + 30
    eventually(lambda: sum(writer.acknowledged for writer in writers) >= wanted)
    stop.wait(seconds)  # the point of time is the seed's choice
    strike()
    stop.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def half_done(node, writers: list[Writer]) -> list[str]:
    """Policies, mounts and tokens that are listed, but were never asked for or do not work."""

    def status(method: str, path: str, body: object = None) -> int:
        return node.call(method, path, body).status

    known = {name for writer in writers for name in writer.unsure}
    policies = [name for name in node.ok("LIST", "sys/policies/acl").data["keys"] if name.startswith("w")]
    mounts = [path for path in node.ok("GET", "sys/mounts").data if path.startswith("w")]
    accessors = node.ok("LIST", "auth/token/accessors").data["keys"]
    lookup = "auth/token/lookup-accessor"
    return [
        *(name for name in policies if name not in known or status("GET", f"sys/policies/acl/{name}") != 200),
        *(path for path in mounts if path[:-1] not in known or status("GET", f"{path}config") != 200),
        *(accessor for accessor in accessors if status("POST", lookup, {"accessor": accessor}) != 200),
    ]


def test_kill_dash_9_of_the_whole_server_loses_nothing_it_answered(begin):
    node, seed = begin(workers=2, rollback_anchor="anchor"), random.Random(SEED)
    node.kv("secret")
    writers: list[Writer] = []
    for number in range(ROUNDS):
        fresh = load(node, range(number * WRITERS, number * WRITERS + WRITERS), seed)
        run_until(fresh, seed.uniform(0, 0.25), node.server.kill)
        writers += fresh
        node.restart()
        for writer in fresh:
            writer.check(node)
    for writer in writers:
        writer.check(node)
    assert half_done(node, writers) == []


def strike_one(victim: int, held: list[Writer], spared: list[Writer]) -> None:
    """Kill a worker; the others go on meanwhile: wait for more answers than could have been under way.

    Each writer it held keeps writing, so it will meet the end of its connection; on a busy machine not at once.
    """
    os.kill(victim, signal.SIGKILL)
    goals = [writer.acknowledged + 3 for writer in spared]
    eventually(lambda: all(writer.acknowledged >= goal for writer, goal in zip(spared, goals, strict=True)))
    eventually(lambda: not any(writer.line.alive for writer in held))


def replaced(node, victim: int) -> bool:
    workers = node.workers()
    return len(workers) == 3 and victim not in workers


def test_a_killed_worker_is_replaced_unsealed_and_fails_only_what_it_held(begin):
    node, seed = begin(workers=3), random.Random(SEED + 1)
    node.kv("secret")
    writers: list[Writer] = []
    for number in range(4):
        victim = seed.choice(node.workers())
        fresh = load(node, range(number * 9, number * 9 + 9), seed)
        for writer in fresh:
            writer.line.ok("GET", "sys/health")
        held = [writer for writer in fresh if node.owners([writer.line]) == [victim]]
        spared = [writer for writer in fresh if writer not in held]
        run_until(fresh, seed.uniform(0, 0.1), partial(strike_one, victim, held, spared))
        eventually(partial(replaced, node, victim))
        node.close()  # it may have been the victim's
        if os.geteuid() == 0:  # else /proc does not tell which worker holds what
            assert [writer for writer in fresh if not writer.line.alive] == held
        for line in node.spread():
            line.ok("GET", "auth/token/lookup-self")  # the newcomer holds some of these, unsealed
            line.close()
        for writer in fresh:
            writer.check(node)
        writers += fresh
    assert half_done(node, writers) == []


def test_killing_every_worker_at_once_leaves_the_node_unsealed(begin):
    node = begin(workers=2)
    node.kv("secret")
    node.ok("POST", "secret/data/a", {"data": {"k": "v"}})
    before = node.workers()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    node.close()

    def answers() -> bool:
        try:
            return node.ok("GET", "secret/data/a").data["data"] == {"k": "v"}
        except LOST:
            return False

    eventually(answers)
    eventually(lambda: len(set(node.workers()) - set(before)) == 2)


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_server_keeps_what_it_answered(begin, signal_number):
    node = begin(workers=2)
    node.kv("secret")
    writers = load(node, range(4), random.Random(SEED + 2))
    run_until(writers, 0.05, lambda: os.kill(node.server.pid, signal_number))
    node.server.kill()
    node.restart()
    for writer in writers:
        writer.check(node)
    assert half_done(node, writers) == []
