"""``identity/group``: write, read, list and delete groups.

Source: Vault's identity API documentation, "Group".
"""

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from broker.access.identity import store
from broker.access.identity.membership import delete_group, member_ids, set_member_groups, set_members
from broker.access.identity.names import checked_metadata
from broker.access.identity.records import GroupRecord
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
from broker.core.identity.shown import group_listed, group_shown
from broker.plugin.context import Context
from broker.plugin.errors import InvalidRequest, NotFound
from broker.plugin.fields import Field
from broker.plugin.listings import Page, listing
from broker.plugin.paths import Operation, Path

MAX_MEMBERS = 100_000
TYPES = ("internal", "external")


@dataclass(frozen=True, slots=True)
class WriteGroup:
    """``name`` finds a group to change where no id is given; what is left out stays as it was."""

    id: Id = ""
    name: Name = ""
    type: Annotated[str, Field("internal or external: external groups get their members from logins.")] = ""
    metadata: Annotated[dict[str, str] | None, Field("Text pairs, in place of those before.")] = None
    policies: Annotated[list[str] | None, Field("Policies of everyone in the group.")] = None
    member_group_ids: Annotated[
        list[str] | None, Field("Groups whose members are in this one too.", max_length=MAX_MEMBERS)
    ] = None
    member_entity_ids: Annotated[
        list[str] | None, Field("Entities in the group.", max_length=MAX_MEMBERS)
    ] = None


async def write(engine: IdentityBase, ctx: Context, args: WriteGroup) -> dict[str, Any] | None:
    """Make a group, or change the one with this id or name."""
    tx = ctx.transaction
    old = await _wanted(ctx, args)
    if old is not None and args.name:
        other = await store.group_by_name(tx, args.name)
        if other is not None and other.id != old.id:
            raise InvalidRequest("group name is already in use")
    new = _changed(old or fresh_group(ctx), args, ctx.now)
    _check_type(old, new, args)
    if args.member_group_ids is not None:
        new = await set_member_groups(tx, new, args.member_group_ids)
    if args.member_entity_ids is not None:
        await set_members(tx, new, args.member_entity_ids)
    store.save_group(tx, old, new)
    return None if old is not None else {"id": new.id, "name": new.name}


async def _wanted(ctx: Context, args: WriteGroup) -> GroupRecord | None:
    if args.id:
        found = await store.group(ctx.transaction, args.id)
        if found is None:
            raise InvalidRequest("invalid group ID")
        return found
    return await store.group_by_name(ctx.transaction, args.name) if args.name else None


def fresh_group(ctx: Context, *, external: bool = False) -> GroupRecord:
    """Return a new group with a name of its own making."""
    made, instant = store.new_id(), issue_time(ctx.now)
    name = generated_name("group", made, ctx.namespace)
    return GroupRecord(made, name, instant, instant, external=external)


def _changed(old: GroupRecord, args: WriteGroup, now: float) -> GroupRecord:
    return msgspec.structs.replace(
        old,
        name=args.name or old.name,
        updated=issue_time(now),
        external=old.external if not args.type else args.type == "external",
        metadata=old.metadata if args.metadata is None else checked_metadata(args.metadata),
        policies=old.policies if args.policies is None else policies_of(args.policies),
        version=old.version + 1,
    )


def _check_type(old: GroupRecord | None, new: GroupRecord, args: WriteGroup) -> None:
    if args.type and args.type not in TYPES:
        raise InvalidRequest("invalid group type; expected internal or external")
    if old is not None and old.external != new.external:
        raise InvalidRequest("group type cannot be changed")
    if new.external and args.member_entity_ids:
        raise InvalidRequest("member entities can't be set manually for external groups")
    if new.external and args.member_group_ids:
        raise InvalidRequest("member groups can't be set for external groups")


async def write_named(engine: IdentityBase, ctx: Context, args: WriteGroup) -> dict[str, Any] | None:
    """Make or change the group of this name; an id that is given must be its own."""
    known = await store.group_by_name(ctx.transaction, args.name)
    if args.id and (known is None or known.id != args.id):
        raise InvalidRequest("group name is already in use" if known else "invalid group ID")
    return await write(engine, ctx, args)


async def describe(ctx: Context, found: GroupRecord | None) -> dict[str, Any]:
    """Return a group as its API shows it. Raises: NotFound."""
    if found is None:
        raise NotFound
    entities = await member_ids(ctx.transaction, found.id)
    return group_shown(found, entities, await auth_mounts(ctx), ctx.namespace)


async def read(engine: IdentityBase, ctx: Context, args: ById) -> dict[str, Any]:
    return await describe(ctx, await store.group(ctx.transaction, args.id))


async def read_named(engine: IdentityBase, ctx: Context, args: ByName) -> dict[str, Any]:
    return await describe(ctx, await store.group_by_name(ctx.transaction, args.name))


async def delete(engine: IdentityBase, ctx: Context, args: ById) -> None:
    await _delete(ctx, await store.group(ctx.transaction, args.id))


async def delete_named(engine: IdentityBase, ctx: Context, args: ByName) -> None:
    await _delete(ctx, await store.group_by_name(ctx.transaction, args.name))


async def _delete(ctx: Context, found: GroupRecord | None) -> None:
    if found is not None:
        await delete_group(ctx.transaction, found)


async def list_ids(engine: IdentityBase, ctx: Context, args: Page) -> dict[str, Any]:
    mounts, info = await auth_mounts(ctx), {}
    for group_id in await ctx.transaction.list(store.GROUP, after=args.after, limit=args.size):
        found = await store.group(ctx.transaction, group_id)
        if found is not None:
            info[group_id] = group_listed(found, len(await member_ids(ctx.transaction, group_id)), mounts)
    return listing(info)


async def list_names(engine: IdentityBase, ctx: Context, args: Page) -> dict[str, Any]:
    return listing(await names_below(ctx, store.GROUP_NAME, args, store.group))


_WRITE = Operation(WriteGroup, dict, calls=write)

PATHS = (
    Path("group", "Make or change a group.", update=_WRITE),
    Path("group/id", "List groups by id.", list=Operation(Page, dict, calls=list_ids)),
    Path(
        "group/id/{id}",
        "Read, change or delete a group.",
        read=Operation(ById, dict, calls=read, raises=(NotFound,)),
        update=_WRITE,
        delete=Operation(ById, None, calls=delete),
    ),
    Path("group/name", "List groups by name.", list=Operation(Page, dict, calls=list_names)),
    Path(
        "group/name/{name:path}",
        "Read, write or delete a group by name.",
        read=Operation(ByName, dict, calls=read_named, raises=(NotFound,)),
        update=Operation(WriteGroup, dict, calls=write_named),
        delete=Operation(ByName, None, calls=delete_named),
    ),
)
