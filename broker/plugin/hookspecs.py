"""The hooks through which everything that varies enters, ours and yours alike.

A plugin is a module named in the entry-point group ``broker.plugins``. Hooks are synchronous, run once at start-up
while the node is sealed, and only register: no storage, no keys, no I/O.
"""

from collections.abc import Sequence

import pluggy

from broker.plugin.audit import AuditDeviceType
from broker.plugin.engine import AuthMethodType, EngineType
from broker.plugin.seal import SealType
from broker.plugin.storage import BackendType

PROJECT = "broker"
ENTRY_POINT_GROUP = "broker.plugins"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def register_engines() -> Sequence[EngineType]:  # type: ignore[empty-body]
    """Offer secrets engines that an operator may mount.

    Startup stops, naming both plugins, if two offer the same ``EngineType.name``.
    """


@hookspec
def register_auth_methods() -> Sequence[AuthMethodType]:  # type: ignore[empty-body]
    """Offer auth methods that an operator may enable. Names are unique, as with engines."""


@hookspec
def register_storage() -> Sequence[BackendType]:  # type: ignore[empty-body]
    """Offer storage backends for the ``storage`` stanza of the server's configuration."""


@hookspec
def register_seals() -> Sequence[SealType]:  # type: ignore[empty-body]
    """Offer seals for the ``seal`` stanza of the server's configuration."""


@hookspec
def register_audit_devices() -> Sequence[AuditDeviceType]:  # type: ignore[empty-body]
    """Offer audit devices for the ``audit`` stanza and for ``sys/audit``."""
