"""``sys/namespaces``: tenants, each with its own store and key. Nested: a namespace is made from inside its parent.

Source: OpenBao's ``sys/namespaces`` API documentation. A namespace is created in this order: its store (with everything it
is born with), then its record in the parent. A crash in between leaves a store nobody can open, since its secret was never
stored; a delete goes the other way around.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from broker.core.birth import prepare_tenant
from broker.core.ending import end_namespace
from broker.core.records import MOUNTS, NAMESPACES, MountTable, NamespaceRecord
from broker.core.system.parts import SystemBase
from broker.core.tenants import new_namespace
from broker.plugin.context import Context
from broker.plugin.errors import InvalidRequest, NotFound, PermissionDenied
from broker.plugin.fields import Field
from broker.plugin.listings import Page, listing
from broker.plugin.messages import Response
from broker.plugin.paths import Operation, Path

RESERVED = frozenset({"root", "sys", "auth", "audit", "cubbyhole", "identity"})
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}", re.ASCII)
MAX_METADATA = 64
Name = Annotated[str, Field("Name, or path below this namespace.", max_length=2048)]


@dataclass(frozen=True, slots=True)
class Named:
    path: Name


@dataclass(frozen=True, slots=True)
class Delete:
    path: Name
    force: Annotated[bool, Field("Forget leases that cannot be revoked; needs sudo.")] = False


@dataclass(frozen=True, slots=True)
class Create:
    path: Name
    custom_metadata: Annotated[dict[str, str] | None, Field("Text pairs.", max_length=MAX_METADATA)] = None


@dataclass(frozen=True, slots=True)
class Change:
    path: Name
    custom_metadata: Annotated[dict[str, Any] | None, Field("Text pairs to merge; null removes.")] = None


def describe(record: NamespaceRecord, parent: str) -> dict[str, Any]:
    """Return a namespace as its API shows it."""
    return {
        "custom_metadata": record.custom_metadata or {},
        "id": record.id,
        "locked": False,
        "path": f"{parent}{record.name}/",
        "tainted": record.tainted,
        "uuid": record.uuid,
    }


def checked_name(text: str) -> str:
    """Return a name that may be created. Raises: InvalidRequest."""
    name = text.strip("/")
    if "/" in name:
        raise InvalidRequest("namespace name cannot contain /")
    if name.lower() in RESERVED:
        raise InvalidRequest(f'"{name}/" is a reserved path and cannot be used as a namespace name')
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            "namespace name must be 1 to 128 of the characters A-Z a-z 0-9 _ - . and not begin with a dot"
        )
    return name


async def _load(ctx: Context, path: str) -> NamespaceRecord | None:
    name = path.strip("/")
    if not _NAME.fullmatch(name) or name.lower() in RESERVED:
        return None
    return await ctx.transaction.load(NAMESPACES + name, NamespaceRecord)  # type: ignore[no-any-return]


async def create(system: SystemBase, ctx: Context, args: Create) -> dict[str, Any]:
    name = checked_name(args.path)
    old = await _load(ctx, name)
    if old is not None and old.tainted:
        raise InvalidRequest("namespace with that name is being deleted; try again")
    if old is not None:
        if args.custom_metadata is None:
            return describe(old, ctx.namespace.path)
        changed = msgspec.structs.replace(old, custom_metadata=args.custom_metadata)
        ctx.transaction.save(NAMESPACES + name, changed)
        return describe(changed, ctx.namespace.path)
    table = await ctx.transaction.load(MOUNTS, MountTable)
    if any(mount.prefix.partition("/")[0] == name for mount in table.mounts if mount.table == "secret"):
        raise InvalidRequest(f'"{name}/" is in use by a mount')
    record = new_namespace(name, args.custom_metadata or None)
    tenants = system.parts.runtime().tenants
    tenant = await tenants.open(system.parts.tenant(ctx), record, create=True)
    tx = await tenant.store.begin()
    prepare_tenant(tx)
    await tx.commit()
    ctx.transaction.save(NAMESPACES + name, record)
    return describe(record, ctx.namespace.path)


async def read(system: SystemBase, ctx: Context, args: Named) -> dict[str, Any]:
    record = await _load(ctx, args.path)
    if record is None:
        raise NotFound
    return describe(record, ctx.namespace.path)


async def change(system: SystemBase, ctx: Context, args: Change) -> dict[str, Any]:
    record = await _load(ctx, args.path)
    if record is None:
        raise NotFound
    merged = dict(record.custom_metadata or {})
    for key, value in (args.custom_metadata or {}).items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, str):
            merged[key] = value
        else:
            raise InvalidRequest('field "custom_metadata": expected an object whose values are strings')
    if len(merged) > MAX_METADATA:
        raise InvalidRequest(f'field "custom_metadata": expected at most {MAX_METADATA} pairs')
    new = msgspec.structs.replace(record, custom_metadata=merged)
    ctx.transaction.save(NAMESPACES + record.name, new)
    return describe(new, ctx.namespace.path)


async def delete(system: SystemBase, ctx: Context, args: Delete) -> Response | dict[str, Any]:
    """Take a namespace out of service at once; its store and key are destroyed behind the answer.

    What is leased there is revoked first, for only its store knows how. Leases that resist keep it, until they are
    revoked after all or it is deleted by ``force``.
    """
    if args.force and not ctx.sudo:
        raise PermissionDenied
    record = await _load(ctx, args.path)
    if record is None:
        return Response(warnings=["requested namespace does not exist"])
    tenants = system.parts.runtime().tenants
    tenant = await tenants.open(system.parts.tenant(ctx), record)
    below = await tenant.store.begin()
    if await below.list(NAMESPACES, limit=1):
        raise InvalidRequest("unable to delete namespace containing child namespaces")
    await end_namespace(tenants, tenant, ctx.transaction, record, ctx.now, forced=args.force)
    return {"status": "in-progress"}


async def listed(system: SystemBase, ctx: Context, args: Page) -> dict[str, Any]:
    names = args.of(f"{name}/" for name in await ctx.transaction.list(NAMESPACES))
    return await _listing(ctx, names)


async def _listing(ctx: Context, names: list[str]) -> dict[str, Any]:
    info: dict[str, Any] = {}
    for name in names:
        record = await _load(ctx, name)
        if record is not None:
            info[name] = describe(record, ctx.namespace.path)
    return listing(info)


async def scanned(system: SystemBase, ctx: Context, args: Page) -> dict[str, Any]:
    tenants = system.parts.runtime().tenants
    here = system.parts.tenant(ctx)
    info: dict[str, Any] = {}
    async for tenant in tenants.walk(here):
        if tenant is not here:
            path = tenant.info.path
            info[path[len(here.info.path) :]] = {
                "custom_metadata": dict(tenant.info.custom_metadata),
                "id": tenant.info.id,
                "locked": False,
                "path": path,
                "tainted": False,
                "uuid": tenant.info.uuid,
            }
    return listing(dict(sorted(info.items())))


PATHS = (
    Path(
        "namespaces",
        "List the namespaces of this one.",
        list=Operation(Page, dict, calls=listed),
        scan=Operation(Page, dict, calls=scanned),
    ),
    Path(
        "namespaces/{path:path}",
        "Create, read, change or delete a namespace of this one.",
        read=Operation(Named, dict, calls=read, raises=(NotFound,)),
        update=Operation(Create, dict, calls=create),
        patch=Operation(Change, dict, calls=change, raises=(NotFound,)),
        delete=Operation(Delete, dict, calls=delete),
    ),
)
