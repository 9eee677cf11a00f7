"""What the request pipeline tells the audit room: facts in clear, which never leave it so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from broker.plugin.context import Mount
from broker.plugin.messages import WrapInfo


class GrantingPolicy(msgspec.Struct, frozen=True, omit_defaults=True):
    """A policy that allowed the request."""

    name: str = ""
    namespace_id: str = ""
    namespace_path: str = ""
    type: str = ""


class PolicyResults(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the ACL decided, and thanks to whom."""

    allowed: bool
    granting_policies: tuple[GrantingPolicy, ...] = ()


class AuthFacts(msgspec.Struct, frozen=True, eq=False):
    """The token in use, or the one a login just made. Times: seconds and Unix seconds.

    Compared by identity: the encoded form is kept per object, so keep one object with the cached token and
    hand the same one in with every request.
    """

    client_token: str = ""
    accessor: str = ""
    display_name: str = ""
    policies: tuple[str, ...] = ()
    token_policies: tuple[str, ...] = ()
    identity_policies: tuple[str, ...] = ()
    no_default_policy: bool = False
    metadata: Mapping[str, str] = {}
    num_uses: int = 0
    entity_id: str = ""
    entity_created: bool = False
    token_type: str = "default"  # noqa: S105 - the kind, not a token
    token_ttl: int = 0
    token_issue_time: float = 0

    def __repr__(self) -> str:
        return f"AuthFacts(display_name={self.display_name!r}, policies={self.policies!r})"


@dataclass(slots=True)
class AuditEntry:
    """One request. Fill it in, hand it to ``Auditor.request``, then to ``Auditor.response``.

    The request's own facts are encoded once, at the first call, and not looked at again; ``auth``,
    ``policy_results``, ``remaining_uses`` and ``error`` may change in between (a login sets ``auth``).
    ``data`` is the body in clear, or ``bytes`` for one that is not JSON. ``headers`` have lower-case names; only
    those the operator chose are recorded. ``error`` is the text the caller is shown: it names no values.
    """

    request_id: str
    operation: str
    path: str
    namespace_id: str = "root"
    namespace_path: str = ""
    mount: Mount | None = None
    mount_version: str = ""
    client_id: str = ""
    client_token: str | None = field(default=None, repr=False)
    client_token_accessor: str = field(default="", repr=False)
    data: Mapping[str, Any] | bytes | None = field(default=None, repr=False)
    headers: Mapping[str, Sequence[str]] | None = field(default=None, repr=False)
    remote_address: str = ""
    remote_port: int = 0
    wrap_ttl: int = 0
    client_certificate_serial_number: str = ""
    auth: AuthFacts | None = None
    policy_results: PolicyResults | None = None
    remaining_uses: int = 0
    error: str = ""
    encoded: dict[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(slots=True)
class ResponseFacts:
    """One answer, before wrapping hides it: with ``wrap_info`` set, ``data`` and ``auth`` are what the caller sees."""

    data: Mapping[str, Any] | bytes | None = field(default=None, repr=False)
    auth: AuthFacts | None = None
    lease_id: str = ""
    wrap_info: WrapInfo | None = None
    warnings: Sequence[str] = ()
    redirect: str = ""
    headers: Mapping[str, Sequence[str]] | None = None
