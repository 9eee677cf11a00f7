"""Entities, aliases and groups as the API shows them."""

from collections.abc import Mapping, Sequence
from typing import Any

from broker.access.identity.membership import Memberships
from broker.access.identity.records import AliasRecord, EntityRecord, GroupRecord
from broker.plugin.context import Mount, NamespaceInfo

Mounts = Mapping[str, Mount]


def entity_shown(
    record: EntityRecord, groups: Memberships, mounts: Mounts, namespace: NamespaceInfo
) -> dict[str, Any]:
    direct = [group.id for group in groups.direct]
    inherited = [group.id for group in groups.inherited]
    return {
        "aliases": [alias_shown(alias, mounts) for alias in record.aliases],
        "creation_time": record.created,
        "direct_group_ids": direct,
        "disabled": record.disabled,
        "group_ids": [*direct, *inherited],
        "id": record.id,
        "inherited_group_ids": inherited,
        "last_update_time": record.updated,
        "merged_entity_ids": list(record.merged) or None,
        "metadata": record.metadata,
        "name": record.name,
        "namespace_id": namespace.id,
        "policies": list(record.policies),
    }


def entity_listed(record: EntityRecord, mounts: Mounts) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": record.name}
    if record.aliases:
        shown["aliases"] = [_alias_short(alias, mounts) for alias in record.aliases]
    return shown


def alias_shown(alias: AliasRecord, mounts: Mounts) -> dict[str, Any]:
    """Return an alias as it stands within its entity."""
    return {
        **group_alias_shown(alias, mounts),
        "custom_metadata": alias.custom_metadata,
        "local": alias.local,
    }


def group_alias_shown(alias: AliasRecord, mounts: Mounts) -> dict[str, Any]:
    """Return an alias as it stands within its group."""
    return {
        "canonical_id": alias.canonical,
        "creation_time": alias.created,
        "id": alias.id,
        "last_update_time": alias.updated,
        "merged_from_canonical_ids": list(alias.merged_from) or None,
        "metadata": alias.metadata,
        **_mount_of(alias, mounts),
        "name": alias.name,
    }


def alias_read(alias: AliasRecord, mounts: Mounts, namespace: NamespaceInfo) -> dict[str, Any]:
    """Return an alias as it is read by itself."""
    return {**alias_shown(alias, mounts), "namespace_id": namespace.id}


def alias_listed(alias: AliasRecord, mounts: Mounts) -> dict[str, Any]:
    return {
        "canonical_id": alias.canonical,
        "custom_metadata": alias.custom_metadata,
        "local": alias.local,
        "metadata": alias.metadata,
        **_mount_of(alias, mounts),
        "name": alias.name,
    }


def _alias_short(alias: AliasRecord, mounts: Mounts) -> dict[str, Any]:
    return {"id": alias.id, **_mount_of(alias, mounts), "name": alias.name}


def _mount_of(alias: AliasRecord, mounts: Mounts) -> dict[str, str]:
    mount = mounts.get(alias.accessor)
    if mount is None:  # disabled since: its accessor never comes back
        return {"mount_accessor": alias.accessor}
    return {"mount_accessor": alias.accessor, "mount_path": mount.prefix, "mount_type": mount.type}


def group_shown(
    record: GroupRecord, entities: Sequence[str], mounts: Mounts, namespace: NamespaceInfo
) -> dict[str, Any]:
    return {
        "alias": {} if record.alias is None else group_alias_shown(record.alias, mounts),
        "creation_time": record.created,
        "id": record.id,
        "last_update_time": record.updated,
        "member_entity_ids": list(entities) or None,
        "member_group_ids": list(record.members) or None,
        "metadata": record.metadata,
        "modify_index": record.version,
        "name": record.name,
        "namespace_id": namespace.id,
        "parent_group_ids": list(record.parents) or None,
        "policies": None if record.policies is None else list(record.policies),
        "type": "external" if record.external else "internal",
    }


def group_listed(record: GroupRecord, entities: int, mounts: Mounts) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": record.name,
        "num_member_entities": entities,
        "num_parent_groups": len(record.parents),
    }
    if record.alias is not None:
        shown["alias"] = _alias_short(record.alias, mounts)
    return shown
