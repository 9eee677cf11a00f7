"""What the barrier keeps in the root store in clear: none of it opens anything without the seal.

A ceremony ends in ``Writes``: record bytes by path, to be committed as one batch (with the revisions that were
read as preconditions). Before the batch the old shares open, after it the new ones; there is no between.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from broker.barrier.encoding import decode, encode
from broker.barrier.keyring import PURPOSE as KEYRING
from broker.barrier.keyring import Keyring
from broker.barrier.progress import ShareSet
from broker.plugin.errors import NotInitialized, Tampered
from broker.plugin.secret import Secret

SEAL_CONFIG: Final = "core/seal-config"
ROOT_KEY: Final = "core/root-key"
RECOVERY_CONFIG: Final = "core/recovery-config"
UNSEAL_BACKUP: Final = "core/unseal-keys-backup"
RECOVERY_BACKUP: Final = "core/recovery-keys-backup"
PATHS: Final = (SEAL_CONFIG, ROOT_KEY, KEYRING, RECOVERY_CONFIG)
"""What must be read to unseal. Never written through a ``TenantCodec``."""

Writes = dict[str, bytes]


class SealConfig(msgspec.Struct, frozen=True):
    """Which seal protects the root key, and the shares in force (``None`` for an auto seal)."""

    v: int
    type: str
    shares: ShareSet | None


class WrappedRootKey(msgspec.Struct, frozen=True):
    """The root key as the seal wrapped it."""

    v: int
    wrapped: bytes


class WrappedKeyring(msgspec.Struct, frozen=True):
    """The keyring under the root key."""

    v: int
    wrapped: bytes


class RecoveryConfig(msgspec.Struct, frozen=True):
    """The recovery shares in force. ``verifier`` opens under the key that the right shares restore."""

    v: int
    shares: ShareSet
    verifier: bytes


class ShareBackup(msgspec.Struct, frozen=True):
    """Shares encrypted to PGP keys, kept on request: hex messages by the fingerprint of their key."""

    v: int
    nonce: str
    keys: dict[str, list[str]]


class BarrierRecords(msgspec.Struct, frozen=True):
    """The stored records in hand."""

    config: SealConfig
    root_key: WrappedRootKey
    keyring: WrappedKeyring
    recovery: RecoveryConfig | None = None

    @classmethod
    def load(cls, stored: Mapping[str, bytes | None]) -> "BarrierRecords":
        """Read what lies at ``PATHS``.

        Raises: NotInitialized if there is nothing; Tampered if a part is missing or malformed; ConfigError if a
        newer version wrote one.
        """
        if all(stored.get(path) is None for path in PATHS):
            raise NotInitialized
        recovery = stored.get(RECOVERY_CONFIG)
        return cls(
            decode(SealConfig, _present(stored, SEAL_CONFIG), SEAL_CONFIG),
            decode(WrappedRootKey, _present(stored, ROOT_KEY), ROOT_KEY),
            decode(WrappedKeyring, _present(stored, KEYRING), KEYRING),
            decode(RecoveryConfig, recovery, RECOVERY_CONFIG) if recovery is not None else None,
        )

    @property
    def authority(self) -> ShareSet | None:
        """The shares that authorise ceremonies: the seal's own, else the recovery shares."""
        if self.config.shares is not None:
            return self.config.shares
        return self.recovery.shares if self.recovery else None


def _present(stored: Mapping[str, bytes | None], path: str) -> bytes:
    data = stored.get(path)
    if data is None:
        raise Tampered(f"stored entry at {path!r} is missing")
    return data


def root_key_writes(wrapped: bytes) -> Writes:
    """Return the write of a newly wrapped root key."""
    return {ROOT_KEY: encode(WrappedRootKey(1, wrapped))}


def keyring_writes(keyring: Keyring, root_key: Secret[bytes]) -> Writes:
    """Return the write of a changed keyring: after a rotation, a reservation or new rotation settings."""
    return {KEYRING: encode(WrappedKeyring(1, keyring.wrap(root_key.reveal())))}


def open_keyring(stored: bytes, root_key: Secret[bytes]) -> Keyring:
    """Read the keyring back. Raises: Tampered, ConfigError."""
    return Keyring.unwrap(root_key.reveal(), decode(WrappedKeyring, stored, KEYRING).wrapped)
