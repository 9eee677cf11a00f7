"""The settings that the core needs, picked from the server's configuration."""

from dataclasses import dataclass

import broker

VERSION = "2.7.2"
"""The API level we speak, in the peer's numbering: clients compare it."""


@dataclass(frozen=True, slots=True)
class CoreSettings:
    """TTLs in seconds."""

    seal_type: str = "shamir"
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
    raw_storage: bool = False
    introspection: bool = False
    broker_version: str = broker.__version__
