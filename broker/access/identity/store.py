"""Entities, aliases and groups in a tenant's store, each found by id, by name or by what an auth mount calls it.

Layout::

    sys/identity/entity/<id>                       EntityRecord, its aliases inside
    sys/identity/entity-name/<name>                Pointer to the entity
    sys/identity/alias/<id>                        Pointer to the entity
    sys/identity/alias-key/<accessor>/<hash>       Pointer to the entity; the hash is of the folded name
    sys/identity/merged/<id>                       Pointer to the entity that took over this id
    sys/identity/group/<id>                        GroupRecord, its alias inside
    sys/identity/group-name/<name>                 Pointer to the group
    sys/identity/group-alias/<id>                  Pointer to the group
    sys/identity/group-alias-key/<accessor>/<hash> Pointer to the group
    sys/identity/group-member/<group>/<entity>     Pointer to the entity

Whatever is looked up joins the transaction's preconditions, an absence too: of two logins that make the same entity one
runs again and finds the other's.
"""

import uuid

from broker.access.identity.names import alias_segment, name_segment
from broker.access.identity.records import AliasRecord, EntityRecord, GroupRecord, Pointer
from broker.storage.transaction import Transaction

BASE = "sys/identity/"
ENTITY = BASE + "entity/"
ENTITY_NAME = BASE + "entity-name/"
ALIAS = BASE + "alias/"
ALIAS_KEY = BASE + "alias-key/"
MERGED = BASE + "merged/"
GROUP = BASE + "group/"
GROUP_NAME = BASE + "group-name/"
GROUP_ALIAS = BASE + "group-alias/"
GROUP_ALIAS_KEY = BASE + "group-alias-key/"
GROUP_MEMBER = BASE + "group-member/"


def new_id() -> str:
    """Return a fresh id of an entity, alias or group."""
    return str(uuid.uuid4())


async def _pointed(tx: Transaction, path: str) -> str:
    found = await tx.load(path, Pointer)
    return "" if found is None else found.id


# Entities


async def entity(tx: Transaction, entity_id: str) -> EntityRecord | None:
    """Return an entity by its own id."""
    return await tx.load(ENTITY + entity_id, EntityRecord) if _plain(entity_id) else None


async def entity_or_heir(tx: Transaction, entity_id: str) -> EntityRecord | None:
    """Return an entity by its id, or the one that it was merged into."""
    found = await entity(tx, entity_id)
    if found is None and _plain(entity_id) and (heir := await _pointed(tx, MERGED + entity_id)):
        found = await entity(tx, heir)
    return found


async def entity_by_name(tx: Transaction, name: str) -> EntityRecord | None:
    """Return the entity of this name, whatever the case of its letters."""
    found = await _pointed(tx, ENTITY_NAME + name_segment(name))
    return await entity(tx, found) if found else None


async def entity_by_alias(tx: Transaction, accessor: str, name: str) -> EntityRecord | None:
    """Return the entity that the mount with this accessor knows by ``name``."""
    found = await _pointed(tx, _alias_key(accessor, name)) if _plain(accessor) else ""
    return await entity(tx, found) if found else None


async def entity_by_alias_id(tx: Transaction, alias_id: str) -> EntityRecord | None:
    """Return the entity that an alias belongs to."""
    found = await _pointed(tx, ALIAS + alias_id) if _plain(alias_id) else ""
    return await entity(tx, found) if found else None


def alias_in(record: EntityRecord, alias_id: str) -> AliasRecord | None:
    """Return an entity's alias by id."""
    return next((alias for alias in record.aliases if alias.id == alias_id), None)


def alias_at(record: EntityRecord, accessor: str) -> AliasRecord | None:
    """Return an entity's alias at a mount."""
    return next((alias for alias in record.aliases if alias.accessor == accessor), None)


def save_entity(tx: Transaction, old: EntityRecord | None, new: EntityRecord) -> None:
    """Store an entity and keep its indexes true. The caller has made sure that its names are free."""
    before = () if old is None else old.aliases
    if old is not None and name_segment(old.name) != name_segment(new.name):
        tx.delete(ENTITY_NAME + name_segment(old.name))
    if old is None or old.name != new.name:
        tx.save(ENTITY_NAME + name_segment(new.name), Pointer(new.id))
    kept = {alias.id for alias in new.aliases}
    for alias in before:
        if alias.id not in kept:
            tx.delete(ALIAS + alias.id)
        tx.delete(_alias_key(alias.accessor, alias.name))
    for alias in new.aliases:
        tx.save(ALIAS + alias.id, Pointer(new.id))
        tx.save(_alias_key(alias.accessor, alias.name), Pointer(new.id))
    tx.save(ENTITY + new.id, new)


def touch_entity(tx: Transaction, new: EntityRecord) -> None:
    """Store an entity whose names and aliases' names are as they were."""
    tx.save(ENTITY + new.id, new)


def delete_entity(tx: Transaction, record: EntityRecord) -> None:
    """Remove an entity, its aliases and its places in groups."""
    tx.delete(ENTITY + record.id)
    tx.delete(ENTITY_NAME + name_segment(record.name))
    for alias in record.aliases:
        tx.delete(ALIAS + alias.id)
        tx.delete(_alias_key(alias.accessor, alias.name))
    for old in record.merged:
        tx.delete(MERGED + old)
    for group_id in record.groups:
        tx.delete(f"{GROUP_MEMBER}{group_id}/{record.id}")


def _alias_key(accessor: str, name: str) -> str:
    return f"{ALIAS_KEY}{accessor}/{alias_segment(name)}"


# Groups


async def group(tx: Transaction, group_id: str) -> GroupRecord | None:
    """Return a group by id."""
    return await tx.load(GROUP + group_id, GroupRecord) if _plain(group_id) else None


async def group_by_name(tx: Transaction, name: str) -> GroupRecord | None:
    """Return the group of this name, whatever the case of its letters."""
    found = await _pointed(tx, GROUP_NAME + name_segment(name))
    return await group(tx, found) if found else None


async def group_by_alias(tx: Transaction, accessor: str, name: str) -> GroupRecord | None:
    """Return the external group that the mount with this accessor knows by ``name``."""
    found = await _pointed(tx, _group_alias_key(accessor, name)) if _plain(accessor) else ""
    return await group(tx, found) if found else None


async def group_by_alias_id(tx: Transaction, alias_id: str) -> GroupRecord | None:
    """Return the group that a group alias belongs to."""
    found = await _pointed(tx, GROUP_ALIAS + alias_id) if _plain(alias_id) else ""
    return await group(tx, found) if found else None


def save_group(tx: Transaction, old: GroupRecord | None, new: GroupRecord) -> None:
    """Store a group and keep its indexes true. The caller has made sure that its names are free."""
    if old is not None and name_segment(old.name) != name_segment(new.name):
        tx.delete(GROUP_NAME + name_segment(old.name))
    if old is None or old.name != new.name:
        tx.save(GROUP_NAME + name_segment(new.name), Pointer(new.id))
    if old is not None and old.alias is not None and old.alias != new.alias:
        tx.delete(GROUP_ALIAS + old.alias.id)
        tx.delete(_group_alias_key(old.alias.accessor, old.alias.name))
    if new.alias is not None and (old is None or old.alias != new.alias):
        tx.save(GROUP_ALIAS + new.alias.id, Pointer(new.id))
        tx.save(_group_alias_key(new.alias.accessor, new.alias.name), Pointer(new.id))
    tx.save(GROUP + new.id, new)


def drop_group(tx: Transaction, record: GroupRecord) -> None:
    """Remove a group's record and indexes, but neither its members' places nor its ties to other groups."""
    tx.delete(GROUP + record.id)
    tx.delete(GROUP_NAME + name_segment(record.name))
    if record.alias is not None:
        tx.delete(GROUP_ALIAS + record.alias.id)
        tx.delete(_group_alias_key(record.alias.accessor, record.alias.name))


def _group_alias_key(accessor: str, name: str) -> str:
    return f"{GROUP_ALIAS_KEY}{accessor}/{alias_segment(name)}"


def _plain(given: str) -> bool:
    """Whether text may be an id or accessor: a single segment, so that it cannot reach another part of the layout."""
    return 0 < len(given) <= 128 and "/" not in given and given.isprintable()
