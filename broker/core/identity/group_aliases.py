"""``identity/group-alias``: what auth mounts call an external group.

Source: Vault's identity API documentation, "Group alias".
"""

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from broker.access.identity import store
from broker.access.identity.names import MAX_ALIAS_NAME
from broker.access.identity.records import AliasRecord, GroupRecord
from broker.access.lifetimes import issue_time
from broker.core.identity.groups import fresh_group
from broker.core.identity.parts import ById, Id, IdentityBase, auth_mounts, mount_to_speak_for
from broker.core.identity.shown import alias_listed, alias_read
from broker.plugin.context import Context, Mount
from broker.plugin.errors import InvalidRequest, NotFound
from broker.plugin.fields import Field
from broker.plugin.listings import Page, listing
from broker.plugin.paths import Operation, Path


@dataclass(frozen=True, slots=True)
class WriteGroupAlias:
    id: Id = ""
    name: Annotated[str, Field("What the auth mount calls the group.", max_length=MAX_ALIAS_NAME)] = ""
    mount_accessor: Annotated[str, Field("Accessor of the auth mount.", max_length=128)] = ""
    canonical_id: Annotated[
        str, Field("Id of the external group; a new one if left out.", max_length=128)
    ] = ""


async def write(engine: IdentityBase, ctx: Context, args: WriteGroupAlias) -> dict[str, Any] | None:
    """Make an alias of an external group, or change the one with this id."""
    tx = ctx.transaction
    old = await store.group_by_alias_id(tx, args.id) if args.id else None
    if args.id and old is None:
        raise InvalidRequest("invalid group alias ID")
    if not args.name:
        raise InvalidRequest("missing alias name")
    if not args.mount_accessor:
        raise InvalidRequest("missing mount_accessor")
    mount = await mount_to_speak_for(ctx, args.mount_accessor)
    if old is not None and old.alias is not None and old.alias.accessor != mount.accessor:
        await mount_to_speak_for(ctx, old.alias.accessor)
    holder = await store.group_by_alias(tx, mount.accessor, args.name)
    if holder is not None and (old is None or holder.id != old.id):
        raise InvalidRequest("combination of mount and group alias name is already in use")
    target = await _target(ctx, args.canonical_id, old)
    alias = _alias(ctx, args, mount, target, None if old is None else old.alias)
    if old is not None and old.id == target.id and alias == old.alias:
        return None
    _store(ctx, old, target, msgspec.structs.replace(alias, updated=issue_time(ctx.now)))
    return {"canonical_id": target.id, "id": alias.id}


async def _target(ctx: Context, canonical: str, old: GroupRecord | None) -> GroupRecord:
    """Return the group that the alias is to be of, a new one if none is named."""
    if not canonical:
        return old or fresh_group(ctx, external=True)
    found = await store.group(ctx.transaction, canonical)
    if found is None:
        raise InvalidRequest("invalid group ID given in 'canonical_id'")
    if not found.external:
        raise InvalidRequest("alias can't be set on an internal group")
    return found


def _alias(
    ctx: Context, args: WriteGroupAlias, mount: Mount, target: GroupRecord, known: AliasRecord | None
) -> AliasRecord:
    if known is not None:
        return msgspec.structs.replace(
            known, name=args.name, accessor=mount.accessor, mount_type=mount.type, canonical=target.id
        )
    instant = issue_time(ctx.now)
    return AliasRecord(
        store.new_id(), args.name, mount.accessor, target.id, instant, instant, mount_type=mount.type
    )


def _store(ctx: Context, old: GroupRecord | None, target: GroupRecord, alias: AliasRecord) -> None:
    """Give the alias to its group; one group has one alias, so what it had before goes."""
    tx, instant = ctx.transaction, issue_time(ctx.now)
    if old is not None and old.id != target.id:
        store.save_group(tx, old, msgspec.structs.replace(old, alias=None, version=old.version + 1))
    known = target if target.version else None  # a new group has not been stored yet
    new = msgspec.structs.replace(target, alias=alias, updated=instant, version=target.version + 1)
    store.save_group(tx, known, new)


async def read(engine: IdentityBase, ctx: Context, args: ById) -> dict[str, Any]:
    found = await store.group_by_alias_id(ctx.transaction, args.id)
    if found is None or found.alias is None:
        raise NotFound
    return alias_read(found.alias, await auth_mounts(ctx), ctx.namespace)


async def delete(engine: IdentityBase, ctx: Context, args: ById) -> None:
    """Take the alias away: the group keeps the members it has, and gets no more by logins."""
    found = await store.group_by_alias_id(ctx.transaction, args.id)
    if found is not None:
        new = msgspec.structs.replace(
            found, alias=None, updated=issue_time(ctx.now), version=found.version + 1
        )
        store.save_group(ctx.transaction, found, new)


async def list_ids(engine: IdentityBase, ctx: Context, args: Page) -> dict[str, Any]:
    mounts, info = await auth_mounts(ctx), {}
    for alias_id in await ctx.transaction.list(store.GROUP_ALIAS, after=args.after, limit=args.size):
        found = await store.group_by_alias_id(ctx.transaction, alias_id)
        if found is not None and found.alias is not None:
            info[alias_id] = alias_listed(found.alias, mounts)
    return listing(info)


_WRITE = Operation(WriteGroupAlias, dict, calls=write)

PATHS = (
    Path("group-alias", "Make or change an alias of an external group.", update=_WRITE),
    Path("group-alias/id", "List aliases of groups.", list=Operation(Page, dict, calls=list_ids)),
    Path(
        "group-alias/id/{id}",
        "Read, change or delete an alias of a group.",
        read=Operation(ById, dict, calls=read, raises=(NotFound,)),
        update=_WRITE,
        delete=Operation(ById, None, calls=delete),
    ),
)
