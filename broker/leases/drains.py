"""Drains: what is due of a mount's leases is revoked, several at once, never more than its target stands.

One drain per mount at a time, and only while this worker is the cluster's steward. A target that fails or hangs is asked
less and less often at once, down to one; the others do not wait for it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from typing import Protocol

from broker.leases.layout import by_mount, parse_due
from broker.plugin.errors import BrokerError
from broker.storage.tenant import TenantStore

log = logging.getLogger("broker.leases")

PER_MOUNT = 16
"""Revocations under way at one mount."""
ALTOGETHER = 256
PAGE = 128
SOON_SECONDS = 1.5
"""A lease that falls due this soon is waited for; the steward wakes a drain up to a second early."""


class Holder(Protocol):
    """A tenant, as far as a drain looks at it."""

    @property
    def store(self) -> TenantStore: ...


End = Callable[[Holder, str, str], Awaitable[bool]]
"""``end(tenant, due_row, key)``: revoke one, or put it off. Returns whether it is gone."""


class Drains:
    """The drains of one worker. ``wake`` starts one where none runs."""

    def __init__(
        self,
        end: End,
        mark: Callable[[Holder, list[str]], Awaitable[None]],
        *,
        clock: Callable[[], float],
        may_work: Callable[[], bool],
    ) -> None:
        self._end = end
        self._mark = mark
        self._clock = clock
        self._may_work = may_work
        self._running: dict[Hashable, asyncio.Task[None]] = {}
        self._again: set[Hashable] = set()
        self._slots = asyncio.Semaphore(ALTOGETHER)

    def wake(self, tenant: Holder, mount: str) -> None:
        """See to it that what is due at a mount is revoked."""
        place = (id(tenant), mount)
        if place in self._running:
            self._again.add(place)  # it may have looked already
            return
        self._again.discard(place)
        task = asyncio.create_task(self._run(tenant, mount), name=f"drain-{mount}")
        self._running[place] = task
        task.add_done_callback(lambda _: self._ended(tenant, mount))

    def _ended(self, tenant: Holder, mount: str) -> None:
        place = (id(tenant), mount)
        self._running.pop(place, None)
        if place in self._again and self._may_work():
            self.wake(tenant, mount)

    @property
    def idle(self) -> bool:
        return not self._running

    async def close(self) -> None:
        """Stop. What was under way is done again by whoever is steward next."""
        tasks = list(self._running.values())
        self._again.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._running.clear()
        self._again.clear()

    async def _run(self, tenant: Holder, mount: str) -> None:
        try:
            await _Drain(self, tenant, mount).run()
        except (BrokerError, OSError) as error:
            log.warning("lease.drain_failed mount=%s error=%s", mount, type(error).__name__)

    # What a drain works with

    @property
    def slots(self) -> asyncio.Semaphore:
        return self._slots

    def now(self) -> float:
        return self._clock()

    def may_work(self) -> bool:
        return self._may_work()

    async def end(self, tenant: Holder, row: str, key: str) -> bool:
        return await self._end(tenant, row, key)

    async def mark(self, tenant: Holder, keys: list[str]) -> None:
        await self._mark(tenant, keys)


class _Drain:
    """One pass over a mount's due index, until nothing is due there."""

    def __init__(self, drains: Drains, tenant: Holder, mount: str) -> None:
        self._drains = drains
        self._tenant = tenant
        self._prefix = by_mount(mount)
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._limit = PER_MOUNT

    async def run(self) -> None:
        try:
            while self._drains.may_work():
                rows, head = await self._due()
                if rows:
                    await self._mark_all(rows)
                    for row in rows:
                        await self._start(row)
                elif self._busy:
                    await self._one_done()
                elif head is not None and (wait := head - self._drains.now()) < SOON_SECONDS:
                    await asyncio.sleep(max(wait, 0.001))
                else:
                    return
        finally:
            for task in self._busy.values():
                task.cancel()
            await asyncio.gather(*self._busy.values(), return_exceptions=True)

    async def _due(self) -> tuple[list[str], float | None]:
        """Return the rows that are due and not under way, and when the next one is."""
        tx = await self._tenant.store.begin()
        now = self._drains.now()
        rows = await tx.scan(self._prefix, limit=PAGE + len(self._busy))
        open_rows = [row for row in rows if row not in self._busy]
        due = [row for row in open_rows if parse_due(row)[0] <= now]
        return due, parse_due(open_rows[0])[0] if open_rows else None

    async def _mark_all(self, rows: list[str]) -> None:
        """Note for all that they end, so that no renewal that is under way revives one."""
        try:
            await self._drains.mark(self._tenant, [parse_due(row)[1] for row in rows])
        except BrokerError as error:
            log.warning("lease.mark_failed error=%s", type(error).__name__)

    async def _start(self, row: str) -> None:
        while len(self._busy) >= self._limit:
            await self._one_done()
        await self._drains.slots.acquire()
        task = asyncio.create_task(self._one(row))
        self._busy[row] = task
        task.add_done_callback(lambda _: self._drains.slots.release())

    async def _one_done(self) -> None:
        await asyncio.wait(self._busy.values(), return_when=asyncio.FIRST_COMPLETED)

    async def _one(self, row: str) -> None:
        gone = False
        try:
            gone = await self._drains.end(self._tenant, row, parse_due(row)[1])
        except (BrokerError, OSError) as error:
            # Not even the failure could be stored; the row is still due, so there must be a pause.
            log.warning("lease.revoke_failed error=%s", type(error).__name__)
            await asyncio.sleep(1)
        finally:
            self._limit = min(PER_MOUNT, self._limit + 1) if gone else max(1, self._limit // 2)
            self._busy.pop(row, None)
