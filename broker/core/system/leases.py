"""``sys/leases``: look up, renew, revoke, list and count what has been handed out for a time.

Tokens have leases too, below the path that made them: ``auth/approle/login/h<hash>``; those are not renewed here.
Source: Vault's ``sys/leases`` API documentation; the short forms ``sys/renew`` and ``sys/revoke`` are Vault's as well.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from broker.access.records import TokenEntry
from broker.access.tokens import LEASE, lease_path
from broker.core.sweeps import TIDY, TOKEN_LEASE, end_unreadable
from broker.core.system import irrevocable
from broker.core.system.irrevocable import trouble
from broker.core.system.parts import SystemBase
from broker.core.tokenview import instant
from broker.leases import layout
from broker.leases.records import LeaseEntry
from broker.plugin.context import Context
from broker.plugin.errors import InvalidRequest, NotFound, Tampered
from broker.plugin.fields import Field, Json, Nothing
from broker.plugin.listings import Page, listing
from broker.plugin.messages import Raw, Response
from broker.plugin.paths import Operation, Path
from broker.storage.due import mark_due

MAX_ID = 2048
NO_ID = "lease_id must be specified"


@dataclass(frozen=True, slots=True)
class Named:
    lease_id: Annotated[Json | None, Field("Id of the lease.")] = None


@dataclass(frozen=True, slots=True)
class Renewal:
    lease_id: Annotated[str, Field("Id of the lease.", max_length=MAX_ID)] = ""
    url_lease_id: Annotated[str, Field("Id of the lease.", max_length=MAX_ID)] = ""
    increment: Annotated[timedelta, Field("By how long from now.", minimum=0)] = timedelta(0)


@dataclass(frozen=True, slots=True)
class Revocation:
    lease_id: Annotated[str, Field("Id of the lease.", max_length=MAX_ID)] = ""
    url_lease_id: Annotated[str, Field("Id of the lease.", max_length=MAX_ID)] = ""
    sync: Annotated[bool, Field("Wait until it is done; if not, the answer is 202.")] = True


@dataclass(frozen=True, slots=True)
class Below(Page):
    prefix: Annotated[str, Field("What the ids begin with.", max_length=MAX_ID)] = ""


@dataclass(frozen=True, slots=True)
class Prefix:
    prefix: Annotated[str, Field("What the ids begin with, or one id.", max_length=MAX_ID)]
    sync: Annotated[bool, Field("Wait until it is done; if not, the answer is 202.")] = True


@dataclass(frozen=True, slots=True)
class Found:
    """A lease of a secret or of a token: one of both is set."""

    key: str
    secret: LeaseEntry | None = None
    token: TokenEntry | None = None
    hash: str = ""


async def find(system: SystemBase, ctx: Context, lease_id: str) -> Found | None:
    """Return the lease with this id, if it lives."""
    if not {".", ".."}.isdisjoint(lease_id.split("/")):
        raise InvalidRequest(f"failed to read lease entry {lease_id[:128]}: relative paths not supported")
    if not lease_id or lease_id.endswith("/") or "\0" in lease_id:
        return None
    tx = ctx.transaction
    named = TOKEN_LEASE.fullmatch(lease_id)
    if named is not None:
        name = named[2]
        token = await system.parts.tenant(ctx).tokens.alive(tx, name, ctx.now)
        if token is None or lease_path(name, token) != LEASE + lease_id:
            return None
        return Found(layout.lease_key(lease_id), token=token, hash=name)
    key = layout.lease_key(lease_id)
    entry = await tx.load(layout.ROOM + key, LeaseEntry)
    if entry is None or (entry.revoking and not entry.attempts):
        return None
    return Found(key, secret=entry)


async def lookup(system: SystemBase, ctx: Context, args: Named) -> dict[str, Any]:
    if args.lease_id in (None, ""):
        raise InvalidRequest(NO_ID)
    if not isinstance(args.lease_id, str):
        raise InvalidRequest("invalid lease ID")
    found = await find(system, ctx, args.lease_id)
    if found is None:
        raise InvalidRequest("invalid lease")
    if found.token is not None:
        about = _token_shown(args.lease_id, found.token, ctx.now)
    else:
        assert found.secret is not None
        about = _shown(args.lease_id, found.secret, ctx.now)
    if ctx.namespace.path:
        about["namespace_path"] = ctx.namespace.path
    return about


def _shown(lease_id: str, entry: LeaseEntry, now: float) -> dict[str, Any]:
    about: dict[str, Any] = {
        "expire_time": instant(entry.expires_at),
        "id": lease_id,
        "issue_time": instant(entry.issued_at),
        "last_renewal": instant(entry.renewed_at),
        "path": entry.path,
        "renewable": entry.renewable and not entry.revoking,
        "ttl": max(int(entry.expires_at - now), 0),
    }
    if entry.capped_by:
        about["capped_by"] = entry.capped_by
    if entry.attempts:
        about["revocation"] = trouble(entry)
    if entry.irrevocable:
        about["revoke_error"] = entry.error  # the peer's name for it
    return about


def _token_shown(lease_id: str, entry: TokenEntry, now: float) -> dict[str, Any]:
    return {
        "expire_time": instant(entry.expires_at),
        "id": lease_id,
        "issue_time": entry.issue_time,
        "last_renewal": instant(entry.renewed_at),
        "path": entry.path,
        "renewable": entry.renewable,
        "ttl": max(int(entry.expires_at - now), 0) if entry.expires_at else 0,
    }


async def listed(system: SystemBase, ctx: Context, args: Below) -> dict[str, Any]:
    prefix = args.prefix.strip("/")
    below = LEASE + (prefix + "/" if prefix else "")
    return listing(await ctx.transaction.list(below, after=args.after, limit=args.size))


async def renew(system: SystemBase, ctx: Context, args: Renewal) -> Response:
    lease_id = args.lease_id or args.url_lease_id
    if not lease_id:
        raise InvalidRequest(NO_ID)
    found = await find(system, ctx, lease_id)
    if found is None:
        raise InvalidRequest("lease not found")
    if found.token is not None:
        if not found.token.renewable:
            raise InvalidRequest("lease is not renewable")
        raise InvalidRequest("tokens cannot be renewed through this endpoint")
    assert found.secret is not None
    if found.secret.irrevocable:
        raise InvalidRequest("lease is expired and has failed previous revocation attempts")
    leasehold = system.parts.runtime().leasehold
    new = await leasehold.renew(system.parts.tenant(ctx), ctx, found.key, found.secret, args.increment)
    left = int(new.expires_at - ctx.now)
    return Response(lease_id=lease_id, renewable=new.renewable, lease_duration=left)


async def revoke(system: SystemBase, ctx: Context, args: Revocation) -> Response | None:
    lease_id = args.lease_id or args.url_lease_id
    if not lease_id:
        raise InvalidRequest(NO_ID)
    tenant = system.parts.tenant(ctx)
    try:
        found = await find(system, ctx, lease_id)
    except Tampered:
        if not await end_unreadable(tenant, ctx.transaction, lease_id, ctx.now):
            raise
        return _revoked(args.sync)
    if found is None:
        return _revoked(args.sync)
    if found.token is not None:
        await tenant.tokens.revoke(ctx.transaction, found.hash, now=ctx.now)
        return _revoked(args.sync)
    assert found.secret is not None
    if args.sync:
        await system.parts.runtime().leasehold.revoke_now(tenant, [found.key], ctx.now)
    else:
        layout.queue(ctx.transaction, found.key, found.secret, ctx.now, again=True)
    return _revoked(args.sync)


def _revoked(sync: bool) -> Response | None:
    """Answer a revocation: with nothing, or that it was taken up."""
    return None if sync else Response(raw=Raw(b"", "application/json", 202))


async def revoke_below(system: SystemBase, ctx: Context, args: Prefix) -> Response | None:
    await _revoke_below(system, ctx, args.prefix, sync=args.sync)
    return _revoked(args.sync)


async def force_below(system: SystemBase, ctx: Context, args: Prefix) -> None:
    """Revoke, and forget what cannot be revoked."""
    await _revoke_below(system, ctx, args.prefix, forced=True, sync=True)


async def _revoke_below(
    system: SystemBase, ctx: Context, prefix: str, *, forced: bool = False, sync: bool = False
) -> None:
    if prefix.endswith("/"):
        raise InvalidRequest("cannot write to a path ending in '/'")
    tenant = system.parts.tenant(ctx)
    leasehold = system.parts.runtime().leasehold
    try:
        one = await find(system, ctx, prefix)
    except Tampered:
        if not await end_unreadable(tenant, ctx.transaction, prefix, ctx.now):
            if not forced:
                raise
            await layout.forget(ctx.transaction, layout.lease_key(prefix))
        return
    if one is not None and one.token is not None:
        await tenant.tokens.revoke(ctx.transaction, one.hash, now=ctx.now)
    elif one is not None and one.secret is not None:
        await leasehold.revoke_one(tenant, ctx, one.key, one.secret, forced=forced, sync=sync)
    else:
        await leasehold.revoke_below(tenant, ctx, prefix + "/", forced=forced, sync=sync)


async def tidy(system: SystemBase, ctx: Context, args: Nothing) -> Response:
    """Begin to look for what should not be there; the steward does the work, in steps."""
    mark_due(ctx.transaction, ctx.now, TIDY, "")
    return Response(
        status=202,
        warnings=[
            "Tidy operation successfully started. Any information from the operation will be printed to Broker's server logs."
        ],
    )


def _writes(template: str, args: type, handler: Any, summary: str) -> tuple[Path, Path]:
    """Return the row of an operation with the id in its body, and the one with the id in its path."""
    return (
        Path(template, summary, update=Operation(args, None, calls=handler)),
        Path(template + "/{url_lease_id:path}", summary, update=Operation(args, None, calls=handler)),
    )


PATHS = (
    Path(
        "leases/lookup",
        "Describe a lease, or list the ids of all.",
        update=Operation(Named, dict, calls=lookup),
        list=Operation(Below, dict, calls=listed, sudo=True, raises=(NotFound,)),
    ),
    Path(
        "leases/lookup/{prefix:path}",
        "List the ids of leases below a prefix.",
        list=Operation(Below, dict, calls=listed, sudo=True, raises=(NotFound,)),
    ),
    *_writes("leases/renew", Renewal, renew, "Extend a lease."),
    *_writes("renew", Renewal, renew, "Extend a lease; the old path."),
    *_writes("leases/revoke", Revocation, revoke, "Revoke a lease, and with it what it stands for."),
    *_writes("revoke", Revocation, revoke, "Revoke a lease; the old path."),
    Path(
        "leases/revoke-prefix/{prefix:path}",
        "Revoke all leases below a prefix.",
        update=Operation(Prefix, None, calls=revoke_below, sudo=True),
    ),
    Path(
        "leases/revoke-force/{prefix:path}",
        "Revoke all leases below a prefix, and forget those that cannot be revoked.",
        update=Operation(Prefix, None, calls=force_below, sudo=True),
    ),
    Path(
        "revoke-prefix/{prefix:path}",
        "Revoke all leases below a prefix; the old path.",
        update=Operation(Prefix, None, calls=revoke_below, sudo=True),
    ),
    Path(
        "revoke-force/{prefix:path}",
        "Revoke all leases below a prefix, whatever their engines say; the old path.",
        update=Operation(Prefix, None, calls=force_below, sudo=True),
    ),
    Path("leases/tidy", "Look for what leases left behind.", update=Operation(Nothing, None, calls=tidy)),
    *irrevocable.PATHS,
)
