"""Encrypting shares to the people who will keep them, so that the one who runs a ceremony sees none.

Two kinds of recipient: an X25519 public key (libsodium's sealed box; ``broker operator keygen`` makes one) and an
OpenPGP public key, as Vault's ``pgp_keys``.
"""

import base64
import binascii
import functools
import warnings
from typing import Any, Final

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox

from broker.plugin.errors import InvalidRequest
from broker.plugin.secret import Secret

_KEY_BYTES: Final = 32
_MAX_PGP_BYTES: Final = 16 * 1024


def keygen() -> tuple[Secret[str], str]:
    """Make a custodian's key pair: the private key to keep, the public key to hand in, both base64."""
    private = PrivateKey.generate()
    return Secret(to_base64(bytes(private))), to_base64(bytes(private.public_key))


def check_public_key(public: str) -> None:
    """Refuse what cannot be encrypted to, before a ceremony begins. Raises: InvalidRequest."""
    encrypt_for(public, "")


def encrypt_for(public: str, text: str) -> bytes:
    """Encrypt ``text`` so that only the private key's holder reads it. Raises: InvalidRequest.

    Shape: 32 bytes ephemeral public key, ciphertext, 16 bytes tag (X25519, XSalsa20-Poly1305).
    """
    key = _decode(public)
    if key is None or len(key) != _KEY_BYTES:
        raise InvalidRequest(
            "a custodian key must be 32 bytes in base64, as made by 'broker operator keygen'"
        )
    try:
        return bytes(SealedBox(PublicKey(key)).encrypt(text.encode()))
    except CryptoError:
        raise InvalidRequest("a custodian key is not a usable X25519 key") from None


def decrypt(private: Secret[str], blob: bytes) -> Secret[str]:
    """Undo ``encrypt_for``. Raises: InvalidRequest if it was meant for somebody else or altered."""
    key = _decode(private.reveal())
    if key is None or len(key) != _KEY_BYTES:
        raise InvalidRequest("the private key must be 32 bytes in base64")
    try:
        return Secret(SealedBox(PrivateKey(key)).decrypt(blob).decode())
    except (CryptoError, ValueError):
        raise InvalidRequest("the share does not open with this private key") from None


def pgp_fingerprint(key: str) -> str:
    """Return the fingerprint of a public key (base64 of the binary key, or armoured): 40 hex digits, lower case.

    Raises: InvalidRequest if it is no public key that can encrypt.
    """
    return str(_pgp_key(key).fingerprint).lower()


def check_pgp_key(key: str) -> None:
    """Refuse what cannot be encrypted to, before a ceremony begins. Raises: InvalidRequest."""
    pgp_encrypt(key, "trial")


def pgp_encrypt(key: str, text: str) -> bytes:
    """Encrypt ``text`` to an OpenPGP public key; returns the binary message. Raises: InvalidRequest.

    A damaged key may parse and then make pgpy fail in any way, so every failure means: not a key to encrypt to.
    """
    recipient = _pgp_key(key)
    with _quiet():
        try:
            return bytes(recipient.encrypt(_pgpy().PGPMessage.new(text)))
        except Exception:
            raise InvalidRequest("error encrypting to the given PGP key: no key in it may encrypt") from None


def _pgp_key(text: str) -> Any:
    """Parse one public key. pgpy raises whatever its parser stumbles over, so all of it means: not a key."""
    raw: bytes | str | None = text if "-----BEGIN PGP" in text else _decode(text)
    if raw is None:
        raise InvalidRequest("error decoding given PGP key: illegal base64 data")
    if not raw or len(raw) > _MAX_PGP_BYTES:
        raise InvalidRequest("error parsing given PGP key: it is empty or too long")
    with _quiet():
        try:
            key, _ = _pgpy().PGPKey.from_blob(raw)
            usable = key.is_public and len(key.fingerprint) == 40
        except Exception:
            usable = False
    if not usable:
        raise InvalidRequest("error parsing given PGP key: expected one OpenPGP public key")
    return key


class _quiet(warnings.catch_warnings):  # noqa: N801 - used as a statement's subject, like its base
    """Keep pgpy's warnings (old ciphers, key preferences, ``imghdr``) from whoever has one key to encrypt to."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.simplefilter("ignore")


@functools.cache
def _pgpy() -> Any:
    """Import pgpy on first use: it is slow to load, warns on import, and few ceremonies need it."""
    with _quiet():
        import pgpy
        import pgpy.errors
    return pgpy


def to_base64(data: bytes) -> str:
    """Return standard base64, padded."""
    return base64.b64encode(data).decode()


def _decode(text: str) -> bytes | None:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
