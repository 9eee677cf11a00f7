"""Work that falls due: one worker of the cluster holds the steward's lock and does it; every worker keeps itself in step.

Due work is found through the time-ordered index below ``sys/due/``, so a tick costs what is due, not what exists.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from broker.access.records import DueEntry
from broker.access.tokens import DUE
from broker.barrier.keyring import utc_now
from broker.core.reencrypt import TICK_SECONDS as REENCRYPT_SECONDS
from broker.core.reencrypt import advance
from broker.core.routing import storage_prefix
from broker.core.sealing import SealState
from broker.core.system.mount_table import erase_data
from broker.core.tenants import Tenant, Tenants
from broker.plugin.errors import BrokerError
from broker.plugin.storage import Backend, HeldLock
from broker.storage.errors import TransactionConflict
from broker.storage.transaction import Transaction

log = logging.getLogger("broker.steward")

TICK_SECONDS = 1.0
BATCH = 200

_following: set[asyncio.Task[None]] = set()
"""Tasks that leave the unsealed state; kept here so that they are not collected before they are done."""


class Steward:
    """Expiry and rotation, every second, in the worker that holds the lock."""

    def __init__(
        self,
        *,
        seal: SealState,
        tenants: Tenants,
        backend: Backend,
        upkeep: Callable[[], Awaitable[None]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._seal = seal
        self._tenants = tenants
        self._backend = backend
        self._upkeep = upkeep
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._lock: HeldLock | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="steward")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._release()

    async def _release(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            await lock.release()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            if self._seal.current() is None:
                # Sealed by another worker, and no request has come here since: drop what this one still holds.
                # Leaving closes this very task, so it is done by one of its own.
                task = asyncio.create_task(self._follow(), name="follow-seal")
                _following.add(task)
                task.add_done_callback(_following.discard)
                continue
            try:
                await self._tick()
            except (BrokerError, OSError) as error:
                log.warning("steward.tick_failed error=%s", type(error).__name__)

    async def _follow(self) -> None:
        try:
            await self._seal.enter()
        except (BrokerError, OSError) as error:
            log.warning("steward.follow_failed error=%s", type(error).__name__)

    async def _tick(self) -> None:
        """One second's work: in every worker its own upkeep, in the lock's holder the cluster's."""
        for tenant in self._tenants.all_open():
            await tenant.store.poll()
        await self._upkeep()
        await self._seal.reload_keyring()
        await self._seal.reserve_encryptions()
        if self._lock is None or not self._lock.held():
            self._lock = await self._backend.try_lock("steward")
        if self._lock is None:
            return
        keyring = self._seal.keyring()
        if keyring is not None and (reason := keyring.due(utc_now())):
            await self._seal.rotate()
            log.info("barrier.rotated reason=%s", reason)
        until = time.monotonic() + REENCRYPT_SECONDS
        async for tenant in self._tenants.walk():
            await self._expire(tenant)
            ring = self._seal.keyring()
            if ring is not None:
                await advance(tenant, ring, until=until)

    async def _expire(self, tenant: Tenant) -> None:
        """Do what is due in one tenant, at most ``BATCH`` entries in a tick."""
        limit = f"{int(self._clock() * 1000):016d}/"
        tx = await tenant.store.begin()
        for path in await tx.scan(DUE, limit=BATCH):
            if path >= limit:
                return
            try:
                await self._settle(tenant, path)
            except TransactionConflict:
                continue

    async def _settle(self, tenant: Tenant, path: str) -> None:
        tx = await tenant.store.begin()
        due = await tx.load(DUE + path, DueEntry)
        if due is None:
            return
        if await self._step(tenant, tx, due):
            tx.delete(DUE + path)
        await tx.commit()  # where more is left, the due entry stays for the next step

    async def _step(self, tenant: Tenant, tx: Transaction, due: DueEntry) -> bool:
        """Take one bounded step of what is due. Returns whether it is done."""
        if due.kind == "token":
            return await tenant.tokens.clear(tx, due.name, now=self._clock())
        if due.kind == "mount":
            return await erase_data(tx, f"logical/{due.name}/")
        if due.kind == "adopt":
            router = await self._tenants.router(tenant, tx)
            mount = next((mount for mount in router.table.mounts if mount.uuid == due.name), None)
            if mount is None:
                return True
            view = tx.view(storage_prefix(mount))
            return not await router.engine_of(mount).adopt(view, now=self._clock())
        if due.kind == "tenant":
            await self._tenants.destroy(due.name)
            return True
        log.error("steward.unknown_kind kind=%s", due.kind)
        return True
