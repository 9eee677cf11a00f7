"""What the identity room stores.

Times are RFC 3339 text, as they are shown. An entity carries its aliases and the ids of the groups that it is a direct
member of; a group carries the groups above and below it. So what a token's entity adds to it takes one read for the
entity and one for each of its groups, however many entities and groups there are.
"""

import msgspec


class AliasRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one auth mount knows an entity (or an external group). ``canonical`` is the id of that entity or group."""

    id: str
    name: str
    accessor: str
    canonical: str
    created: str
    updated: str
    v: int = 1
    mount_type: str = ""
    metadata: dict[str, str] | None = None
    custom_metadata: dict[str, str] | None = None
    merged_from: tuple[str, ...] = ()
    local: bool = False


class EntityRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A person or workload. ``groups`` may still name groups that are gone; ``merged`` are ids that now mean this one."""

    id: str
    name: str
    created: str
    updated: str
    v: int = 1
    metadata: dict[str, str] | None = None
    policies: tuple[str, ...] = ()
    disabled: bool = False
    aliases: tuple[AliasRecord, ...] = ()
    groups: tuple[str, ...] = ()
    merged: tuple[str, ...] = ()


class GroupRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A group. Its entities are not in here but in an index, so that a group of many costs its members nothing.

    An ``external`` group gets its members from logins through ``alias``. ``members`` and ``parents`` are ids of groups.
    ``version`` counts the changes.
    """

    id: str
    name: str
    created: str
    updated: str
    v: int = 1
    external: bool = False
    policies: tuple[str, ...] | None = None
    metadata: dict[str, str] | None = None
    members: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    alias: AliasRecord | None = None
    version: int = 0


class Pointer(msgspec.Struct, frozen=True):
    """An index entry: the id of what is meant."""

    id: str
    v: int = 1


__all__ = ["AliasRecord", "EntityRecord", "GroupRecord", "Pointer"]
