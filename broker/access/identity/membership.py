"""Which entities are in which groups, directly and through groups within groups."""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from broker.access.identity import store
from broker.access.identity.records import EntityRecord, GroupRecord, Pointer
from broker.plugin.errors import InvalidRequest
from broker.storage.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Memberships:
    """The groups of an entity: those it was put into, and those above them."""

    direct: tuple[GroupRecord, ...] = ()
    inherited: tuple[GroupRecord, ...] = ()

    @property
    def all(self) -> tuple[GroupRecord, ...]:
        return (*self.direct, *self.inherited)

    def policies(self) -> set[str]:
        """Return the policies of all of them."""
        return {policy for group in self.all for policy in group.policies or ()}


async def memberships(tx: Transaction, entity: EntityRecord) -> Memberships:
    """Return the groups of an entity: one read for each of them, and for nothing else."""
    direct: dict[str, GroupRecord] = {}
    for group_id in entity.groups:
        group = await store.group(tx, group_id)
        if group is not None:
            direct[group.id] = group
    above = await ancestors(tx, direct.values())
    inherited = tuple(group for group_id, group in above.items() if group_id not in direct)
    return Memberships(tuple(direct.values()), inherited)


async def ancestors(tx: Transaction, groups: Iterable[GroupRecord]) -> dict[str, GroupRecord]:
    """Return every group above the given ones, each once, nearest first."""
    found: dict[str, GroupRecord] = {}
    waiting = [parent for group in groups for parent in group.parents]
    for group_id in waiting:  # grows as it goes
        if group_id in found:
            continue
        group = await store.group(tx, group_id)
        if group is not None:
            found[group_id] = group
            waiting.extend(group.parents)
    return found


# Entities in groups


async def member_ids(tx: Transaction, group_id: str) -> list[str]:
    """Return the ids of a group's direct entities."""
    return await tx.list(f"{store.GROUP_MEMBER}{group_id}/")


async def set_members(tx: Transaction, group: GroupRecord, wanted: Iterable[str]) -> None:
    """Make ``wanted`` the group's direct entities. The caller stores the group, so that two such changes conflict.

    Raises: InvalidRequest if an id is of no entity.
    """
    now, then = list(dict.fromkeys(wanted)), set(await member_ids(tx, group.id))
    for entity_id in now:
        entity = await store.entity(tx, entity_id)
        if entity is None:
            raise InvalidRequest('field "member_entity_ids": expected ids of entities of this namespace')
        if entity_id not in then:
            join(tx, entity, group.id)
    for entity_id in then - set(now):
        entity = await store.entity(tx, entity_id)
        if entity is not None:
            leave(tx, entity, group.id)
        tx.delete(f"{store.GROUP_MEMBER}{group.id}/{entity_id}")


def join(tx: Transaction, entity: EntityRecord, group_id: str) -> EntityRecord:
    """Put an entity into a group. Returns the entity as it is now."""
    tx.save(f"{store.GROUP_MEMBER}{group_id}/{entity.id}", Pointer(entity.id))
    if group_id in entity.groups:
        return entity
    new = msgspec.structs.replace(entity, groups=(*entity.groups, group_id))
    store.touch_entity(tx, new)
    return new


def leave(tx: Transaction, entity: EntityRecord, group_id: str) -> EntityRecord:
    """Take an entity out of a group. Returns the entity as it is now."""
    tx.delete(f"{store.GROUP_MEMBER}{group_id}/{entity.id}")
    new = msgspec.structs.replace(entity, groups=tuple(each for each in entity.groups if each != group_id))
    store.touch_entity(tx, new)
    return new


async def follow_login(
    tx: Transaction, entity: EntityRecord, accessor: str, names: Iterable[str]
) -> EntityRecord:
    """Make the entity a member of exactly those external groups of a mount that a login there has named.

    Groups of other mounts stay as they are, and a name that no group has as its alias means nothing. Nothing is written
    where nothing changed. Returns the entity as it is now.
    """
    wanted: dict[str, None] = {}
    for name in names:
        group = await store.group_by_alias(tx, accessor, name)
        if group is not None and group.external:
            wanted[group.id] = None
    for group_id in entity.groups:
        group = await store.group(tx, group_id)
        if group is None:
            entity = leave(tx, entity, group_id)  # deleted since: a write is at hand, so tidy up
        elif _of_mount(group, accessor) and group_id not in wanted:
            entity = leave(tx, entity, group_id)
    for group_id in wanted:
        if group_id not in entity.groups:
            entity = join(tx, entity, group_id)
    return entity


def _of_mount(group: GroupRecord, accessor: str) -> bool:
    return group.external and group.alias is not None and group.alias.accessor == accessor


# Groups in groups


async def set_member_groups(tx: Transaction, group: GroupRecord, wanted: Iterable[str]) -> GroupRecord:
    """Return the group with ``wanted`` as its member groups, their side of the tie stored.

    Every group on the way up is read, so of two changes that would close a circle together one conflicts.
    Raises: InvalidRequest for an unknown id, and for a group that is this one or above it.
    """
    now = tuple(dict.fromkeys(wanted))
    above = await ancestors(tx, (group,))
    for member_id in now:
        if member_id == group.id:
            raise InvalidRequest(f'member group ID "{member_id}" is same as the ID of the group')
        member = await store.group(tx, member_id)
        if member is None:
            raise InvalidRequest('field "member_group_ids": expected ids of groups of this namespace')
        if member_id in above:
            raise InvalidRequest(f'cyclic relationship detected for member group ID "{member_id}"')
        if group.id not in member.parents:
            _tie(tx, member, (*member.parents, group.id))
    for member_id in set(group.members) - set(now):
        member = await store.group(tx, member_id)
        if member is not None:
            _tie(tx, member, tuple(each for each in member.parents if each != group.id))
    return msgspec.structs.replace(group, members=now)


def _tie(tx: Transaction, member: GroupRecord, parents: tuple[str, ...]) -> None:
    store.save_group(tx, member, msgspec.structs.replace(member, parents=parents, version=member.version + 1))


async def delete_group(tx: Transaction, group: GroupRecord) -> None:
    """Remove a group. Entities that still name it lose it when they are next written; nothing else reads it."""
    for parent_id in group.parents:
        parent = await store.group(tx, parent_id)
        if parent is not None:
            members = tuple(each for each in parent.members if each != group.id)
            store.save_group(tx, parent, msgspec.structs.replace(parent, members=members))
    await set_member_groups(tx, group, ())
    for entity_id in await member_ids(tx, group.id):
        tx.delete(f"{store.GROUP_MEMBER}{group.id}/{entity_id}")
    store.drop_group(tx, group)
