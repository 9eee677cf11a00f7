"""The person or workload behind a login and behind a token."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from broker.access.identity import store
from broker.access.identity.membership import Memberships, follow_login, memberships
from broker.access.identity.names import MAX_ALIAS_NAME
from broker.access.identity.records import AliasRecord, EntityRecord
from broker.access.lifetimes import issue_time
from broker.access.policies import NOBODY as NO_PERSON
from broker.access.policy.template import Alias, Group, Identity
from broker.access.records import TokenEntry
from broker.core.tenants import Tenant
from broker.plugin.context import Context, Mount, NamespaceInfo
from broker.plugin.errors import InvalidRequest, PermissionDenied
from broker.plugin.messages import Auth
from broker.storage.cache import Entry
from broker.storage.transaction import Transaction

NEVER_BY_IDENTITY = frozenset(("root",))
"""Refused where policies are given to entities and groups, and left out here all the same."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What an entity adds to a token: policies of its own and of its groups, and what templates may say of it."""

    policies: tuple[str, ...] = ()
    person: Identity = NO_PERSON


NOBODY = Standing()
MAX_RECOGNISED = 4096


@dataclass(frozen=True, slots=True)
class Recognised:
    """Whom a login turned out to be, where nothing had to be written for it, and what that rests on."""

    entity_id: str
    policies: tuple[str, ...]
    reads: dict[str, Entry]


# A login


async def recognise(tenant: Tenant, tx: Transaction, auth: Auth, mount: Mount, context: Context) -> None:
    """Find or make the entity behind a login and fill ``entity_id`` and ``identity_policies`` into ``auth``.

    Raises: PermissionDenied if the entity is disabled; InvalidRequest for a name beyond all measure.
    """
    if not auth.alias:
        return
    key = (
        mount.accessor,
        auth.alias,
        frozenset(auth.alias_metadata.items()),
        tuple(auth.group_aliases),
    )
    known = tenant.recognised.get(key)
    if known is not None and not tx.writes_below(store.BASE) and tx.rely_on(known.reads):
        auth.entity_id, auth.identity_policies = known.entity_id, known.policies
        return
    found = await entity_of(tx, tenant.info, mount, auth.alias, metadata=auth.alias_metadata, now=context.now)
    if found.disabled:
        raise PermissionDenied
    found = await follow_login(tx, found, mount.accessor, auth.group_aliases)
    auth.entity_id = found.id
    auth.identity_policies = _policies(found, await memberships(tx, found))
    if not tx.writes_below(store.BASE):
        reads = {path: entry for path, entry in tx.observed().items() if path.startswith(store.BASE)}
        if len(tenant.recognised) >= MAX_RECOGNISED:
            tenant.recognised.clear()
        tenant.recognised[key] = Recognised(found.id, auth.identity_policies, reads)


async def refresh_groups(tx: Transaction, entity_id: str, mount: Mount, names: Iterable[str]) -> None:
    """Bring the entity's external groups in line with what its auth method said at a renewal."""
    found = await store.entity_or_heir(tx, entity_id) if entity_id else None
    if found is not None:
        await follow_login(tx, found, mount.accessor, names)


async def entity_of(
    tx: Transaction,
    namespace: NamespaceInfo,
    mount: Mount,
    name: str,
    *,
    now: float,
    metadata: Mapping[str, str] | None = None,
) -> EntityRecord:
    """Return the entity that ``mount`` knows by ``name``, made if there is none yet.

    Metadata of the alias follows what the auth method says (``None`` leaves it); nothing is written if that is as it was.
    """
    if len(name) > MAX_ALIAS_NAME:
        raise InvalidRequest(f"the name of a login has at most {MAX_ALIAS_NAME} characters")
    known = await store.entity_by_alias(tx, mount.accessor, name)
    if known is None:
        return _new_entity(tx, namespace, mount, name, dict(metadata or {}) or None, now)
    said = dict(metadata or {}) or None
    alias = store.alias_at(known, mount.accessor)
    if metadata is None or alias is None or alias.metadata == said:
        return known
    changed = msgspec.structs.replace(alias, metadata=said, updated=issue_time(now))
    aliases = tuple(changed if each.id == alias.id else each for each in known.aliases)
    new = msgspec.structs.replace(known, aliases=aliases)
    store.touch_entity(tx, new)
    return new


def _new_entity(
    tx: Transaction,
    namespace: NamespaceInfo,
    mount: Mount,
    name: str,
    metadata: dict[str, str] | None,
    now: float,
) -> EntityRecord:
    made, instant = store.new_id(), issue_time(now)
    alias = AliasRecord(
        id=store.new_id(),
        name=name,
        accessor=mount.accessor,
        canonical=made,
        created=instant,
        updated=instant,
        mount_type=mount.type,
        metadata=metadata,
        local=mount.local,
    )
    new = EntityRecord(
        id=made,
        name=generated_name("entity", made, namespace),
        created=instant,
        updated=instant,
        aliases=(alias,),
    )
    store.save_entity(tx, None, new)
    return new


def generated_name(kind: str, made: str, namespace: NamespaceInfo) -> str:
    """Return the name of an entity or group that nobody named: its kind, eight digits of its id, its namespace.

    >>> generated_name("group", "caa41feb-1", NamespaceInfo("root", "root", ""))
    'group_caa41feb.root'
    """
    return f"{kind}_{made[:8]}.{namespace.id}"


# A token


async def standing_of(tenant: Tenant, tx: Transaction, entry: TokenEntry) -> Standing:
    """Return what a token's entity adds to it now. Raises: PermissionDenied if the entity is disabled or gone."""
    standing = await standing_of_entity(tx, entry.entity_id)
    return Standing((), standing.person) if entry.no_identity_policies else standing


async def standing_of_entity(tx: Transaction, entity_id: str) -> Standing:
    """Return what an entity adds to its tokens. Raises: PermissionDenied if it is disabled or gone."""
    if not entity_id:
        return NOBODY
    found = await store.entity_or_heir(tx, entity_id)
    if found is None or found.disabled:
        raise PermissionDenied
    return await _standing(tx, found)


async def by_identity(tx: Transaction, entry: TokenEntry) -> tuple[str, ...]:
    """Return the policies that a token has through its entity, to show them: also where the entity is disabled."""
    if not entry.entity_id or entry.no_identity_policies:
        return ()
    found = await store.entity_or_heir(tx, entry.entity_id)
    return () if found is None else _policies(found, await memberships(tx, found))


async def _standing(tx: Transaction, found: EntityRecord) -> Standing:
    groups = await memberships(tx, found)
    return Standing(_policies(found, groups), person_of(found, groups))


def _policies(found: EntityRecord, groups: Memberships) -> tuple[str, ...]:
    return tuple(sorted({*found.policies, *groups.policies()} - NEVER_BY_IDENTITY))


def person_of(found: EntityRecord, groups: Memberships) -> Identity:
    """Return what templates may say of an entity."""
    return Identity(
        id=found.id,
        name=found.name,
        metadata=found.metadata or {},
        aliases=tuple(
            Alias(alias.accessor, alias.id, alias.name, alias.metadata or {}, alias.custom_metadata or {})
            for alias in found.aliases
        ),
        groups=tuple(Group(group.id, group.name, group.metadata or {}) for group in groups.all),
    )
