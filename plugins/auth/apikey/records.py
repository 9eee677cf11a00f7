"""What the method stores: ``salt``, ``key/<id>`` and ``used/<id>``. Times are Unix seconds, zero for never.

A key has at most two *versions*: the current one, and while a rotation's grace lasts, the one before. ``used`` stands
apart, so that noting a login never disturbs who changes the key.
"""

import math

import msgspec

from broker.plugin import TokenSettings

SALT = "salt"
KEY = "key/"
USED = "used/"
NOTE_SECONDS = 60.0
"""A version's last use is noted at most this often: a login is a read of the record, not a fight over it."""
KEPT_SECONDS = 30 * 86400.0
"""How long a dead key stays listed."""


class Salt(msgspec.Struct, frozen=True):
    """The key under which the mount's keys are hashed, 32 bytes."""

    key: bytes
    v: int = 1

    def __repr__(self) -> str:
        return "Salt(<secret>)"


class Version(msgspec.Struct, frozen=True, omit_defaults=True):
    """One text that opens a key. ``ends_at`` is the end of its grace, zero for the current one."""

    number: int
    hash: bytes
    last_four: str
    created_at: float
    ends_at: float = 0

    def lives(self, now: float) -> bool:
        return not self.ends_at or now < self.ends_at


class ApiKey(msgspec.Struct, frozen=True, omit_defaults=True):
    """A key: who it is for, what its tokens may, and the versions that open it, oldest first."""

    name: str
    created_at: float
    versions: tuple[Version, ...]
    tokens: TokenSettings = TokenSettings()
    v: int = 1
    expires_at: float = 0
    revoked_at: float = 0
    updated_at: float = 0
    created_by: str = ""
    metadata: dict[str, str] = {}

    def state(self, now: float) -> str:
        """Return ``revoked``, ``expired``, ``rotating`` (two versions live) or ``active``."""
        if self.revoked_at:
            return "revoked"
        if self.expires_at and now >= self.expires_at:
            return "expired"
        return "rotating" if len(self.live(now)) > 1 else "active"

    def live(self, now: float) -> tuple[Version, ...]:
        """Return the versions that open the key now, oldest first; the last one is the current one."""
        if self.revoked_at or (self.expires_at and now >= self.expires_at):
            return ()
        return tuple(version for version in self.versions if version.lives(now))

    def end_of(self, version: Version) -> float:
        """Return when a version stops opening the key, infinity for never: tokens made with it end there too."""
        return min(self.expires_at or math.inf, version.ends_at or math.inf)

    def died_at(self, now: float) -> float:
        """Return when a dead key died, zero if it lives."""
        if self.revoked_at:
            return self.revoked_at
        return self.expires_at if self.expires_at and now >= self.expires_at else 0


class Used(msgspec.Struct, frozen=True):
    """When each version was last used, by its number, and from where the key was."""

    at: dict[int, float] = {}
    address: str = ""
    v: int = 1
