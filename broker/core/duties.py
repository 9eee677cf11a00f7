"""What falls due in a tenant, and the bounded step that each kind of it takes."""

import logging
import time
from collections.abc import Callable

from broker.access.records import DueEntry
from broker.access.tokens import DUE
from broker.core import errands, lockout
from broker.core.routing import storage_prefix
from broker.core.system.mount_table import erase_data
from broker.core.tenants import Tenant, Tenants
from broker.storage.errors import TransactionConflict
from broker.storage.transaction import Transaction

log = logging.getLogger("broker.steward")

BATCH = 200


class Duties:
    """Expired and revoked tokens, data of disabled mounts, upgrades, deleted tenants."""

    def __init__(self, tenants: Tenants, *, clock: Callable[[], float] = time.time) -> None:
        self._tenants = tenants
        self._clock = clock

    async def settle(self, tenant: Tenant) -> float | None:
        """Do what is due in a tenant, at most ``BATCH`` entries. Returns when the next falls due (Unix seconds), if any."""
        now = self._clock()
        tx = await tenant.store.begin()
        for path in await tx.scan(DUE, limit=BATCH):
            when = _when(path)
            if when > now:
                return when
            try:
                await self._settle_one(tenant, path)
            except TransactionConflict:
                continue
        tx = await tenant.store.begin()
        left = await tx.scan(DUE, limit=1)
        return _when(left[0]) if left else None

    async def _settle_one(self, tenant: Tenant, path: str) -> None:
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
        if due.kind == "tidy":
            await tenant.tokens.tidy(tx, due.name, now=self._clock())
            return True
        if due.kind == "mount":
            return await erase_data(tx, f"logical/{due.name}/")
        if due.kind == "adopt":
            router = await self._tenants.router(tenant, tx)
            mount = next((mount for mount in router.table.mounts if mount.uuid == due.name), None)
            if mount is None:
                return True
            view = tx.view(storage_prefix(mount))
            return not await router.engine_of(mount).adopt(view, now=self._clock())
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


def _when(path: str) -> float:
    """Return the Unix time that a path of the due index begins with (milliseconds, 16 digits)."""
    return int(path[:16]) / 1000
