"""What falls due in a tenant, and the bounded step that each kind of it takes."""

import logging
import time
from collections.abc import Callable

from broker.access.mfa.records import SECRET
from broker.core import ending, errands, lockout, sweeps
from broker.core.identity import mfa_methods
from broker.core.mfa import pending
from broker.core.pace import Pace
from broker.core.revoker import Revoker
from broker.core.routing import storage_prefix
from broker.core.system.mount_table import erase_data
from broker.core.tenants import Tenant, Tenants
from broker.leases import layout
from broker.leases.layout import parse_due
from broker.plugin.errors import BrokerError, Tampered
from broker.storage.due import DUE, DueEntry, due_at, name_in
from broker.storage.errors import TransactionConflict
from broker.storage.transaction import Transaction

log = logging.getLogger("broker.steward")

BATCH = 200
TOGETHER = 20
"""Dead tokens that are cleared in one commit."""
SETTLE_SECONDS = 0.4
"""How long one visit may go on while more is due."""
ASIDE_SECONDS = 600.0
"""After how long it is tried again to see to what rests on an entry that does not open."""


class Duties:
    """Expired and revoked tokens, data of disabled mounts, upgrades, deleted tenants."""

    def __init__(self, tenants: Tenants, revoker: Revoker, *, clock: Callable[[], float] = time.time) -> None:
        self._tenants = tenants
        self._revoker = revoker
        self._clock = clock
        self._aside: dict[str, dict[str, float]] = {}
        """By tenant, rows of the due index that cannot be seen to because an entry does not open, and when to try again."""

    async def meet(self, tenant: Tenant) -> None:
        """Look at what an earlier steward may have left half done."""
        await self._revoker.meet(tenant)

    async def settle(self, tenant: Tenant) -> float | None:
        """Do what is due in a tenant, for a while. Returns when the next falls due (Unix seconds), if any."""
        await self._wake(tenant)
        until = time.monotonic() + SETTLE_SECONDS
        more = True
        while more:
            more = await self._settle_some(tenant) and time.monotonic() < until
        return await self._next(tenant)

    async def _next(self, tenant: Tenant) -> float | None:
        tx = await tenant.store.begin()
        aside = self._aside.get(tenant.info.uuid, {})
        rows = [row for row in await tx.scan(DUE, limit=1 + len(aside)) if row not in aside]
        heads = [*rows[:1], *await tx.scan(layout.WAKE, limit=1)]
        return min((*(due_at(head) for head in heads), *aside.values()), default=None)

    async def _wake(self, tenant: Tenant) -> None:
        """Have the leases revoked that are due: each mount's in a drain of its own, and nobody waits for them here."""
        now = self._clock()
        tx = await tenant.store.begin()
        for row in await tx.scan(layout.WAKE, limit=BATCH):
            when, mount = parse_due(row)
            if when > now:
                break
            self._revoker.drains.wake(tenant, mount)
            tx.delete(layout.WAKE + row)
        await tx.commit()

    async def _settle_some(self, tenant: Tenant) -> bool:
        """Do what is due, at most ``BATCH`` entries. Returns whether there were as many."""
        now = self._clock()
        tx = await tenant.store.begin()
        aside = self._aside.get(tenant.info.uuid, {})
        for path in [path for path, again in aside.items() if again <= now]:
            del aside[path]
        found = await tx.scan(DUE, limit=BATCH + len(aside))
        rows = [path for path in found if due_at(path) <= now and path not in aside][:BATCH]
        tokens = [path for path in rows if name_in(path, "token") is not None]
        pace = Pace()
        for at in range(0, len(tokens), TOGETHER):
            await self._clear(tenant, tokens[at : at + TOGETHER])
            await pace.rest()
        for path in rows:
            if path not in tokens:
                await self._settle_alone(tenant, path)
        return len(rows) == BATCH

    async def _clear(self, tenant: Tenant, paths: list[str]) -> None:
        """Clear dead tokens together; one by one if that fails."""
        tx = await tenant.store.begin()
        try:
            for path in paths:
                due = await tx.load(DUE + path, DueEntry)
                if due is not None and await self._step(tenant, tx, due):
                    tx.delete(DUE + path)
            await tx.commit()
        except BrokerError:
            for path in paths:
                await self._settle_alone(tenant, path)

    async def _settle_alone(self, tenant: Tenant, path: str) -> None:
        try:
            await self._settle_one(tenant, path)
        except TransactionConflict:
            return  # it is still due
        except Tampered as error:
            self._set_aside(tenant, path, error)
        except BrokerError as error:
            log.warning(
                "steward.step_failed error=%s", type(error).__name__
            )  # the others must not wait for it

    def _set_aside(self, tenant: Tenant, path: str, error: Tampered) -> None:
        log.error("steward.unreadable namespace=%s due=%s error=%s", tenant.info.uuid, path, error)
        aside = self._aside.setdefault(tenant.info.uuid, {})
        aside[path] = self._clock() + ASIDE_SECONDS

    async def _settle_one(self, tenant: Tenant, path: str) -> None:
        tx = await tenant.store.begin()
        try:
            due = await tx.load(DUE + path, DueEntry)
        except Tampered:
            token = name_in(path, "token")
            if token is None:
                raise
            # Its path tells which token; whether that is over, the token itself has to tell.
            await tx.discard(DUE + path)
            await tenant.tokens.reinstate_due(tx, token, now=self._clock())
            await tx.commit()
            return
        if due is None:
            return
        if await self._step(tenant, tx, due):
            tx.delete(DUE + path)
        await tx.commit()  # where more is left, the due entry stays for the next step

    async def _step(self, tenant: Tenant, tx: Transaction, due: DueEntry) -> bool:
        """Take one bounded step of what is due. Returns whether it is done."""
        if due.kind == "token":
            if not await self._revoker.let_go(tenant, tx, due.name):
                return False
            return await tenant.tokens.clear(tx, due.name, now=self._clock())
        if due.kind == sweeps.KIND:
            return await self._revoker.sweeps.due(tenant, tx, due.name)
        if due.kind == "tidy":
            await tenant.tokens.tidy(tx, due.name, now=self._clock())
            return True
        if due.kind == ending.KIND:
            return await ending.step(tx, due.name)
        if due.kind == ending.NAMESPACE:
            return await ending.step_namespace(
                self._tenants, self._revoker, tenant, tx, due.name, self._clock()
            )
        if due.kind == sweeps.TIDY:
            await sweeps.tidy(tx, due.name, self._clock())
            return True
        if due.kind == "adopt":
            router = await self._tenants.router(tenant, tx)
            mount = next((mount for mount in router.table.mounts if mount.uuid == due.name), None)
            if mount is None:
                return True
            view = tx.view(storage_prefix(mount))
            return not await router.engine_of(mount).adopt(view, now=self._clock())
        if due.kind == pending.KIND:
            pending.forget(tx, due.name)
            return True
        if due.kind == mfa_methods.KIND:
            return await erase_data(tx, f"{SECRET}{due.name}/")
        if due.kind == errands.KIND:
            router = await self._tenants.router(tenant, tx)
            await errands.run_errand(tenant, router, tx, due.name, self._clock())
            return True
        if due.kind == lockout.KIND:
            await lockout.clear(tx, due.name, now=self._clock())
            return True
        if due.kind == "tenant":
            await self._tenants.destroy(due.name)
            return True
        log.error("steward.unknown_kind kind=%s", due.kind)
        return True
