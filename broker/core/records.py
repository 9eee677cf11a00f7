"""What the core itself stores, below ``core/`` in each tenant's store."""

import msgspec

from broker.plugin.context import Mount

MOUNTS = "core/mounts"
NAMESPACES = "core/namespaces/"
SYSTEM_SETTINGS = "core/settings"
MOVES = "core/moves/"
ENDED_MOUNTS = "core/ended-mounts/"


class MountTable(msgspec.Struct, frozen=True):
    """Everything mounted in a tenant: engines and auth methods, the built-in ones included."""

    mounts: tuple[Mount, ...]
    v: int = 1


class NamespaceRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A child namespace, kept in its parent's store.

    ``secret`` (32 bytes, hex) goes into every data key of the tenant: without this record its store does not open.
    """

    name: str
    id: str
    uuid: str
    secret: str
    v: int = 1
    custom_metadata: dict[str, str] | None = None
    created: str = ""
    tainted: bool = False
    """Whether it is being deleted: out of service, and kept until what is leased there is revoked."""
    forced: bool = False
    """Whether leases that cannot be revoked are forgotten then."""
    again: bool = False
    """Whether leases that failed too often are to be tried now."""


class SystemSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    """Settings of the whole installation that are changed at run time, in the root tenant."""

    v: int = 1
    cluster_id: str = ""
    cluster_name: str = ""


class MoveRecord(msgspec.Struct, frozen=True):
    """A mount that was moved, for ``sys/remount/status``."""

    source: str
    target: str
    v: int = 1


class EndedMount(msgspec.Struct, frozen=True):
    """A mount that was disabled while secrets it had handed out were still leased: kept until the last is revoked."""

    mount: Mount
    v: int = 1
