"""What the ``approle`` method stores, below its mount. Role ids, secret ids and the like appear under keyed hashes only.

Layout::

    salt                             SaltRecord, the hashing key
    role/<name>                      RoleRecord
    role-id/<hash of role id>        RoleIdRecord
    secret/<uid>/<hash of secret>    SecretRecord; <uid> is the role's, so that a role made anew has no old secret ids
    accessor/<uid>/<accessor>        AccessorRecord
"""

from typing import Any

import msgspec

from broker.plugin import TokenSettings

SALT = "salt"
ROLE = "role/"
ROLE_ID = "role-id/"
SECRET = "secret/"  # noqa: S105 - a folder
ACCESSOR = "accessor/"


class SaltRecord(msgspec.Struct, frozen=True):
    """32 bytes as hex, made with the first role."""

    key: str
    v: int = 1


class RoleRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A role. ``secret_id_ttl`` in seconds, zero for no end; ``secret_id_num_uses`` zero for any number."""

    role_id: str
    uid: str
    v: int = 1
    bind_secret_id: bool = True
    secret_id_bound_cidrs: tuple[str, ...] = ()
    secret_id_num_uses: int = 0
    secret_id_ttl: float = 0
    local_secret_ids: bool = False
    tokens: TokenSettings = TokenSettings()

    def shown(self) -> dict[str, Any]:
        """Return the role as a read answers it; its id has a path of its own."""
        return {
            "bind_secret_id": self.bind_secret_id,
            "local_secret_ids": self.local_secret_ids,
            "secret_id_bound_cidrs": list(self.secret_id_bound_cidrs) or None,
            "secret_id_num_uses": self.secret_id_num_uses,
            "secret_id_ttl": int(self.secret_id_ttl),
            **self.tokens.shown(),
        }


class RoleIdRecord(msgspec.Struct, frozen=True):
    """From a role id to the role's name."""

    name: str
    v: int = 1


class SecretRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A secret id. Times in Unix seconds, ``expires_at`` zero for no end; ``uses_left`` zero for any number.

    ``custom``: chosen by a person, so perhaps guessable.
    """

    accessor: str
    created_at: float
    v: int = 1
    updated_at: float = 0
    expires_at: float = 0
    ttl: float = 0
    uses_left: int = 0
    cidrs: tuple[str, ...] = ()
    token_bound_cidrs: tuple[str, ...] = ()
    metadata: dict[str, str] | None = None
    custom: bool = False

    def live(self, now: float) -> bool:
        return not self.expires_at or now < self.expires_at


class AccessorRecord(msgspec.Struct, frozen=True):
    """From an accessor to the hash of its secret id."""

    secret: str
    v: int = 1
