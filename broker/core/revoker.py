"""Revocation: ending what leases and intents stand for, at their engines, until it works.

Every attempt is bounded in time. What failed is kept with its reason and tried again, later and later; after six times it
is shown as irrevocable and still tried now and then. A mount that was disabled keeps its engine for this until its last
lease is gone.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, cast

import msgspec

from broker.access.permits import release
from broker.access.tokens import LEASES
from broker.core.errands import engine_context
from broker.core.leasing import mount_of, seen
from broker.core.records import ENDED_MOUNTS, EndedMount
from broker.core.routing import Router
from broker.core.sweeps import Sweeps
from broker.core.tenants import Tenant, Tenants
from broker.core.transact import transact
from broker.leases import layout
from broker.leases.backoff import RARELY_SECONDS, failed, sentence
from broker.leases.drains import Drains, Holder
from broker.leases.records import LeaseEntry, TokenLeases
from broker.plugin.context import Mount
from broker.plugin.errors import BrokerError, NotFound, Tampered, Unavailable
from broker.storage.errors import TransactionConflict
from broker.storage.transaction import Transaction

log = logging.getLogger("broker.leases")

TIMEOUT_SECONDS = 30.0
"""How long a target may take to revoke one lease."""
THREADS = 32
HUNG = 4
"""Blocking calls of one mount that may hang in their threads before no more are begun."""
BATCH = 200


class Revoker:
    """Ends leases in one worker: at once for a request that waits, in drains for the steward."""

    def __init__(
        self, tenants: Tenants, *, clock: Callable[[], float], timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        self._tenants = tenants
        self._clock = clock
        self._timeout = timeout_seconds
        self.may_work: Callable[[], bool] = lambda: False
        self.drains = Drains(self._end_due, self._mark, clock=clock, may_work=lambda: self.may_work())
        self.sweeps = Sweeps(clock=clock, may_work=lambda: self.may_work())
        # Threads of their own: a target that hangs takes none from requests.
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="revoke")
        self._hanging: dict[str, int] = {}

    async def close(self) -> None:
        await self.drains.close()
        await self.sweeps.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def meet(self, tenant: Tenant) -> None:
        """Look at every mount of a tenant that has leases: what a new steward does once."""
        tx = await tenant.store.begin()
        for name in await tx.list(layout.BY_MOUNT):
            self.drains.wake(tenant, name.rstrip("/"))

    async def _mark(self, holder: Holder, keys: list[str]) -> None:
        tenant = cast(Tenant, holder)

        async def mark(tx: Transaction) -> None:
            now = self._clock()
            for key in keys:
                try:
                    entry = await tx.load(layout.ROOM + key, LeaseEntry)
                except Tampered:
                    continue
                if entry is not None and not entry.revoking and entry.expires_at <= now:
                    tx.save(layout.ROOM + key, msgspec.structs.replace(entry, revoking=now))

        await transact(tenant.store, mark)

    async def _end_due(self, holder: Holder, row: str, key: str) -> bool:
        """Revoke what a row of the due index tells of."""
        tenant = cast(Tenant, holder)
        tx = await tenant.store.begin()
        try:
            entry = await tx.load(layout.ROOM + key, LeaseEntry)
        except Tampered as error:
            return await self._set_aside(tenant, tx, row, key, error)
        if entry is None or layout.due_name(entry.due, key) != row:
            # Nothing is due under this row: it was moved or removed a moment ago.
            return await self._drop_row(tenant, tx, entry, row, key)
        return await self.end(tenant, key) == ""

    async def _set_aside(self, tenant: Tenant, tx: Transaction, row: str, key: str, error: Tampered) -> bool:
        """Look again later at a lease that does not open: nobody can revoke it, and the mount's others go on meanwhile."""
        log.error("lease.unreadable lease=%s error=%s", key, error)
        later = self._clock() + RARELY_SECONDS
        for name in [folder.rstrip("/") for folder in await tx.list(layout.BY_MOUNT)]:
            if await tx.get(layout.by_mount(name) + row) is not None:
                tx.delete(layout.by_mount(name) + row)
                layout.enter_due(tx, name, later, key)
        return await _settled(tx)

    async def _drop_row(
        self, tenant: Tenant, tx: Transaction, entry: LeaseEntry | None, row: str, key: str
    ) -> bool:
        mount = entry.mount if entry is not None else ""
        if (
            entry is not None
            and await tx.get(layout.by_mount(mount) + layout.due_name(entry.due, key)) is None
        ):
            layout.enter(tx, key, entry)  # it was set aside, and opens again
        for name in [mount] if mount else [n.rstrip("/") for n in await tx.list(layout.BY_MOUNT)]:
            tx.delete(layout.by_mount(name) + row)
        return await _settled(tx)

    async def end(self, tenant: Tenant, key: str) -> str:
        """Revoke one lease or intent now. Returns what went wrong, in a sentence; empty if it is gone."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._undo(tenant, key)
        except (asyncio.CancelledError, TransactionConflict):
            raise
        except Exception as error:  # an engine's own; whatever it is, the lease must stay on the list
            return await self._put_off(tenant, key, error)
        return ""

    async def _undo(self, tenant: Tenant, key: str) -> None:
        """Call the engine and remove the entry, in one transaction.

        On a conflict the engine is asked again: "already gone" is success.
        """

        async def undo(tx: Transaction) -> None:
            entry = await tx.load(layout.ROOM + key, LeaseEntry)
            if entry is None:
                return
            router = await self._tenants.router(tenant, tx)
            mount = await self._mount(tx, router, entry.mount)
            context = engine_context(tenant, mount, tx, self._clock(), path=_below(entry.path, mount))
            context.blocking = partial(self._blocking, mount.uuid)
            await router.engine_of(mount).revoke_lease(context, seen(key, entry))
            layout.remove(tx, key, entry)
            await release(tx, entry.permit)

        await transact(tenant.store, undo)

    async def _mount(self, tx: Transaction, router: Router, uuid: str) -> Mount:
        """Return a mount by id, a disabled one too. Raises: NotFound."""
        mount = mount_of(router, uuid)
        if mount is not None:
            return mount
        ended = await tx.load(ENDED_MOUNTS + uuid, EndedMount)
        if ended is None:
            raise NotFound("the mount does not exist any more")
        return ended.mount

    async def _put_off(self, tenant: Tenant, key: str, error: Exception) -> str:
        """Keep a failure with its lease, and say when to try again; a forced one is forgotten instead."""
        reason = sentence(error)
        if not isinstance(error, BrokerError | TimeoutError):
            log.warning("lease.engine_error error=%s", type(error).__name__)

        async def put_off(tx: Transaction) -> str:
            entry = await tx.load(layout.ROOM + key, LeaseEntry)
            if entry is None:
                return ""
            if entry.forced:
                log.warning("lease.forgotten lease=%s reason=%s", key, reason)
                layout.remove(tx, key, entry)
                await release(tx, entry.permit)
                return ""
            new = failed(entry, error, self._clock())
            layout.change(tx, key, entry, new)
            if new.irrevocable and not entry.irrevocable:
                tx.on_commit(lambda: log.error("lease.irrevocable lease=%s reason=%s", key, reason))
            return reason

        return await transact(tenant.store, put_off)

    async def _blocking(self, mount: str, function: Callable[..., Any], *args: Any) -> Any:
        """Run a call in one of the threads for revocation; what ``ctx.blocking`` is here."""
        if self._hanging.get(mount, 0) >= HUNG + 16:
            raise Unavailable("earlier calls to the target still hang")
        self._hanging[mount] = self._hanging.get(mount, 0) + 1
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._threads, partial(function, *args))
        future.add_done_callback(lambda _: self._returned(mount))
        return await asyncio.shield(future)

    def _returned(self, mount: str) -> None:
        left = self._hanging.pop(mount, 1) - 1
        if left > 0:
            self._hanging[mount] = left

    # What dies with a token

    async def let_go(self, tenant: Tenant, tx: Transaction, token: str) -> bool:
        """Take one bounded step in revoking what was leased to a dead token. Returns whether all of it is on its way."""
        try:
            known = await tx.load(LEASES + token, TokenLeases)
        except Tampered as error:
            log.error("lease.unreadable namespace=%s error=%s", tenant.info.uuid, error)
            known = TokenLeases(
                (tenant.info.path,)
            )  # what namespaces below gave it ends when its time has come
        if known is None:
            return True
        for path in known.tenants:
            if path == tenant.info.path:
                if not await queue_of_token(tx, token, self._clock()):
                    return False
            elif not await self._let_go_below(path, token):
                return False
        return True

    async def _let_go_below(self, path: str, token: str) -> bool:
        """As ``let_go``, in a namespace below the token's, where it leaves a note that the token is gone."""
        try:
            there = (await self._tenants.resolve(path, "")).tenant
        except NotFound:
            return True
        tx = await there.store.begin()
        done = await queue_of_token(tx, token, self._clock())
        if done:
            tx.save(LEASES + token, TokenLeases(ended=True))
        await tx.commit()
        return done


async def queue_of_token(tx: Transaction, token: str, now: float) -> bool:
    """Queue up to ``BATCH`` leases of a token for revocation. Returns whether none are left."""
    prefix = f"{layout.BY_TOKEN}{token}/"
    names = await tx.scan(prefix, limit=BATCH)
    for lease_id in names:
        key = layout.lease_key(lease_id)
        tx.delete(prefix + lease_id)
        try:
            entry = await tx.load(layout.ROOM + key, LeaseEntry)
        except Tampered as error:
            log.error("lease.unreadable lease=%s error=%s", key, error)
            continue
        if entry is not None:
            layout.queue(tx, key, entry, now)
    return len(names) < BATCH


async def _settled(tx: Transaction) -> bool:
    """Commit, unless another was faster. Returns whether it is done."""
    try:
        await tx.commit()
    except TransactionConflict:
        return False
    return True


def _below(path: str, mount: Mount) -> str:
    return path[len(mount.prefix) :] if path.startswith(mount.prefix) else path
