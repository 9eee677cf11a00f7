"""``sys/locked-users``: who is locked out after failed logins, and letting them in again. Source: Vault's API documentation."""

from dataclasses import dataclass
from typing import Annotated, Any

from broker.core import lockout
from broker.core.records import MOUNTS, MountTable
from broker.core.system.parts import SystemBase
from broker.core.tenants import Tenant
from broker.plugin.context import Context
from broker.plugin.fields import Field
from broker.plugin.paths import Operation, Path


@dataclass(frozen=True, slots=True)
class Which:
    mount_accessor: Annotated[str, Field("Only names at the mount with this accessor.", max_length=128)] = ""


@dataclass(frozen=True, slots=True)
class OneName:
    mount_accessor: Annotated[str, Field("Accessor of the auth method's mount.", max_length=128)]
    alias_identifier: Annotated[
        str, Field("The name that is locked out: of a user, or a role's id.", max_length=4096)
    ]


async def listed(system: SystemBase, ctx: Context, args: Which) -> dict[str, Any]:
    """Return who is locked out in this namespace and those below it."""
    tenants = system.parts.runtime().tenants
    found = [
        await _of_one(tenant, ctx, args.mount_accessor)
        async for tenant in tenants.walk(system.parts.tenant(ctx))
    ]
    kept = found[:1] + [one for one in found[1:] if one["counts"]]
    return {"by_namespace": kept, "total": sum(one["counts"] for one in kept)}


async def _of_one(tenant: Tenant, ctx: Context, accessor: str) -> dict[str, Any]:
    tx = ctx.transaction if tenant.info.uuid == ctx.namespace.uuid else await tenant.store.begin()
    mounts = []
    for one in [accessor] if accessor else await _accessors(tx):
        names = await lockout.locked(tx, one, now=ctx.now)
        if names or accessor:
            mounts.append({"mount_accessor": one, "counts": len(names), "alias_identifiers": names or None})
    return {
        "namespace_id": tenant.info.id,
        "namespace_path": tenant.info.path,
        "counts": sum(mount["counts"] for mount in mounts),
        "mount_accessors": mounts,
    }


async def _accessors(tx: Any) -> list[str]:
    table = await tx.load(MOUNTS, MountTable)
    return [mount.accessor for mount in table.mounts if mount.type in lockout.METHODS] if table else []


async def unlock(system: SystemBase, ctx: Context, args: OneName) -> None:
    """Let a name log in again."""
    await lockout.unlock(
        system.parts.tenant(ctx), ctx.transaction, args.mount_accessor, args.alias_identifier
    )


PATHS = (
    Path(
        "locked-users",
        "Who is locked out after failed logins.",
        read=Operation(Which, dict, calls=listed),
    ),
    Path(
        "locked-users/{mount_accessor}/unlock/{alias_identifier:path}",
        "Let a name log in again.",
        update=Operation(OneName, None, calls=unlock),
    ),
)
