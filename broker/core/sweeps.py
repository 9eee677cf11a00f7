"""Sweeps: revoking everything below a prefix of lease ids, or everything of a mount, in bounded steps."""

import asyncio
import logging
import re
from collections.abc import Callable

import msgspec

from broker.access.records import TokenEntry
from broker.access.tokens import ID, LEASE, base62, lease_path
from broker.core.pace import Pace
from broker.core.tenants import Tenant
from broker.leases import layout
from broker.leases.records import LeaseEntry, Sweep
from broker.plugin.errors import BrokerError, Tampered
from broker.storage.due import mark_due
from broker.storage.errors import TransactionConflict
from broker.storage.transaction import Transaction

log = logging.getLogger("broker.leases")

KIND = "sweep"
TIDY = "tidy-leases"
TIDIED = 200
STEP = 20
"""Leases in one transaction: a few milliseconds, so that requests of the same worker hardly notice."""
TOKEN_LEASE = re.compile(r"(.+)/h[0-9a-f]{8}([0-9a-f]{64})(?:\.[0-9A-Za-z]+)?", re.ASCII | re.DOTALL)
"""The lease id of a token: the path that made it, and its storage name."""


async def step(
    tenant: Tenant, tx: Transaction, sweep: Sweep, now: float, *, limit: int = STEP
) -> tuple[Sweep | None, list[str]]:
    """Queue the next ``limit`` leases of a sweep, and revoke tokens outright. Below a prefix, what failed is tried again.

    Returns the rest of the sweep (``None`` at its end) and the keys that were queued.
    """
    room = layout.by_mount(sweep.mount) if sweep.mount else LEASE + sweep.prefix
    names = await tx.scan(room, after=sweep.after, limit=limit)
    queued: list[str] = []
    for name in names:
        key = layout.parse_due(name)[1] if sweep.mount else layout.lease_key(sweep.prefix + name)
        named = TOKEN_LEASE.fullmatch(layout.lease_id_of(key))
        if named is not None:
            await _end_token(tenant, tx, named[2], key, sweep, now)
            continue
        try:
            entry = await tx.load(layout.ROOM + key, LeaseEntry)
        except Tampered as error:
            await _pass_by(tx, key, error, forced=sweep.forced)
            if not sweep.forced:
                queued.append(key)  # whoever waits for it is told that it failed
            continue
        if entry is not None and entry.issued_at <= sweep.until:
            # A mount's sweep goes by due times, where it would meet what fails a second time.
            layout.queue(tx, key, entry, now, forced=sweep.forced, again=not sweep.mount)
            queued.append(key)
    if len(names) < limit:
        return None, queued
    return msgspec.structs.replace(sweep, after=names[-1]), queued


async def _pass_by(tx: Transaction, key: str, error: Tampered, *, forced: bool) -> None:
    """Leave a lease that does not open to whoever forces its end: it must not keep the others from theirs."""
    if forced:
        log.warning("lease.forgotten lease=%s reason=%s", key, error)
        await layout.forget(tx, key)
    else:
        log.error("lease.unreadable lease=%s error=%s", key, error)


async def end_unreadable(tenant: Tenant, tx: Transaction, lease_id: str, now: float) -> bool:
    """Revoke the token whose own lease this is, though its entry does not open. Returns whether it is a token's lease."""
    named = TOKEN_LEASE.fullmatch(lease_id)
    if named is None:
        return False
    await tenant.tokens.revoke(tx, named[2], now=now)
    tx.delete(LEASE + lease_id)
    return True


async def _end_token(tenant: Tenant, tx: Transaction, name: str, key: str, sweep: Sweep, now: float) -> None:
    try:
        entry = await tx.load(ID + name, TokenEntry)
    except Tampered:
        await end_unreadable(tenant, tx, layout.lease_id_of(key), now)
        return
    if entry is None:
        tx.delete(layout.ROOM + key)  # a mark without its token
    elif entry.created_at <= sweep.until and lease_path(name, entry) == layout.ROOM + key:
        await tenant.tokens.revoke(tx, name, now=now)


def put(tx: Transaction, sweep: Sweep, now: float) -> None:
    """Have the steward go on with a sweep."""
    name = base62(16)
    tx.save(layout.SWEEP + name, sweep)
    mark_due(tx, now, KIND, name)


def put_all(tx: Transaction, before: int) -> None:
    """Have the steward revoke everything that was handed out before a full second (Unix time)."""
    put(tx, Sweep("", until=before - 0.001), before)


async def tidy(tx: Transaction, after: str, now: float) -> None:
    """Take one bounded step through the leases behind ``after``, and enter the next one as due.

    Sees to it that every lease has its place in the due index, and every token's mark its token. Nothing should lack
    these, so it costs only reads.
    """
    names = await tx.scan(LEASE, after=after, limit=TIDIED)
    for name in names:
        try:
            await _tidy_one(tx, name)
        except Tampered as error:
            log.error("lease.unreadable lease=%s error=%s", name, error)
    if len(names) == TIDIED:
        mark_due(tx, now, TIDY, names[-1])


async def _tidy_one(tx: Transaction, name: str) -> None:
    key = layout.lease_key(name)
    named = TOKEN_LEASE.fullmatch(name)
    if named is not None:
        if await tx.load(ID + named[2], TokenEntry) is None:
            tx.delete(layout.ROOM + key)
        return
    entry = await tx.load(layout.ROOM + key, LeaseEntry)
    if entry is not None:
        row = layout.by_mount(entry.mount) + layout.due_name(entry.due, key)
        if await tx.get(row) is None:
            layout.enter(tx, key, entry)


class Sweeps:
    """The sweeps that go on in this worker, while it is the steward."""

    def __init__(self, *, clock: Callable[[], float], may_work: Callable[[], bool]) -> None:
        self._clock = clock
        self._may_work = may_work
        self._running: dict[str, asyncio.Task[None]] = {}

    async def close(self) -> None:
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def due(self, tenant: Tenant, tx: Transaction, name: str) -> bool:
        """See to it that a sweep goes on. Returns whether it is at its end."""
        if await tx.load(layout.SWEEP + name, Sweep) is None:
            return True
        if name not in self._running:
            task = asyncio.create_task(self._run(tenant, name), name="sweep-leases")
            self._running[name] = task
            task.add_done_callback(lambda _: self._running.pop(name, None))
        return False

    async def _run(self, tenant: Tenant, name: str) -> None:
        try:
            pace = Pace()
            while self._may_work():
                if await self._step(tenant, name):
                    return
                await pace.rest()
        except (BrokerError, OSError) as error:
            log.warning("lease.sweep_failed error=%s", type(error).__name__)

    async def _step(self, tenant: Tenant, name: str) -> bool:
        tx = await tenant.store.begin()
        sweep = await tx.load(layout.SWEEP + name, Sweep)
        if sweep is None:
            return True
        rest, _ = await step(tenant, tx, sweep, self._clock())
        if rest is None:
            tx.delete(layout.SWEEP + name)
        else:
            tx.save(layout.SWEEP + name, rest)
        try:
            await tx.commit()
        except TransactionConflict:
            return False
        return rest is None
