"""``identity/entity``: write, read, list and delete entities.

Source: Vault's identity API documentation, "Entity".
"""

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from broker.access.identity import store
from broker.access.identity.membership import memberships
from broker.access.identity.names import checked_metadata
from broker.access.identity.records import EntityRecord
from broker.access.lifetimes import issue_time
from broker.core.entities import generated_name
from broker.core.identity.parts import (
    ById,
    ByName,
    Id,
    IdentityBase,
    Name,
    auth_mounts,
    names_below,
    policies_of,
)
from broker.core.identity.shown import entity_listed, entity_shown
from broker.plugin.context import Context
from broker.plugin.errors import InvalidRequest, NotFound
from broker.plugin.fields import Field
from broker.plugin.listings import Page, listing
from broker.plugin.paths import Operation, Path

MAX_BATCH = 1000


@dataclass(frozen=True, slots=True)
class WriteEntity:
    """``name`` finds an entity to change where no id is given; what is left out stays as it was."""

    id: Id = ""
    name: Name = ""
    metadata: Annotated[dict[str, str] | None, Field("Text pairs, in place of those before.")] = None
    policies: Annotated[list[str] | None, Field("Policies of all tokens of the entity.")] = None
    disabled: Annotated[bool | None, Field("Whether its tokens are refused, and its logins.")] = None


@dataclass(frozen=True, slots=True)
class BatchDelete:
    entity_ids: Annotated[list[str], Field("Ids of entities.", max_length=MAX_BATCH)] = ()  # type: ignore[assignment]


async def write(engine: IdentityBase, ctx: Context, args: WriteEntity) -> dict[str, Any] | None:
    """Make an entity, or change the one with this id or name."""
    old = await _wanted(ctx, args)
    if old is not None and args.name:
        other = await store.entity_by_name(ctx.transaction, args.name)
        if other is not None and other.id != old.id:
            raise InvalidRequest("entity name is already in use")
    new = _changed(old or _fresh(ctx), args, ctx.now)
    store.save_entity(ctx.transaction, old, new)
    return None if old is not None else {"aliases": None, "id": new.id, "name": new.name}


async def _wanted(ctx: Context, args: WriteEntity) -> EntityRecord | None:
    if args.id:
        found = await store.entity(ctx.transaction, args.id)
        if found is None:
            raise InvalidRequest("entity not found from id")
        return found
    return await store.entity_by_name(ctx.transaction, args.name) if args.name else None


def _fresh(ctx: Context) -> EntityRecord:
    made, instant = store.new_id(), issue_time(ctx.now)
    return EntityRecord(made, generated_name("entity", made, ctx.namespace), instant, instant)


def _changed(old: EntityRecord, args: WriteEntity, now: float) -> EntityRecord:
    return msgspec.structs.replace(
        old,
        name=args.name or old.name,
        updated=issue_time(now),
        metadata=old.metadata if args.metadata is None else checked_metadata(args.metadata),
        policies=old.policies if args.policies is None else policies_of(args.policies),
        disabled=old.disabled if args.disabled is None else args.disabled,
    )


async def write_named(engine: IdentityBase, ctx: Context, args: WriteEntity) -> dict[str, Any] | None:
    """Make or change the entity of this name; an id that is given must be its own."""
    known = await store.entity_by_name(ctx.transaction, args.name)
    if args.id and (known is None or known.id != args.id):
        raise InvalidRequest("entity name is already in use" if known else "entity not found from id")
    return await write(engine, ctx, args)


async def describe(ctx: Context, found: EntityRecord | None) -> dict[str, Any]:
    """Return an entity as its API shows it. Raises: NotFound."""
    if found is None:
        raise NotFound
    groups = await memberships(ctx.transaction, found)
    return entity_shown(found, groups, await auth_mounts(ctx), ctx.namespace)


async def read(engine: IdentityBase, ctx: Context, args: ById) -> dict[str, Any]:
    return await describe(ctx, await store.entity(ctx.transaction, args.id))


async def read_named(engine: IdentityBase, ctx: Context, args: ByName) -> dict[str, Any]:
    return await describe(ctx, await store.entity_by_name(ctx.transaction, args.name))


async def delete(engine: IdentityBase, ctx: Context, args: ById) -> None:
    _delete(ctx, await store.entity(ctx.transaction, args.id))


async def delete_named(engine: IdentityBase, ctx: Context, args: ByName) -> None:
    _delete(ctx, await store.entity_by_name(ctx.transaction, args.name))


async def delete_many(engine: IdentityBase, ctx: Context, args: BatchDelete) -> None:
    """Delete entities by id, all or none; ids of no entity are passed over."""
    if not args.entity_ids:
        raise InvalidRequest("missing entity ids to delete")
    for entity_id in args.entity_ids:
        _delete(ctx, await store.entity(ctx.transaction, entity_id))


def _delete(ctx: Context, found: EntityRecord | None) -> None:
    if found is not None:
        store.delete_entity(ctx.transaction, found)


async def list_ids(engine: IdentityBase, ctx: Context, args: Page) -> dict[str, Any]:
    keys = await ctx.transaction.list(store.ENTITY, after=args.after, limit=args.size)
    mounts, info = await auth_mounts(ctx), {}
    for entity_id in keys:
        found = await store.entity(ctx.transaction, entity_id)
        if found is not None:
            info[entity_id] = entity_listed(found, mounts)
    return listing(info)


async def list_names(engine: IdentityBase, ctx: Context, args: Page) -> dict[str, Any]:
    return listing(await names_below(ctx, store.ENTITY_NAME, args, store.entity))


_WRITE = Operation(WriteEntity, dict, calls=write)

PATHS = (
    Path("entity", "Make or change an entity.", update=_WRITE),
    Path("entity/id", "List entities by id.", list=Operation(Page, dict, calls=list_ids)),
    Path(
        "entity/id/{id}",
        "Read, change or delete an entity.",
        read=Operation(ById, dict, calls=read, raises=(NotFound,)),
        update=_WRITE,
        delete=Operation(ById, None, calls=delete),
    ),
    Path("entity/name", "List entities by name.", list=Operation(Page, dict, calls=list_names)),
    Path(
        "entity/name/{name:path}",
        "Read, write or delete an entity by name.",
        read=Operation(ByName, dict, calls=read_named, raises=(NotFound,)),
        update=Operation(WriteEntity, dict, calls=write_named),
        delete=Operation(ByName, None, calls=delete_named),
    ),
    Path(
        "entity/batch-delete",
        "Delete several entities.",
        update=Operation(BatchDelete, None, calls=delete_many),
    ),
)
