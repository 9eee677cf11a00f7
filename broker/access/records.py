"""What the access room stores."""

from typing import Any

import msgspec

from broker.access.policy.model import Policy
from broker.plugin.tokenparams import within


class TokenEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A token, stored under its keyed hash; the token itself is never stored.

    Times are Unix seconds, durations seconds; ``expires_at`` zero never expires. ``parent`` is the storage name of the
    parent, empty for orphans. ``revoked`` entries are dead at once and wait for the steward to end their children;
    ``severed`` ones are dead themselves while their children live on as orphans.
    """

    accessor: str
    policies: tuple[str, ...]
    path: str
    created_at: int
    v: int = 1
    parent: str = ""
    display_name: str = "token"
    meta: dict[str, str] | None = None
    num_uses: int = 0
    ttl: int = 0
    granted_ttl: int = 0
    """What the last renewal gave; a renewal that asks for nothing repeats it. Zero: never renewed."""
    max_ttl: int = 0
    explicit_max_ttl: int = 0
    period: int = 0
    expires_at: float = 0
    renewed_at: int = 0
    renewable: bool = False
    type: str = "service"
    entity_id: str = ""
    role: str = ""
    bound_cidrs: tuple[str, ...] = ()
    issue_time: str = ""
    alias: str = ""
    """The name that the holder logged in with; ``internal`` is what its auth method keeps for renewals."""
    internal: dict[str, Any] | None = None
    no_identity_policies: bool = False
    capped_by: str = ""
    """What shortened its life below what was asked for: ``token``, ``role``, ``mount`` or ``system``; empty for nothing."""
    permit: str = ""
    """What it holds of a lease-count quota (``broker.access.permits``), given back when it is erased."""
    revoked: bool = False
    severed: bool = False

    @property
    def root(self) -> bool:
        return "root" in self.policies

    def usable_from(self, address: str) -> bool:
        """Tell whether the token may be used from an address. Root is bound to none, as with Vault."""
        return not self.bound_cidrs or self.root or within(address, self.bound_cidrs)


class TokenSalt(msgspec.Struct, frozen=True):
    """The key under which a tenant's tokens are hashed, 32 bytes as hex."""

    key: str
    v: int = 1


class PolicyRecord(msgspec.Struct, frozen=True):
    """A policy as written and as parsed; HCL is parsed when written, never when used."""

    name: str
    text: str
    parsed: Policy
    v: int = 1
    version: int = 1
    cas_required: bool = False
    modified: str = ""
    expiration: float = 0
