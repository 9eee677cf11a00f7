"""Group commit: all transactions that wait for one store become durable with one write.

While a commit runs, newcomers gather; they are the next group, and so are those who come while that waits for other
processes to be done with the store. A commit begins when the loop has brought nobody new for two turns, or has been at it for a
few milliseconds: an idle loop turns in microseconds, and a busy one makes fewer and larger groups.
"""

import asyncio
import sys
from dataclasses import dataclass
from typing import Protocol

from broker.plugin.storage import Batch, Committed, Rejected, Store

SWITCH_SECONDS = 0.0001
"""How long a thread waits for its turn at the interpreter before it asks the loop to make way.

A commit ends in a thread. With Python's default of 5 ms, a loop that is busy but often lets go for a moment (each
poll) starves that thread for seconds: it is woken too late to take its turn, and never waits long enough to ask.
"""

MAX_GROUP = 512
"""Batches folded into one commit; more wait for the next, which bounds the time a commit takes."""


QUIET_TURNS = 2
"""Turns of the loop without a newcomer after which a commit begins."""

GATHER_SECONDS = 0.004
"""The longest that a commit waits for newcomers, however many come."""

NOBODYS = range(0)
"""No revisions of one's own: the change feed tells what is new."""


class Landing(Protocol):
    """Hears of a batch's fate before its submitter does, even if the submitter has gone away."""

    def landed(self, revision: int) -> None:
        """The batch is durable. Must not raise and must not block."""

    def announce(self, own: range) -> None:
        """Tell the node that the store changed, or may have; called once for a group, after all have landed.

        ``own`` are the revisions that the group made; none if that is not known.
        """


@dataclass(slots=True)
class _Member:
    batch: Batch
    landing: Landing | None
    future: "asyncio.Future[Committed | Rejected]"


class Writer:
    """The one writer of a worker; serves every store and keeps a queue for each.

    Making one shortens the process's thread switch interval to ``SWITCH_SECONDS``.
    """

    def __init__(self) -> None:
        if sys.getswitchinterval() > SWITCH_SECONDS:
            sys.setswitchinterval(SWITCH_SECONDS)
        self._waiting: dict[Store, list[_Member]] = {}
        self._running: dict[Store, asyncio.Task[None]] = {}

    async def submit(
        self, store: Store, batch: Batch, landing: Landing | None = None
    ) -> Committed | Rejected:
        """Commit a batch together with all others that wait for the same store.

        Returns when the batch is durable or refused. A failing commit raises for all of its members. A
        cancelled caller does not take the batch back: it may still commit, and ``landing`` hears of it.
        """
        future: asyncio.Future[Committed | Rejected] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(store, []).append(_Member(batch, landing, future))
        if store not in self._running:
            self._running[store] = asyncio.create_task(self._drain(store))
        return await future

    async def flush(self) -> None:
        """Wait until nothing is queued or under way."""
        while self._running:
            await asyncio.wait(list(self._running.values()))

    async def _drain(self, store: Store) -> None:
        waiting = self._waiting[store]
        try:
            while waiting:
                await _gather(waiting)
                await _commit(store, _Group(waiting))
        finally:
            # No suspension since the queue was seen empty: a newcomer starts a task of its own.
            del self._waiting[store], self._running[store]
            _fail(waiting, asyncio.CancelledError())


async def _gather(waiting: list[_Member]) -> None:
    """Wait until nobody else is about to join, if that is soon."""
    loop = asyncio.get_running_loop()
    latest = loop.time() + GATHER_SECONDS
    seen, quiet = 0, 0
    while quiet < QUIET_TURNS and len(waiting) < MAX_GROUP and loop.time() < latest:
        quiet = quiet + 1 if seen == len(waiting) else 0
        seen = len(waiting)
        await asyncio.sleep(0)


class _Group:
    """The members of one commit, taken from the queue at the last moment: when the store can write."""

    def __init__(self, waiting: list[_Member]) -> None:
        self._waiting = waiting
        self.members: list[_Member] = []

    def take(self) -> list[Batch]:
        """Take who waits now. The loop may add to the queue's end meanwhile, and nobody else takes from it."""
        if not self.members:
            self.members = self._waiting[:MAX_GROUP]
            del self._waiting[: len(self.members)]
        return [member.batch for member in self.members]


async def _commit(store: Store, taken: _Group) -> None:
    try:
        outcomes = await store.commit_next(taken.take)
    except BaseException as error:
        taken.take()  # who waited for a store that could not even begin
        _fail(taken.members, error)
        if not isinstance(error, Exception):
            raise
        return
    group = taken.members
    # Every landing (cache, announcement) comes before any submitter runs again.
    for member, outcome in zip(group, outcomes, strict=True):
        if isinstance(outcome, Committed) and member.landing is not None:
            member.landing.landed(outcome.revision)
    made = [
        outcome.revision
        for member, outcome in zip(group, outcomes, strict=True)
        if isinstance(outcome, Committed) and member.batch.writes
    ]
    if made:
        whole = made[-1] - made[0] == len(made) - 1  # else another's commits may lie between
        _announce(group, range(made[0], made[-1] + 1) if whole else NOBODYS)
    for member, outcome in zip(group, outcomes, strict=True):
        if not member.future.done():
            member.future.set_result(outcome)


def _announce(group: list[_Member], own: range = NOBODYS) -> None:
    # One store is one tenant: whoever has a landing speaks for all.
    landing = next((member.landing for member in group if member.landing is not None), None)
    if landing is not None:
        landing.announce(own)


def _fail(group: list[_Member], error: BaseException) -> None:
    # The commit may have reached the disk all the same: everybody looks.
    _announce(group)
    for member in group:
        if member.future.done():
            continue
        if isinstance(error, asyncio.CancelledError):
            member.future.cancel()
        else:
            member.future.set_exception(error)
