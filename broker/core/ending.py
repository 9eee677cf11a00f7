"""The end of a mount, and of a namespace: what was handed out there goes first, what was stored goes last."""

from contextlib import suppress

import msgspec

from broker.core import sweeps
from broker.core.records import ENDED_MOUNTS, NAMESPACES, EndedMount, NamespaceRecord
from broker.core.revoker import Revoker
from broker.core.routing import storage_prefix
from broker.core.system.mount_table import erase_data
from broker.core.tenants import Tenant, Tenants
from broker.leases import layout
from broker.leases.records import LeaseEntry, Sweep
from broker.plugin.context import Mount
from broker.plugin.errors import Tampered
from broker.storage.due import mark_due
from broker.storage.transaction import Transaction

KIND = "mount"
NAMESPACE = "namespace"
STEPS = 20
AT_ONCE = 200
"""Tokens of an auth method that are revoked with the request that disables it; the steward goes on with the rest."""


async def end_mount(tenant: Tenant, tx: Transaction, mount: Mount, now: float) -> None:
    """Begin the end of a mount that is being taken out of the mount table in ``tx``.

    Its engine is remembered until nothing that it handed out is left: an intent may be on its way at this moment.
    """
    if not await recall(tenant, tx, mount, now):
        await erase_data(tx, storage_prefix(mount))
    tx.save(ENDED_MOUNTS + mount.uuid, EndedMount(mount))
    mark_due(tx, now, KIND, mount.uuid)


async def recall(tenant: Tenant, tx: Transaction, mount: Mount, now: float) -> bool:
    """Have everything revoked that was handed out at a mount. Returns whether leases of its engine are among it."""
    if mount.table == "auth":
        rest, _ = await sweeps.step(tenant, tx, Sweep(mount.prefix, until=now), now, limit=AT_ONCE)
        if rest is not None:
            sweeps.put(tx, rest, now)
    leased = bool(await tx.list(layout.by_mount(mount.uuid), limit=1))
    if leased:
        sweeps.put(tx, Sweep("", until=now, mount=mount.uuid), now)
    return leased


async def step(tx: Transaction, uuid: str) -> bool:
    """Take one bounded step in clearing an ended mount. Returns whether nothing is left of it."""
    if await tx.list(layout.by_mount(uuid), limit=1):
        return False  # leases that resist keep their engine's data, which it needs to revoke them
    if not await erase_data(tx, f"logical/{uuid}/"):
        return False
    tx.delete(ENDED_MOUNTS + uuid)
    return True


async def end_namespace(
    tenants: Tenants,
    tenant: Tenant,
    tx: Transaction,
    record: NamespaceRecord,
    now: float,
    *,
    forced: bool = False,
) -> None:
    """Take a namespace out of service in ``tx``, which is on its parent's store; at once if nothing is leased there.

    ``forced``: leases that cannot be revoked are forgotten. Asked again, what failed is tried again.
    """
    below = await tenant.store.begin()
    if await below.list(layout.BY_MOUNT, limit=1):
        ending = msgspec.structs.replace(record, tainted=True, forced=record.forced or forced, again=True)
        tx.save(NAMESPACES + record.name, ending)
        if not record.tainted:
            mark_due(tx, now, NAMESPACE, record.name)
    else:
        _forget(tenants, tx, record, now)


async def step_namespace(
    tenants: Tenants, revoker: Revoker, parent: Tenant, tx: Transaction, name: str, now: float
) -> bool:
    """Take one bounded step in ending a namespace that had leases. Returns whether it is gone.

    Leases that resist keep it: its record shows it as tainted, and they are tried on and on.
    """
    record = await tx.load(NAMESPACES + name, NamespaceRecord)
    if record is None or not record.tainted:
        return True
    tenant = await tenants.open(parent, record)
    own = await tenant.store.begin()
    mounts = [folder.rstrip("/") for folder in await own.list(layout.BY_MOUNT)]
    if mounts and record.again:
        await _try_again(tenant, now)
        tx.save(NAMESPACES + name, msgspec.structs.replace(record, again=False))
    for mount in mounts:
        await _queue_all(tenant, mount, now, forced=record.forced)
        revoker.drains.wake(tenant, mount)
    if mounts:
        return False
    _forget(tenants, tx, record, now)
    return True


async def _try_again(tenant: Tenant, now: float) -> None:
    """Have the irrevocable leases of a namespace tried now, as many as one step may."""
    after = ""
    for _ in range(STEPS):
        own = await tenant.store.begin()
        keys = await own.scan(layout.IRREVOCABLE, after=after, limit=AT_ONCE)
        for key in keys:
            with suppress(Tampered):  # logged by whoever revokes; it must not keep the others
                entry = await own.load(layout.ROOM + key, LeaseEntry)
                if entry is not None:
                    layout.queue(own, key, entry, now, again=True)
        await own.commit()
        if len(keys) < AT_ONCE:
            return
        after = keys[-1]


async def _queue_all(tenant: Tenant, mount: str, now: float, *, forced: bool) -> None:
    """Queue what is leased at a mount and not on its way already, as much as one step may."""
    sweep: Sweep | None = Sweep("", until=now, mount=mount, after=_now(now), forced=forced)
    for _ in range(STEPS):
        if sweep is None:
            return
        own = await tenant.store.begin()
        sweep, _queued = await sweeps.step(tenant, own, sweep, now, limit=AT_ONCE)
        await own.commit()


def _now(now: float) -> str:
    """Return what separates, in a mount's due index, what is due already from what is not."""
    return f"{int(now * 1000):016d}~"


def _forget(tenants: Tenants, tx: Transaction, record: NamespaceRecord, now: float) -> None:
    # The record holds the tenant's secret: with it gone, nothing the tenant wrote opens again.
    tx.delete(NAMESPACES + record.name)
    mark_due(tx, now, "tenant", record.uuid)
    tx.on_commit(lambda: tenants.forget_one(record.uuid))
