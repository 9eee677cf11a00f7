"""Intents: an outside effect is written down before it is made, so that it can be undone if its request never commits.

``await ctx.intend(kind, internal)`` commits an entry like a lease's, in a transaction of its own. The request's own commit
rests on that entry and removes it, in one with the lease that takes its place. If the request fails, its intents are due
at once; if it dies with its worker, when their grace is over. Either way ``engine.revoke_lease`` undoes the effect.
"""

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from broker.access.tokens import base62
from broker.core.records import MOUNTS, MountTable
from broker.core.tenants import Tenant
from broker.core.transact import transact
from broker.leases import layout
from broker.leases.records import LeaseEntry
from broker.plugin.context import INTENT_GRACE, Mount
from broker.plugin.errors import BrokerError, NotFound
from broker.storage.transaction import Transaction

log = logging.getLogger("broker.leases")


async def intend(
    tenant: Tenant,
    tx: Transaction,
    mount: Mount,
    made: list[str],
    now: float,
    path: str,
    kind: str,
    internal: Mapping[str, Any],
    *,
    grace: timedelta = INTENT_GRACE,
) -> None:
    """Store an intent durably, and have the request's transaction ``tx`` remove it. Its key goes to ``made``."""
    key = "intent/" + base62(24)
    entry = LeaseEntry(
        mount=mount.uuid,
        path=mount.prefix + path,
        kind=kind,
        issued_at=now,
        expires_at=now + grace.total_seconds(),
        internal=dict(internal) or None,
    )
    await _commit(tenant, mount, key, entry)
    made.append(key)
    # Read, so that the commit conflicts once somebody has begun to undo it.
    stored = await tx.load(layout.ROOM + key, LeaseEntry)
    layout.remove(tx, key, stored or entry)


async def _commit(tenant: Tenant, mount: Mount, key: str, entry: LeaseEntry) -> None:
    """Raises: NotFound if the mount is gone: from then on nobody would look for its intents."""

    async def enter(own: Transaction) -> None:
        table = await own.load(MOUNTS, MountTable)
        if table is None or all(known.uuid != mount.uuid for known in table.mounts):
            raise NotFound("the mount was disabled")
        layout.enter(own, key, entry)

    await transact(tenant.store, enter)


async def release(tenant: Tenant, made: list[str], now: float) -> None:
    """Have the intents of a request that did not commit undone at once."""
    try:
        await tenant.store.writer.flush()  # of a request that was cut off, the commit may still be under way
        for key in made:
            await queue_one(tenant, key, now)
    except BrokerError as error:
        # They fall due by themselves when their grace is over.
        log.warning("intent.release_failed error=%s", type(error).__name__)


async def queue_one(tenant: Tenant, key: str, now: float) -> None:
    """Have one lease or intent revoked as soon as may be, in a transaction of its own, if it is still there."""

    async def queue(tx: Transaction) -> None:
        entry = await tx.load(layout.ROOM + key, LeaseEntry)
        if entry is not None:
            layout.queue(tx, key, entry, now)

    await transact(tenant.store, queue)
