"""``sys/remount``: move an engine or auth method to another path.

Its data stay where they are, so moving is one write. What was handed out at the old path is revoked, as with Vault: leases are
named after it, and so are the tokens of logins.

Source: Vault's ``sys/remount`` API documentation.
"""

import logging
import uuid
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from broker.core.ending import recall
from broker.core.records import MOVES, MountTable, MoveRecord
from broker.core.system import mount_table as t
from broker.core.system.parts import SystemBase
from broker.core.tenants import RESERVED, Tenant
from broker.core.transact import transact
from broker.plugin.context import Context, Mount
from broker.plugin.errors import InvalidRequest, NotFound
from broker.plugin.fields import Field
from broker.plugin.messages import Response
from broker.plugin.paths import Operation, Path
from broker.storage.transaction import Transaction

log = logging.getLogger("broker.core")


@dataclass(frozen=True, slots=True)
class Move:
    from_: Annotated[str, Field("Path to move.", wire="from", max_length=t.MAX_PATH)] = ""
    to: Annotated[str, Field("Where to.", max_length=t.MAX_PATH)] = ""


@dataclass(frozen=True, slots=True)
class MoveId:
    migration_id: Annotated[str, Field("Id from sys/remount.", max_length=64)]


@dataclass(frozen=True, slots=True)
class _End:
    """One end of a move: the namespace, and the path of the mount in it. ``told`` is the path as the caller gave it."""

    tenant: Tenant
    kind: str
    path: str
    told: str


async def move(system: SystemBase, ctx: Context, args: Move) -> Response:
    """Move a mount of this namespace or, named from above, of one below it. To another namespace it cannot go."""
    if not args.from_ or not args.to:
        raise InvalidRequest("both 'from' and 'to' path must be specified as a string")
    source, target = [await _end(system, ctx, path) for path in (args.from_, args.to)]
    if source.tenant is not target.tenant:
        raise InvalidRequest(
            f'cannot move "{source.told}" to another namespace: what it stores is under its namespace\'s own key'
        )
    if source.kind != target.kind:
        raise InvalidRequest("cannot remount between an auth mount and a secrets mount")
    migration = str(uuid.uuid4())
    if source.tenant.info.uuid == ctx.namespace.uuid:
        await _move(source, target, ctx.transaction, ctx.now)
        ctx.transaction.on_commit(lambda: _log(migration, source, target))
    else:
        await transact(source.tenant.store, lambda tx: _move(source, target, tx, ctx.now))
        _log(migration, source, target)
    ctx.transaction.save(MOVES + migration, MoveRecord(source.told, target.told))
    return Response(
        data={"migration_id": migration},
        mirror=True,
        warnings=[
            "Mount move has been queued. Progress will be reported in Broker's server log, tagged with the returned migration_id"
        ],
    )


async def _move(source: _End, target: _End, tx: Transaction, now: float) -> None:
    table = await t.load_table(tx)
    if _protected(source):
        raise InvalidRequest(f'cannot remount "{source.told}"')
    mount = t.find(table, source.kind, source.path)
    if mount is None:
        raise InvalidRequest(f'no matching mount at "{source.told}"')
    if target.kind == "secret" and _protected(target):
        raise InvalidRequest(f'invalid destination mount: "{target.told}" is protected')
    if t.find(table, target.kind, target.path) is not None:
        raise InvalidRequest(f'path already in use at "{target.told}"')
    await t.check_free(tx, _without(table, mount), target.kind, target.path)
    t.save_table(tx, t.replaced(table, mount, msgspec.structs.replace(mount, path=target.path)))
    await recall(source.tenant, tx, mount, now)


def _protected(end: _End) -> bool:
    if end.kind == "auth":
        return end.path == "token/"
    return any(end.path.startswith(path) for path in t.PROTECTED)


def _without(table: MountTable, mount: Mount) -> Any:
    return msgspec.structs.replace(table, mounts=t.replaced(table, mount, None))


async def _end(system: SystemBase, ctx: Context, given: str) -> _End:
    """Find the namespace that a path leads into, and what is left of the path there."""
    told = path = t.normal(given)
    tenants = system.parts.runtime().tenants
    tenant, tx = system.parts.tenant(ctx), ctx.transaction
    while True:
        name, _, rest = path.partition("/")
        child = await tenants.child(tenant, name, tx) if rest and name not in RESERVED else None
        if child is None:
            break
        tenant, path, tx = child, rest, await child.store.begin()
    if path.startswith("auth/"):
        return _End(tenant, "auth", path.removeprefix("auth/"), told)
    return _End(tenant, "secret", path, told)


def _log(migration: str, source: _End, target: _End) -> None:
    log.info("mount.moved migration_id=%s from=%s to=%s", migration, source.told, target.told)


async def move_status(system: SystemBase, ctx: Context, args: MoveId) -> dict[str, Any]:
    """Tell how far a move is: it is done with its request."""
    record = await ctx.transaction.load(MOVES + args.migration_id, MoveRecord)
    if record is None:
        raise NotFound
    info = {"source_mount": record.source, "target_mount": record.target, "status": "success"}
    return {"migration_id": args.migration_id, "migration_info": info}


PATHS = (
    Path("remount", "Move a mount.", update=Operation(Move, dict, calls=move, sudo=True)),
    Path(
        "remount/status/{migration_id}",
        "Progress of a move.",
        read=Operation(MoveId, dict, calls=move_status),
    ),
)
