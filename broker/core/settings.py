"""The settings that the core needs, picked from the server's configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import broker

VERSION = "2.7.2"
"""The API level we speak, in the peer's numbering: clients compare it."""


@dataclass(frozen=True, slots=True)
class LockoutRules:
    """When failed logins lock a name out: that many, each no later than ``counter_reset`` after the one before.

    Times in seconds. The defaults are Vault's.
    """

    threshold: int = 5
    duration: float = 900
    counter_reset: float = 900
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class CoreSettings:
    """TTLs in seconds."""

    storage_type: str = "sqlite"
    default_lease_ttl: int = 768 * 3600
    max_lease_ttl: int = 768 * 3600
    cluster_name: str = ""
    api_addr: str = ""
    workers: int = 1
    audit_directory: str | None = None
    unsafe_audit: bool = False
    unauthenticated_rekey: bool = False
    unauthenticated_generate_root: bool = False
    rollback_anchor: str = ""
    """The file that tells whether the store was put back to an earlier state; empty for none."""
    accept_rollback: bool = False
    raw_storage: bool = False
    introspection: bool = False
    user_lockout: Mapping[str, LockoutRules] = field(default_factory=dict)
    """By auth method type, or ``all``."""
    user_lockout_disabled: bool = False
    """Switched off for the whole server by its environment."""
    sanitized: Mapping[str, Any] = field(default_factory=dict, repr=False)
    broker_version: str = broker.__version__
