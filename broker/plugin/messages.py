"""What handlers return: plain data, a login, a leased secret, or a body of their own.

A handler may return ``None`` (204), a mapping or dataclass (``data``), or one of the classes below.
"""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from broker.plugin.secret import Secret


@dataclass(slots=True)
class Auth:
    """A successful login: the pipeline mints the token in the same transaction and fills in what is ``None``.

    ``ttl`` zero means the mount's default. ``alias`` is the caller's name at this auth method: it finds, or makes, the
    entity behind the login; empty for a login without one. ``group_aliases`` are the names of external groups that the
    caller is in, as this method knows them. ``internal`` is kept with the token, never shown, and given back at renewal.
    """

    policies: tuple[str, ...] = ()
    display_name: str = ""
    ttl: timedelta = timedelta(0)
    max_ttl: timedelta = timedelta(0)
    period: timedelta = timedelta(0)
    explicit_max_ttl: timedelta = timedelta(0)
    num_uses: int = 0
    renewable: bool = True
    metadata: Mapping[str, str] = field(default_factory=dict)
    token_type: str = "default"  # noqa: S105 - the kind, not a token: service, batch, or what the mount makes
    alias: str = ""
    alias_metadata: Mapping[str, str] = field(default_factory=dict)
    group_aliases: tuple[str, ...] = ()
    internal: Mapping[str, Any] = field(default_factory=dict, repr=False)
    no_default_policy: bool = False
    bound_cidrs: tuple[str, ...] = ()
    strictly_bind_ip: bool = False
    below: str = ""
    """A folder below the login's path for the token's lease to stand in: a method that names one per key can end all
    logins with that key (service ``logins``), and so can an operator, by prefix."""
    # Filled by the token store:
    client_token: Secret[str] | None = None
    accessor: str = ""
    token_policies: tuple[str, ...] = ()
    identity_policies: tuple[str, ...] = ()
    lease_duration: int = 0
    entity_id: str = ""
    orphan: bool = False
    mfa_requirement: Mapping[str, Any] | None = None
    expires_at: float = 0
    """Unix seconds; ``capped_by`` says which limit made it earlier than asked for: token, role, mount, system or parent."""
    capped_by: str = ""


@dataclass(slots=True)
class Leased:
    """A secret with a lifetime: the pipeline enters its lease in the same transaction and answers with the lease's id.

    ``kind`` is the engine's word for this sort of secret; ``internal`` what renewing and revoking it needs, kept sealed
    and never shown. ``ttl`` zero means the mount's default; the mount's and system's maxima hold in any case.
    """

    data: Mapping[str, Any]
    kind: str
    internal: Mapping[str, Any] = field(default_factory=dict, repr=False)
    ttl: timedelta = timedelta(0)
    max_ttl: timedelta = timedelta(0)
    renewable: bool = True


@dataclass(slots=True)
class WrapInfo:
    """Where a wrapped answer waits. Times in seconds; ``creation_time`` is Unix time."""

    token: Secret[str]
    accessor: str
    ttl: int
    creation_time: float
    creation_path: str
    wrapped_accessor: str = ""


@dataclass(slots=True)
class Plain:
    """A JSON body without the envelope, as a few system paths answer. ``status`` is the HTTP status where it carries meaning."""

    body: Mapping[str, Any]
    status: int = 200


@dataclass(slots=True)
class Raw:
    """Bytes with a content type of their own: certificates, metrics, cards.

    ``chunks`` goes on behind ``body``, piece by piece, until it ends or the client goes; an empty piece now and then
    gives the server the chance to notice. It is closed in any case.
    """

    body: bytes
    content_type: str
    status: int = 200
    chunks: AsyncGenerator[bytes, None] | None = None


@dataclass(slots=True)
class Response:
    """A whole answer. ``mirror`` repeats ``data`` at the top level, as the field's clients expect of a few paths.

    ``status`` is the HTTP status of an answer with a body, where success has shades (202: started, not done).
    """

    data: Mapping[str, Any] | None = None
    auth: Auth | None = None
    lease_id: str = ""
    renewable: bool = False
    lease_duration: int = 0
    wrap_info: WrapInfo | None = None
    leased: Leased | None = None
    warnings: list[str] = field(default_factory=list)
    plain: Plain | None = None
    raw: Raw | None = None
    mirror: bool = False
    mount_type: str = ""
    empty: bool = False
    status: int = 200
