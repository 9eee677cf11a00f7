"""``identity/entity-alias``: what auth mounts call an entity. Older clients say ``alias`` or ``persona``.

Source: Vault's identity API documentation, "Entity alias".
"""

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from broker.access.identity import store
from broker.access.identity.names import MAX_ALIAS_NAME, alias_segment, checked_metadata
from broker.access.identity.records import AliasRecord, EntityRecord
from broker.access.lifetimes import issue_time
from broker.core.entities import generated_name
from broker.core.identity.entities import WriteEntity
from broker.core.identity.entities import write as write_entity
from broker.core.identity.parts import ById, Id, IdentityBase, auth_mounts, mount_to_speak_for
from broker.core.identity.shown import alias_listed, alias_read
from broker.plugin.context import Context, Mount
from broker.plugin.errors import InvalidRequest, NotFound
from broker.plugin.fields import Field
from broker.plugin.listings import Page, listing
from broker.plugin.paths import Operation, Path

_TAKEN = "Alias cannot be updated as the given entity already has an alias for this mount "


@dataclass(frozen=True, slots=True)
class WriteAlias:
    id: Id = ""
    name: Annotated[str, Field("What the auth mount calls the entity.", max_length=MAX_ALIAS_NAME)] = ""
    mount_accessor: Annotated[str, Field("Accessor of the auth mount.", max_length=128)] = ""
    canonical_id: Annotated[str, Field("Id of the entity.", max_length=128)] = ""
    entity_id: Annotated[str, Field("Old name of canonical_id.", deprecated=True, max_length=128)] = ""
    custom_metadata: Annotated[dict[str, str] | None, Field("Text pairs, in place of those before.")] = None

    @property
    def canonical(self) -> str:
        return self.canonical_id or self.entity_id


async def write(engine: IdentityBase, ctx: Context, args: WriteAlias) -> dict[str, Any] | None:
    """Make an alias, or change the one with this id, or the one with this name at this mount."""
    owner = alias = None
    if args.id:
        owner = await store.entity_by_alias_id(ctx.transaction, args.id)
        alias = None if owner is None else store.alias_in(owner, args.id)
        if alias is None:
            raise InvalidRequest("invalid alias ID provided")
    name = args.name or (alias.name if alias else "")
    accessor = args.mount_accessor or (alias.accessor if alias else "")
    if not name or not accessor:
        raise InvalidRequest("'id' or 'mount_accessor' and 'name' must be provided")
    mount = await mount_to_speak_for(ctx, accessor)
    holder = await store.entity_by_alias(ctx.transaction, accessor, name)
    if owner is None and holder is not None:
        owner, alias = holder, store.alias_at(holder, accessor)
    if owner is None or alias is None:
        return await _create(ctx, args, mount)
    if alias.accessor != accessor:
        await mount_to_speak_for(ctx, alias.accessor)
    if holder is not None and _named(holder, accessor, name) != alias.id:
        raise InvalidRequest("alias with combination of mount accessor and name already exists")
    return await _change(ctx, owner, alias, mount, name, args)


def _named(holder: EntityRecord, accessor: str, name: str) -> str:
    """Return the id of the entity's alias of this name at a mount."""
    wanted = alias_segment(name)
    return next(
        (a.id for a in holder.aliases if a.accessor == accessor and alias_segment(a.name) == wanted), ""
    )


async def _create(ctx: Context, args: WriteAlias, mount: Mount) -> dict[str, Any]:
    """Make an alias of the entity given, or of a new one."""
    instant, old = issue_time(ctx.now), None
    if args.canonical:
        old = await _entity(ctx, args.canonical)
        if store.alias_at(old, mount.accessor) is not None:
            raise InvalidRequest("Alias already exists for requested entity and mount accessor")
    made = store.new_id()
    owner = old or EntityRecord(made, generated_name("entity", made, ctx.namespace), instant, instant)
    alias = AliasRecord(
        id=store.new_id(),
        name=args.name,
        accessor=mount.accessor,
        canonical=owner.id,
        created=instant,
        updated=instant,
        mount_type=mount.type,
        custom_metadata=checked_metadata(args.custom_metadata, "custom_metadata"),
        local=mount.local,
    )
    new = msgspec.structs.replace(owner, aliases=(*owner.aliases, alias), updated=instant)
    store.save_entity(ctx.transaction, old, new)
    return {"canonical_id": owner.id, "id": alias.id}


async def _change(
    ctx: Context, owner: EntityRecord, alias: AliasRecord, mount: Mount, name: str, args: WriteAlias
) -> dict[str, Any] | None:
    """Rename an alias, change its metadata, or move it to another entity or mount."""
    target = owner if args.canonical in ("", owner.id) else await _entity(ctx, args.canonical)
    moved = target is not owner or alias.accessor != mount.accessor
    if moved and store.alias_at(target, mount.accessor) is not None:
        raise InvalidRequest(_TAKEN)
    custom = alias.custom_metadata
    if args.custom_metadata is not None:
        custom = checked_metadata(args.custom_metadata, "custom_metadata")
    new = msgspec.structs.replace(
        alias,
        name=name,
        accessor=mount.accessor,
        mount_type=mount.type,
        canonical=target.id,
        custom_metadata=custom,
    )
    if new == alias:
        return None
    new = msgspec.structs.replace(new, updated=issue_time(ctx.now))
    if target is owner:
        kept = tuple(new if each.id == alias.id else each for each in owner.aliases)
        store.save_entity(ctx.transaction, owner, msgspec.structs.replace(owner, aliases=kept))
    else:
        _move(ctx, owner, target, new)
    return {"canonical_id": target.id, "id": alias.id}


def _move(ctx: Context, owner: EntityRecord, target: EntityRecord, alias: AliasRecord) -> None:
    left = tuple(each for each in owner.aliases if each.id != alias.id)
    store.save_entity(ctx.transaction, owner, msgspec.structs.replace(owner, aliases=left))
    grown = msgspec.structs.replace(target, aliases=(*target.aliases, alias))
    store.save_entity(ctx.transaction, target, grown)


async def _entity(ctx: Context, entity_id: str) -> EntityRecord:
    found = await store.entity(ctx.transaction, entity_id)
    if found is None:
        raise InvalidRequest("invalid canonical ID")
    return found


async def read(engine: IdentityBase, ctx: Context, args: ById) -> dict[str, Any]:
    owner = await store.entity_by_alias_id(ctx.transaction, args.id)
    alias = None if owner is None else store.alias_in(owner, args.id)
    if alias is None:
        raise NotFound
    return alias_read(alias, await auth_mounts(ctx), ctx.namespace)


async def delete(engine: IdentityBase, ctx: Context, args: ById) -> None:
    """Take an alias away from its entity: the next login of that name makes a new one."""
    owner = await store.entity_by_alias_id(ctx.transaction, args.id)
    if owner is None:
        return
    left = tuple(each for each in owner.aliases if each.id != args.id)
    store.save_entity(ctx.transaction, owner, msgspec.structs.replace(owner, aliases=left))


async def list_ids(engine: IdentityBase, ctx: Context, args: Page) -> dict[str, Any]:
    mounts, info = await auth_mounts(ctx), {}
    for alias_id in await ctx.transaction.list(store.ALIAS, after=args.after, limit=args.size):
        owner = await store.entity_by_alias_id(ctx.transaction, alias_id)
        alias = None if owner is None else store.alias_in(owner, alias_id)
        if alias is not None:
            info[alias_id] = alias_listed(alias, mounts)
    return listing(info)


def _rows(word: str, *, deprecated: str = "") -> tuple[Path, ...]:
    note = f" Deprecated: use {deprecated}." if deprecated else ""
    return (
        Path(f"{word}/id", f"List aliases of entities.{note}", list=Operation(Page, dict, calls=list_ids)),
        Path(
            f"{word}/id/{{id}}",
            f"Read, change or delete an alias of an entity.{note}",
            read=Operation(ById, dict, calls=read, raises=(NotFound,)),
            update=Operation(WriteAlias, dict, calls=write),
            delete=Operation(ById, None, calls=delete),
        ),
    )


PATHS = (
    Path(
        "entity-alias",
        "Make or change an alias of an entity.",
        update=Operation(WriteAlias, dict, calls=write),
    ),
    *_rows("entity-alias"),
    Path("alias", "Old name of entity-alias.", update=Operation(WriteAlias, dict, calls=write)),
    *_rows("alias", deprecated="entity-alias"),
    Path("persona", "Old name of entity.", update=Operation(WriteEntity, dict, calls=write_entity)),
    *_rows("persona", deprecated="entity-alias"),
)
