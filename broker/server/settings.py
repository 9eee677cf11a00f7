"""The server's settings as the rest of the house sees them.

The field names are the keys of the configuration file and the annotations are its types, so a key is written
once: here. ``config.py`` fills these classes in and says what is wrong with a file that does not fit.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, NewType

__all__ = [
    "AuditStanza",
    "FileMode",
    "ListenerConfig",
    "SealStanza",
    "ServerConfig",
    "StorageStanza",
    "TlsVersion",
    "UserLockoutStanza",
]

FileMode = NewType("FileMode", int)
TlsVersion = Literal["tls12", "tls13"]
LogLevel = Literal["trace", "debug", "info", "warn", "error"]


@dataclass(frozen=True, slots=True)
class ListenerConfig:
    """One ``listener`` stanza. ``kind`` is its label: ``tcp`` or ``unix``."""

    kind: Literal["tcp", "unix"] = "tcp"
    address: str = "127.0.0.1:8200"

    tls_disable: bool = False
    tls_cert_file: Path | None = None
    tls_key_file: Path | None = None
    tls_min_version: TlsVersion = "tls13"
    tls_max_version: TlsVersion = "tls13"
    tls_cipher_suites: tuple[str, ...] = ()
    tls_client_ca_file: Path | None = None
    tls_require_and_verify_client_cert: bool = False
    tls_disable_client_certs: bool = False

    max_request_size: int = 32 * 1024 * 1024
    max_request_duration: timedelta = timedelta(0)  # 0: default_max_request_duration
    max_request_json_memory: int = 64 * 1024 * 1024
    max_request_json_strings: int = 1000
    http_read_header_timeout: timedelta = timedelta(seconds=10)
    http_read_timeout: timedelta = timedelta(seconds=30)
    http_write_timeout: timedelta = timedelta(0)
    http_idle_timeout: timedelta = timedelta(minutes=5)

    x_forwarded_for_authorized_addrs: tuple[str, ...] = ()
    x_forwarded_for_hop_skips: int = 0
    x_forwarded_for_reject_not_authorized: bool = True
    x_forwarded_for_reject_not_present: bool = True

    require_request_header: bool = False
    redact_addresses: bool = False
    redact_cluster_name: bool = False
    redact_version: bool = False
    disable_unauthed_rekey_endpoints: bool = True
    disable_unauthed_generate_root_endpoints: bool = True
    unauthenticated_metrics_access: bool = False
    cors_enabled: bool = False
    cors_allowed_origins: tuple[str, ...] = ()
    cors_allowed_headers: tuple[str, ...] = ()
    custom_response_headers: Mapping[str, Any] = field(default_factory=dict)

    socket_mode: FileMode | None = None
    socket_user: str | None = None
    socket_group: str | None = None

    @property
    def tls(self) -> bool:
        """True if this listener speaks TLS."""
        return self.kind == "tcp" and not self.tls_disable


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A stanza that knows where it stands.

    ``places`` tells it of each setting, and under ``""`` of the stanza itself: ``/etc/broker.hcl:12``.
    """

    places: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    def place(self, setting: str = "") -> str:
        """Return where a setting stands, or where the stanza does; the environment if in no file."""
        return self.places.get(setting) or self.places.get("") or "the environment"


@dataclass(frozen=True, slots=True)
class StorageStanza(Placed):
    """The ``storage`` (or ``backend``) stanza: which storage plugin, and its own settings, unjudged here."""

    type: str
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class SealStanza(Placed):
    """One ``seal`` stanza. The settings may hold credentials, so they stay out of the repr."""

    type: str
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class AuditStanza(Placed):
    """One ``audit "type" "path"`` stanza: a device that is there from the start."""

    type: str
    path: str
    description: str = ""
    local: bool = False
    options: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class UserLockoutStanza:
    """One ``user_lockout "type"`` stanza: ``all``, or a type of auth method. Zero leaves a value as it is by default."""

    type: str
    lockout_threshold: int = 0
    lockout_duration: timedelta = timedelta(0)
    lockout_counter_reset: timedelta = timedelta(0)
    disable_lockout: bool = False


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Everything the configuration files say, with the defaults filled in."""

    listeners: tuple[ListenerConfig, ...] = ()
    storage: StorageStanza = StorageStanza("inmem")
    seals: tuple[SealStanza, ...] = ()
    audit: tuple[AuditStanza, ...] = ()
    user_lockout: tuple[UserLockoutStanza, ...] = ()

    default_lease_ttl: timedelta = timedelta(hours=768)
    max_lease_ttl: timedelta = timedelta(hours=768)
    default_max_request_duration: timedelta = timedelta(seconds=90)
    cluster_name: str = ""
    cluster_addr: str = ""
    api_addr: str = ""
    ui: bool = False
    enable_response_header_hostname: bool = False

    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    max_connections: int = 20_000  # per worker
    stop_timeout: timedelta = timedelta(seconds=30)
    disable_mlock: bool = False
    pid_file: Path | None = None
    log_level: LogLevel = "info"
    log_format: Literal["standard", "json"] = "standard"
    log_file: Path | None = None

    audit_directory: Path | None = None
    unsafe_allow_api_audit_creation: bool = False
    raw_storage_endpoint: bool = False
    introspection_endpoint: bool = False
    rollback_anchor: Path | None = None
    """A file outside the storage, by which an older copy of the storage is noticed."""
    accept_rollback: bool = False  # of the command line only
    plugin_directory: Path | None = None
    plugins: tuple[str, ...] = ()
    telemetry: Mapping[str, Any] = field(default_factory=dict)

    dev: bool = False
    ignored: tuple[str, ...] = ()  # accepted for the sake of existing files, without effect here
