"""The end of a mount: everybody it let in and everything it handed out goes first, what it stored goes last."""

from broker.access.records import DueEntry
from broker.access.tokens import due_path
from broker.core import sweeps
from broker.core.records import ENDED_MOUNTS, EndedMount
from broker.core.routing import storage_prefix
from broker.core.system.mount_table import erase_data
from broker.core.tenants import Tenant
from broker.leases import layout
from broker.leases.records import Sweep
from broker.plugin.context import Mount
from broker.storage.transaction import Transaction

KIND = "mount"
AT_ONCE = 200
"""Tokens of an auth method that are revoked with the request that disables it; the steward goes on with the rest."""


async def end_mount(tenant: Tenant, tx: Transaction, mount: Mount, now: float) -> None:
    """Begin the end of a mount that is being taken out of the mount table in ``tx``.

    Its engine is remembered until nothing that it handed out is left: an intent may be on its way at this moment.
    """
    if mount.table == "auth":
        rest, _ = await sweeps.step(tenant, tx, Sweep(mount.prefix, until=now), now, limit=AT_ONCE)
        if rest is not None:
            sweeps.put(tx, rest, now)
    if await tx.list(layout.by_mount(mount.uuid), limit=1):
        sweeps.put(tx, Sweep("", until=now, mount=mount.uuid), now)
    else:
        await erase_data(tx, storage_prefix(mount))
    tx.save(ENDED_MOUNTS + mount.uuid, EndedMount(mount))
    tx.save(due_path(now, KIND, mount.uuid), DueEntry(KIND, mount.uuid))


async def step(tx: Transaction, uuid: str) -> bool:
    """Take one bounded step in clearing an ended mount. Returns whether nothing is left of it."""
    if await tx.list(layout.by_mount(uuid), limit=1):
        return False  # leases that resist keep their engine's data, which it needs to revoke them
    if not await erase_data(tx, f"logical/{uuid}/"):
        return False
    tx.delete(ENDED_MOUNTS + uuid)
    return True
