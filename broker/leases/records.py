"""What the leases room stores."""

from typing import Any

import msgspec

TRIES = 6
"""Failed revocations after which a lease is shown as irrevocable. It is still retried, rarely."""


class LeaseEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A secret that was handed out, or an intent: an outside effect whose request has not committed yet.

    Times are Unix seconds, durations seconds. ``mount`` is the mount's uuid, ``path`` the request's path, ``token`` the
    storage name of the token it dies with. ``internal`` is the engine's.
    """

    mount: str
    path: str
    kind: str
    issued_at: float
    expires_at: float
    v: int = 1
    internal: dict[str, Any] | None = None
    token: str = ""
    ttl: int = 0
    granted_ttl: int = 0
    """What the last renewal gave. Zero: never renewed."""
    max_ttl: int = 0
    renewable: bool = False
    renewed_at: float = 0
    ends: float = 0
    """When its token ends for certain, which it cannot outlive; zero: no such time is known."""
    capped_by: str = ""
    """Which limit shortened its life, in words; empty if none did."""
    permit: str = ""
    """What it holds of a lease-count quota, given back when it is removed."""
    revoking: float = 0
    """Since when it is being revoked: from then on it is not renewed. Zero: it lives."""
    forced: bool = False
    """Whether it is forgotten even if its revocation fails."""
    attempts: int = 0
    next_at: float = 0
    """When revoking it is tried next; zero: when it expires."""
    error: str = ""
    """Why the last attempt failed."""

    @property
    def due(self) -> float:
        return self.next_at or self.expires_at

    @property
    def irrevocable(self) -> bool:
        return self.attempts >= TRIES

    def lives(self, now: float) -> bool:
        return not self.revoking and self.expires_at > now


class TokenLeases(msgspec.Struct, frozen=True, omit_defaults=True):
    """That a token has had leases. ``tenants``: paths of the namespaces they are in.

    In a namespace below the token's own, ``ended`` tells that the token is gone: nothing may be leased to it any more.
    """

    tenants: tuple[str, ...] = ()
    v: int = 1
    ended: bool = False


class Sweep(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything below a prefix of lease ids is to be revoked, in bounded steps.

    Only what was issued up to ``until`` (Unix seconds); ``after`` is the last one that was dealt with, below the prefix.
    ``mount`` (a uuid) set: the leases of that mount instead, whatever their ids.
    """

    prefix: str
    until: float
    v: int = 1
    after: str = ""
    forced: bool = False
    mount: str = ""


class Mark(msgspec.Struct, frozen=True):
    """An entry of an index: its path says all."""

    v: int = 1
