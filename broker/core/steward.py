"""Work that falls due: one worker of the cluster holds the steward's lock and does it; every worker keeps itself in step.

Due work is found through the time-ordered index below ``sys/due/`` of tenants that changed or whose time has come, so a
tick costs what is due, not what exists.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from broker.barrier.keyring import utc_now
from broker.core.anchoring import Anchors
from broker.core.duties import Duties
from broker.core.revoker import Revoker
from broker.core.rounds import Rounds
from broker.core.sealing import SealState
from broker.core.system.ceremony import settle_root_key
from broker.core.tenants import Tenants
from broker.plugin.errors import BrokerError
from broker.plugin.storage import Backend, HeldLock

log = logging.getLogger("broker.steward")

TICK_SECONDS = 1.0
POLLED = 16
"""Stores asked for unannounced news in a tick, besides the root's."""

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
        anchors: Anchors,
        revoker: Revoker,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._seal = seal
        self._tenants = tenants
        self._backend = backend
        self._upkeep = upkeep
        self._anchors = anchors
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._lock: HeldLock | None = None
        self._polled = 0
        self._revoker = revoker
        revoker.may_work = self._holds
        self._rounds = Rounds(seal, tenants, Duties(tenants, revoker, clock=clock), clock=clock)

    def _holds(self) -> bool:
        return self._lock is not None and self._lock.held() and self._seal.current() is not None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="steward")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._revoker.close()
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

    async def _poll(self) -> None:
        """Ask a few stores for news that nobody announced; every open one gets its turn."""
        opened = self._tenants.all_open()
        self._polled = self._polled % len(opened)
        turn = opened[self._polled : self._polled + POLLED]
        self._polled += POLLED
        for tenant in {id(tenant): tenant for tenant in (self._tenants.root, *turn)}.values():
            if not await self._tenants.drop_if_deleted(tenant):
                await tenant.store.poll()

    async def _tick(self) -> None:
        """One second's work: in every worker its own upkeep, in the lock's holder the cluster's."""
        await self._poll()
        await self._upkeep()
        await settle_root_key(self._seal)
        await self._seal.reload_keyring()
        await self._seal.reserve_encryptions()
        if self._lock is None or not self._lock.held():
            self._lock = await self._backend.try_lock("steward")
            self._rounds.forget()  # somebody else may have been steward since
            self._anchors.forget()
        if self._lock is None:
            return
        keyring = self._seal.keyring()
        if keyring is not None and (reason := keyring.due(utc_now())):
            await self._seal.rotate()
            log.info("barrier.rotated reason=%s", reason)
        await self._rounds.walk()
        stores = [tenant.store for tenant in self._tenants.all_open()]
        await self._anchors.keep(self._seal.node, self._tenants.root.store, stores)
