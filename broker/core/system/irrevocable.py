"""``sys/leases``, ``sys/leases/count``, ``sys/leases/irrevocable``: what could not be revoked, and why.

Source: Vault's ``sys/leases`` API documentation; the peer's answers for ``include_child_namespaces``.
"""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

from broker.core.records import ENDED_MOUNTS, MOUNTS, NAMESPACES, EndedMount, MountTable, NamespaceRecord
from broker.core.system.parts import SystemBase
from broker.core.tenants import Tenant, Tenants
from broker.core.tokenview import instant
from broker.leases import layout
from broker.leases.records import LeaseEntry
from broker.plugin.context import Context
from broker.plugin.errors import InvalidRequest, NotFound, Tampered
from broker.plugin.fields import Field, Json
from broker.plugin.listings import Page
from broker.plugin.paths import Operation, Path
from broker.storage.transaction import Transaction

log = logging.getLogger("broker.leases")

MAX_SHOWN = 10_000
Below = Annotated[bool, Field("Include those of namespaces below, also of one that is being deleted.")]


@dataclass(frozen=True, slots=True)
class Irrevocable:
    type: Annotated[str, Field("irrevocable.")] = ""
    limit: Annotated[Json | None, Field("At most this many, or none for all; 10000 if left out.")] = None
    include_child_namespaces: Below = False


@dataclass(frozen=True, slots=True)
class Troubled(Page):
    include_child_namespaces: Below = False


@dataclass(frozen=True, slots=True)
class Found:
    """A lease that failed too often (``intent/...`` for an intent); ``mount`` is its mount's accessor."""

    lease_id: str
    entry: LeaseEntry
    mount: str
    namespace: str


async def irrevocable(
    system: SystemBase, ctx: Context, *, limit: int, below: bool, after: str = ""
) -> list[Found]:
    """Return up to ``limit`` leases that failed too often, of this namespace and, ``below``, of those below it."""
    here = system.parts.tenant(ctx)
    found = await _of(here, ctx.transaction, limit=limit, after=after)
    if below:
        async for tenant in _below(system.parts.runtime().tenants, here):
            if len(found) >= limit:
                break
            found += await _of(tenant, await tenant.store.begin(), limit=limit - len(found))
    return found


async def _below(tenants: Tenants, parent: Tenant) -> AsyncIterator[Tenant]:
    """Yield the namespaces below one, those included that are being deleted: leases that resist keep them."""
    tx = await parent.store.begin()
    for name in await tx.list(NAMESPACES):
        record = await tx.load(NAMESPACES + name, NamespaceRecord)
        if record is not None:
            tenant = await tenants.open(parent, record)
            yield tenant
            async for deeper in _below(tenants, tenant):
                yield deeper


async def _of(tenant: Tenant, tx: Transaction, *, limit: int, after: str = "") -> list[Found]:
    found: list[Found] = []
    accessors: dict[str, str] = {}
    start = layout.lease_key(after) if after else ""
    for key in await tx.scan(layout.IRREVOCABLE, after=start, limit=limit):
        try:
            entry = await tx.load(layout.ROOM + key, LeaseEntry)
        except Tampered as error:
            log.error("lease.unreadable lease=%s error=%s", key, error)
            continue
        if entry is None:
            continue
        if entry.mount not in accessors:
            accessors[entry.mount] = await _accessor(tx, entry.mount)
        lease_id = layout.lease_id_of(key) or key
        found.append(Found(lease_id, entry, accessors[entry.mount], tenant.info.path))
    return found


async def _accessor(tx: Transaction, uuid: str) -> str:
    """Return the accessor of a mount, a disabled one too; its id if nothing is known of it."""
    table = await tx.load(MOUNTS, MountTable)
    mounts = () if table is None else table.mounts
    mount = next((mount for mount in mounts if mount.uuid == uuid), None)
    if mount is None:
        ended = await tx.load(ENDED_MOUNTS + uuid, EndedMount)
        mount = None if ended is None else ended.mount
    return uuid if mount is None else mount.accessor


async def listed(system: SystemBase, ctx: Context, args: Irrevocable) -> dict[str, Any]:
    if args.type != "irrevocable":
        raise NotFound
    found = await irrevocable(system, ctx, limit=_limit(args.limit), below=args.include_child_namespaces)
    leases = [{"lease_id": one.lease_id, "mount_id": one.mount, "error": one.entry.error} for one in found]
    return {"lease_count": len(leases), "leases": leases}


async def counted(system: SystemBase, ctx: Context, args: Irrevocable) -> dict[str, Any]:
    if args.type != "irrevocable":
        raise NotFound
    counts: dict[str, int] = {}
    for one in await irrevocable(system, ctx, limit=MAX_SHOWN, below=args.include_child_namespaces):
        counts[one.mount] = counts.get(one.mount, 0) + 1
    return {"counts": counts, "lease_count": sum(counts.values())}


async def troubled(system: SystemBase, ctx: Context, args: Troubled) -> dict[str, Any]:
    """List what could not be revoked, with the reason and when it is tried next."""
    limit = min(args.size or MAX_SHOWN, MAX_SHOWN)
    found = await irrevocable(system, ctx, limit=limit, below=args.include_child_namespaces, after=args.after)
    leases = [_described(one) for one in found]
    return {"lease_count": len(leases), "leases": leases}


def _described(one: Found) -> dict[str, Any]:
    where = {"namespace_path": one.namespace} if one.namespace else {}
    return {"lease_id": one.lease_id, "path": one.entry.path, **where, **trouble(one.entry)}


def trouble(entry: LeaseEntry) -> dict[str, Any]:
    """Say how revoking a lease has failed so far."""
    return {
        "attempts": entry.attempts,
        "irrevocable": entry.irrevocable,
        "last_error": entry.error,
        "next_attempt": instant(entry.next_at),
        "since": instant(entry.revoking),
    }


def _limit(given: Any) -> int:
    if given in (None, "", "none"):
        return MAX_SHOWN
    try:
        wanted = int(given)
    except (TypeError, ValueError):
        raise InvalidRequest("invalid 'limit' provided: expected a positive integer, or none") from None
    return min(wanted, MAX_SHOWN) if wanted > 0 else MAX_SHOWN


PATHS = (
    Path(
        "leases/count",
        "Count irrevocable leases by mount.",
        read=Operation(Irrevocable, dict, calls=counted, raises=(NotFound,)),
    ),
    Path(
        "leases",
        "List irrevocable leases.",
        read=Operation(Irrevocable, dict, calls=listed, sudo=True, raises=(NotFound,)),
    ),
    Path(
        "leases/irrevocable",
        "List what could not be revoked, with the last error.",
        read=Operation(Troubled, dict, calls=troubled, sudo=True),
    ),
)
