"""Issuing shares: what is asked for, checked; what is handed out, once."""

from collections.abc import Sequence

import msgspec

from broker.barrier import custodians
from broker.barrier.keyring import Random
from broker.barrier.progress import ShareSet
from broker.barrier.records import ShareBackup
from broker.barrier.shares import Group, Share, check_groups, split
from broker.plugin.errors import InvalidRequest
from broker.plugin.secret import Secret


class ShareRequest(msgspec.Struct, frozen=True):
    """Which shares to make, and for whom: at most one kind of key, one key per share in the groups' order."""

    groups: tuple[Group, ...]
    group_threshold: int = 1
    pgp_keys: tuple[str, ...] = ()
    custodian_keys: tuple[str, ...] = ()
    backup: bool = False

    @classmethod
    def of(cls, shares: int, threshold: int, *, pgp_keys: Sequence[str] = ()) -> "ShareRequest":
        """Ask for one group, as Vault's ``secret_shares`` and ``secret_threshold`` do."""
        return cls((Group(threshold, shares),), 1, tuple(pgp_keys))

    @property
    def total(self) -> int:
        """How many shares this asks for."""
        return sum(group.count for group in self.groups)

    def checked(self) -> "ShareRequest":
        """Return itself. Raises: InvalidRequest, in Vault's words where it has the same check."""
        check_groups(self.groups, self.group_threshold)
        if self.pgp_keys and self.custodian_keys:
            raise InvalidRequest("give pgp_keys or custodian_keys, not both")
        if self.pgp_keys and len(self.pgp_keys) != self.total:
            raise InvalidRequest("count mismatch between number of provided PGP keys and number of shares")
        if self.custodian_keys and len(self.custodian_keys) != self.total:
            raise InvalidRequest(
                "count mismatch between number of provided custodian keys and number of shares"
            )
        if self.backup and not self.pgp_keys:
            raise InvalidRequest(
                "cannot request a backup of the new keys without providing PGP keys for encryption"
            )
        for key in self.custodian_keys:
            custodians.check_public_key(key)
        for key in self.pgp_keys:
            custodians.check_pgp_key(key)
        return self

    def fingerprints(self) -> list[str] | None:
        """Return the fingerprint of each PGP key, or ``None`` where there is none. Raises: InvalidRequest."""
        return [custodians.pgp_fingerprint(key) for key in self.pgp_keys] or None


class IssuedShares(msgspec.Struct, frozen=True):
    """Shares on their way to the one caller who sees them; stored nowhere.

    ``keys`` are bytes: packed shares, or messages encrypted to their custodians. ``mnemonics`` is empty if encrypted.
    """

    keys: tuple[bytes, ...]
    mnemonics: tuple[str, ...]
    groups: tuple[Group, ...]
    fingerprints: tuple[str, ...] | None

    def __repr__(self) -> str:
        return f"<{len(self.keys)} issued shares>"

    def answer(self, prefix: str = "") -> dict[str, object]:
        """Return ``keys`` (hex), ``keys_base64``, ``keys_mnemonic`` and, with several groups, ``keys_group``.

        The last names the group of each share; every list runs in the same order. For recovery shares the
        prefix is ``recovery_``, as in Vault's answer to init.
        """
        answer: dict[str, object] = {
            f"{prefix}keys": [key.hex() for key in self.keys],
            f"{prefix}keys_base64": [custodians.to_base64(key) for key in self.keys],
        }
        if self.mnemonics:
            answer[f"{prefix}keys_mnemonic"] = list(self.mnemonics)
        if len(self.groups) > 1 or any(group.name for group in self.groups):
            answer[f"{prefix}keys_group"] = [g.name for g in self.groups for _ in range(g.count)]
        return answer

    def backup(self, nonce: str) -> ShareBackup:
        """Return the record that keeps the PGP-encrypted shares."""
        keys: dict[str, list[str]] = {}
        for fingerprint, key in zip(self.fingerprints or (), self.keys, strict=True):
            keys.setdefault(fingerprint, []).append(key.hex())
        return ShareBackup(1, nonce, keys)


def backup_answer(backup: ShareBackup) -> dict[str, object]:
    """Return Vault's answer to ``GET sys/rekey/backup``: ``{"nonce", "keys", "keys_base64"}``."""
    encoded = {
        fingerprint: [custodians.to_base64(bytes.fromhex(key)) for key in keys]
        for fingerprint, keys in backup.keys.items()
    }
    return {"nonce": backup.nonce, "keys": dict(backup.keys), "keys_base64": encoded}


def issue(key: Secret[bytes], request: ShareRequest, random: Random) -> tuple[ShareSet, IssuedShares]:
    """Split a key as asked and encrypt the shares to their custodians. Raises: InvalidRequest."""
    groups = split(key.reveal(), request.groups, request.group_threshold, random)
    shares = [share for group in groups for share in group]
    fingerprints = request.fingerprints()
    issued = IssuedShares(
        tuple(_encrypted(shares, request)),
        () if request.pgp_keys or request.custodian_keys else tuple(share.words for share in shares),
        request.groups,
        tuple(fingerprints) if fingerprints else None,
    )
    return ShareSet.of(groups, request.groups, request.group_threshold), issued


def _encrypted(shares: Sequence[Share], request: ShareRequest) -> list[bytes]:
    """PGP messages carry the share in hex, as Vault's do; sealed boxes carry the words, ready to be read."""
    if request.pgp_keys:
        return [custodians.pgp_encrypt(k, s.hex) for k, s in zip(request.pgp_keys, shares, strict=True)]
    if request.custodian_keys:
        return [
            custodians.encrypt_for(k, s.words) for k, s in zip(request.custodian_keys, shares, strict=True)
        ]
    return [share.packed for share in shares]
