"""Run one script against both servers and collect every difference."""

from __future__ import annotations

import os
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.fixtures.servers import RunningServer
from tests.peer.client import Client, Reply
from tests.peer.compare import differences, header_differences, masked, own_words
from tests.peer.differences import BY_STEP
from tests.peer.script import Compute, Step, filled, pick, wire

# Print every request and both answers (with pytest's -s or on failure): to read what the peer says.
SHOW = os.environ.get("PEER_SHOW", "") == "1"


@dataclass
class Side:
    """One server as a script sees it: its connection, and the names saved from its answers."""

    client: Client
    names: dict[str, Any] = field(default_factory=dict)

    def take(self, step: Step) -> tuple[Step, Reply]:
        ready = filled(step, self.names)
        reply = self.client.send(*wire(ready))
        for name, dotted in ready.save.items():
            try:
                self.names[name] = pick(reply.body, dotted)
            except (KeyError, IndexError, TypeError):
                self.names[name] = f"no-{name}-in-a-{reply.status}"
        return ready, reply


@dataclass
class Pair:
    """Our server and the peer. ``word`` is this test's own; ``same`` says that both sides are the peer."""

    ours: Side
    peer: Side
    word: str
    same: bool = False
    servers: tuple[RunningServer, ...] = ()
    requests: int = 0

    def log_tails(self) -> list[tuple[str, str]]:
        """What a failing test's report shows: our server's log, not the peer's."""
        return [] if self.same else self.servers[0].log_tails()

    def run(self, *steps: Step | Compute) -> None:
        """Take every step on both sides; fail with all differences, so that one run shows the whole picture."""
        complaints: list[str] = []
        for number, step in enumerate(steps, 1):
            if isinstance(step, Compute):
                for side in (self.ours, self.peer):
                    side.names[step.name] = _computed(step, side.names)
                continue
            self.requests += 1
            found = list(self._compare(step))
            if found:
                complaints.append(f"step {number}: {step}\n" + "\n".join(f"    {line}" for line in found))
        if complaints:
            pytest.fail(
                f"{len(complaints)} of {len(steps)} steps differ\n" + "\n".join(complaints), pytrace=False
            )

    def _compare(self, step: Step) -> list[str]:
        ready, peer = self.peer.take(step)
        _, ours = self.ours.take(step)
        if SHOW:
            print(
                f"{ready}\n  -> {peer.status} {peer.body}"
                + ("" if self.same else f"\n  ours {ours.status} {ours.body}")
            )
        found = _unexpected(step, peer)
        allowed = step.differs
        if allowed and not self.same:
            assert allowed.key in BY_STEP, f"{allowed.key} is not listed in differences.py"
            wanted = allowed.status or peer.status
            if ours.status not in (wanted if isinstance(wanted, tuple) else (wanted,)):
                found.append(f"status: {ours.status}, listed as {wanted} ({allowed.key}); body {ours.body!r}")
            if not allowed.body:
                return found
        elif ours.status != peer.status:
            found.append(
                f"status: {ours.status}, the peer has {peer.status}; body {ours.body!r}, the peer's {peer.body!r}"
            )
            return found
        found.extend(header_differences(ours, peer))
        leave_out = ready.ignore + (allowed.ignore if allowed else ())
        views = self._view(ready, ours, leave_out), self._view(ready, peer, leave_out)
        if not own_words(*views, peer.status):
            found.extend(differences(*views))
        return found

    def _view(self, step: Step, reply: Reply, leave_out: tuple[str, ...]) -> Any:
        """The part of the body that this step compares, masked."""
        body = deepcopy(reply.body)
        if isinstance(body, dict) and "request_id" in body:
            body.pop("mount_type", None)
            if body.get("wrap_info"):
                body.pop("request_id")
        for dotted in step.mine:
            _keep_own(body, dotted, self.word)
        for dotted in leave_out:
            _drop(body, dotted)
        if step.only:
            body = {dotted: _picked(body, dotted) for dotted in step.only}
        return masked(body)


def _computed(step: Compute, names: dict[str, Any]) -> Any:
    try:
        return step.function(names)
    except Exception as error:  # the answers it needs were wrong already, and that is what gets reported
        return f"no-{step.name}: {error}"


def _unexpected(step: Step, peer: Reply) -> list[str]:
    good = peer.status == step.status if step.status else 200 <= peer.status < 300
    return (
        []
        if good
        else [f"the peer answers {peer.status}, the script says {step.status or '2xx'}: {peer.body!r}"]
    )


def _picked(body: Any, dotted: str) -> Any:
    try:
        return pick(body, dotted)
    except (KeyError, IndexError, TypeError):
        return "<missing>"


def _drop(body: Any, dotted: str) -> None:
    *parents, last = dotted.split(".")
    holder = _picked(body, ".".join(parents)) if parents else body
    if isinstance(holder, dict):
        holder.pop(last, None)


def _keep_own(body: Any, dotted: str, word: str) -> None:
    """Cut a list of names, or an object keyed by names, down to those of this test."""
    *parents, last = dotted.split(".")
    holder = _picked(body, ".".join(parents)) if parents else body
    if not isinstance(holder, dict) or last not in holder:
        return
    value = holder[last]
    if isinstance(value, list):
        holder[last] = [item for item in value if str(item).startswith(word)]
    elif isinstance(value, dict):
        holder[last] = {name: item for name, item in value.items() if name.startswith(word)}
