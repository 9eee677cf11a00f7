"""What is stored of identity tokens, below the identity mount::

oidc/config         TokenConfig
oidc/key/<name>     NamedKey
oidc/role/<name>    TokenRole
oidc/published      Published: every public key, one record, for it is read without a token
"""

from typing import Any

import msgspec

CONFIG = "oidc/config"
KEY = "oidc/key/"
ROLE = "oidc/role/"
PUBLISHED = "oidc/published"


class TokenConfig(msgspec.Struct, frozen=True):
    """``issuer`` empty stands for the server's own address."""

    issuer: str = ""
    v: int = 1


class KeyPair(msgspec.Struct, frozen=True):
    """A private key (PEM) and what others are told of it. Not shown in tracebacks or logs."""

    kid: str
    private: str
    public: dict[str, str]

    def __repr__(self) -> str:
        return f"KeyPair({self.kid!r})"


class Retired(msgspec.Struct, frozen=True):
    """A public key that signs no more and is still to be found until ``until`` (Unix seconds)."""

    public: dict[str, str]
    until: float


class NamedKey(msgspec.Struct, frozen=True, omit_defaults=True):
    """A signing key: the pair in use, the one that comes next (published ahead), and those before. Times in seconds."""

    name: str
    algorithm: str
    rotation_period: int
    verification_ttl: int
    current: KeyPair
    following: KeyPair
    rotates_at: float
    v: int = 1
    allowed_client_ids: tuple[str, ...] = ()
    retired: tuple[Retired, ...] = ()

    def published(self) -> tuple[dict[str, str], ...]:
        """Return the public keys that others may need: present, coming and past."""
        return (self.current.public, self.following.public, *(old.public for old in self.retired))


class TokenRole(msgspec.Struct, frozen=True, omit_defaults=True):
    """What tokens of a role say, and which key signs them. ``ttl`` in seconds; ``client_id`` is their audience."""

    name: str
    key: str
    client_id: str
    ttl: int
    v: int = 1
    template: str = ""


class Published(msgspec.Struct, frozen=True):
    """Public keys by the name of their key."""

    keys: dict[str, tuple[dict[str, str], ...]] = {}
    v: int = 1

    def by_id(self, kid: str) -> dict[str, str] | None:
        """Return the public key with this id."""
        return next((key for keys in self.keys.values() for key in keys if key["kid"] == kid), None)

    def document(self) -> dict[str, Any]:
        """Return the key set as RFC 7517 shapes it."""
        return {"keys": [key for name in sorted(self.keys) for key in self.keys[name]]}
