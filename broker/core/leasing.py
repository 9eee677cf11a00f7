"""Turning a leased secret into a lease, inside the request's own transaction; renewing one."""

import math
from dataclasses import dataclass
from datetime import timedelta

import msgspec

from broker.access.lifetimes import Limits, grant, whole_seconds
from broker.access.records import TokenEntry
from broker.access.tokens import ID, LEASES, base62
from broker.core.admission import Session
from broker.core.quotas.counting import take_lease
from broker.core.routing import Router
from broker.core.tenants import Tenant
from broker.core.transact import transact
from broker.leases import layout
from broker.leases.records import LeaseEntry, TokenLeases
from broker.plugin.context import Context, Mount
from broker.plugin.engine import Engine, Lease
from broker.plugin.errors import InvalidRequest, PermissionDenied
from broker.plugin.messages import Response
from broker.storage.transaction import Transaction

MAX_REQUEST_PATH = 1024


@dataclass(frozen=True, slots=True)
class Lifetime:
    """What a lease is granted, in whole seconds, and which limit shortened it (empty: none)."""

    ttl: int
    capped_by: str = ""


async def enter_lease(
    tenant: Tenant,
    tx: Transaction,
    response: Response,
    mount: Mount,
    context: Context,
    *,
    limits: Limits,
    session: Session | None,
) -> str:
    """Enter the lease of ``response.leased``, fill its id and lifetime into ``response``, and return its key.

    The lease goes with the caller's token. Of a token that is stored nowhere (``batch``) it goes with the parent, and
    ends no later than the token itself.
    """
    leased = response.leased
    assert leased is not None
    holder, last = await _holder(tenant, tx, session)
    lifetime = allot(
        context,
        whole_seconds(leased.ttl),
        limits=limits,
        mount=mount,
        max_ttl=whole_seconds(leased.max_ttl),
        last=last,
    )
    path = (mount.prefix + context.path).rstrip("/")
    if len(path) > MAX_REQUEST_PATH:
        raise InvalidRequest(f"the path of a leased secret has at most {MAX_REQUEST_PATH} characters")
    suffix = "" if tenant.is_root else "." + tenant.info.id
    lease_id = f"{path}/{base62(24)}{suffix}"
    entry = LeaseEntry(
        mount=mount.uuid,
        path=path,
        kind=leased.kind,
        issued_at=context.now,
        expires_at=context.now + lifetime.ttl,
        internal=dict(leased.internal) or None,
        token=holder,
        ttl=lifetime.ttl,
        max_ttl=whole_seconds(leased.max_ttl),
        renewable=leased.renewable,
        ends=last if last < math.inf else 0,
        capped_by=lifetime.capped_by,
        permit=await take_lease(tenant, tx, mount, context.path),
    )
    layout.enter(tx, layout.lease_key(lease_id), entry)
    response.lease_id = lease_id
    response.renewable = leased.renewable
    response.lease_duration = lifetime.ttl
    response.warnings = list(dict.fromkeys([*response.warnings, *context.warnings]))
    return layout.lease_key(lease_id)


def allot(
    context: Context,
    wanted: int,
    *,
    limits: Limits,
    mount: Mount,
    max_ttl: int = 0,
    age: int = 0,
    last: float = math.inf,
) -> Lifetime:
    """Fold a wanted TTL (seconds, zero for the default) with every limit; tell the caller of what was cut.

    ``last`` is when the token dies at the latest (Unix seconds). Raises: InvalidRequest if no life is left.
    """
    granted = grant(wanted, limits=limits, max_ttl=max_ttl, age=age)
    for text in granted.warnings:
        context.warn(text)
    capped_by = ""
    if granted.warnings:
        own = max_ttl and max_ttl <= limits.max_ttl
        capped_by = "role" if own else "mount" if mount.config.max_lease_ttl else "system"
    left = last - context.now
    if granted.ttl > left:
        if left < 1:
            raise InvalidRequest("the token has no life left for a lease")
        context.warn("the lease ends with the token it was made with")
        return Lifetime(int(left), "token")
    return Lifetime(granted.ttl, capped_by)


async def _holder(tenant: Tenant, tx: Transaction, session: Session | None) -> tuple[str, float]:
    """Return the storage name of the token that a lease goes with, and when that one ends for certain."""
    if session is None:
        return "", math.inf
    found, last = session.found, math.inf
    name = found.hash
    if found.entry.type == "batch":
        name, last = found.entry.parent, found.entry.expires_at or math.inf
        if not name:
            return "", last
    home = session.home
    if home is not tenant:
        await _announce(home, name, tenant.info.path)
    known = await tx.load(LEASES + name, TokenLeases)
    if known is not None and known.ended:
        raise PermissionDenied
    if known is None or (home is tenant and tenant.info.path not in known.tenants):
        paths = known.tenants if known is not None else ()
        mine = (tenant.info.path,) if home is tenant else ()
        tx.save(LEASES + name, TokenLeases((*paths, *mine)))
    return name, last


async def _announce(home: Tenant, name: str, path: str) -> None:
    """Note with a token of a namespace above that it has leases at ``path``, durably and before it has the first.

    Raises: PermissionDenied if the token is gone.
    """

    async def note(own: Transaction) -> None:
        known = await own.load(LEASES + name, TokenLeases) or TokenLeases()
        if path in known.tenants:
            return
        holder = await own.load(ID + name, TokenEntry)
        if holder is None or holder.revoked:
            raise PermissionDenied
        own.save(LEASES + name, msgspec.structs.replace(known, tenants=(*known.tenants, path)))

    await transact(home.store, note)


def seen(key: str, entry: LeaseEntry) -> Lease:
    """Return a lease as its engine sees it."""
    return Lease(layout.lease_id_of(key), entry.kind, entry.internal or {}, entry.issued_at, entry.expires_at)


def mount_of(router: Router, uuid: str) -> Mount | None:
    """Return the mount with this id, wherever it is mounted now."""
    return next((mount for mount in router.table.mounts if mount.uuid == uuid), None)


async def extend(
    tx: Transaction,
    key: str,
    entry: LeaseEntry,
    increment: timedelta,
    *,
    engine: Engine,
    mount: Mount,
    context: Context,
    engine_context: Context,
    limits: Limits,
) -> LeaseEntry:
    """Extend a lease, at its target first. Raises: InvalidRequest in Vault's words; what the engine raises."""
    now = context.now
    if not entry.lives(now):
        raise InvalidRequest("lease expired")
    if not entry.renewable:
        raise InvalidRequest("lease is not renewable")
    extension = await engine.renew_lease(engine_context, seen(key, entry), increment)
    # The age is rounded up: within the last second nothing is left, rather than a lifetime of zero.
    lifetime = allot(
        context,
        whole_seconds(increment) or whole_seconds(extension.ttl) or entry.granted_ttl or entry.ttl,
        limits=limits,
        mount=mount,
        max_ttl=whole_seconds(extension.max_ttl) or entry.max_ttl,
        age=math.ceil(now - entry.issued_at),
        last=entry.ends or math.inf,
    )
    new = msgspec.structs.replace(
        entry,
        expires_at=now + lifetime.ttl,
        granted_ttl=lifetime.ttl,
        renewed_at=now,
        capped_by=lifetime.capped_by,
    )
    layout.change(tx, key, entry, new)
    return new
