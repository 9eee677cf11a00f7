"""The shape of everything the barrier writes: a small header, then AES-256-GCM.

Shape: 1 byte format, 4 bytes key term (big-endian), 12 bytes nonce, ciphertext, 16 bytes tag.
Source: AES-256-GCM with random 96-bit nonces, NIST SP 800-38D; see docs/decisions/0002-keys.md for the limits.
"""

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from broker.plugin.errors import Tampered

FORMAT: Final = 1
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
HEADER_BYTES: Final = 5
OVERHEAD_BYTES: Final = HEADER_BYTES + NONCE_BYTES + TAG_BYTES
WRAPPED: Final = 0
"""The term of an envelope whose key is no keyring term: a wrapped root key or keyring."""

_FORMAT_BYTE = bytes([FORMAT])
_NONCE_END = HEADER_BYTES + NONCE_BYTES


class UnknownTerm(Tampered):
    """The entry names a key term that this keyring lacks: written by a newer keyring, or altered."""

    def __init__(self, path: str, term: int) -> None:
        super().__init__(f"stored entry at {path!r} does not open: key term {term} is unknown")
        self.term = term


def tampered(path: str) -> Tampered:
    """Build the one error for every entry that does not open; it names the path only."""
    return Tampered(f"stored entry at {path!r} does not open: altered, moved, or written under another key")


def header(term: int) -> bytes:
    """Return format and term as they open every envelope."""
    return _FORMAT_BYTE + term.to_bytes(4, "big")


def frame(term: int, owner: str) -> bytes:
    """Return the associated data up to, but without, the path.

    Shape: header, 2 bytes length of ``owner`` (big-endian), ``owner`` in UTF-8. The path follows as the
    whole rest, so no two (owner, path) pairs ever give the same bytes.
    """
    name = owner.encode()
    return header(term) + len(name).to_bytes(2, "big") + name


def seal(cipher: AESGCM, head: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """Encrypt under a fresh nonce.

    The nonce comes from the kernel at each call: no state that a fork or a resumed machine could repeat.
    """
    nonce = os.urandom(NONCE_BYTES)
    return head + nonce + cipher.encrypt(nonce, plaintext, aad)


def term_of(sealed: bytes, path: str) -> int:
    """Return the key term an envelope was written under. Raises: Tampered if it is no envelope of ours."""
    if len(sealed) < OVERHEAD_BYTES or sealed[0] != FORMAT:
        raise tampered(path)
    return int.from_bytes(sealed[1:HEADER_BYTES], "big")


def open_(cipher: AESGCM, sealed: bytes, aad: bytes, path: str) -> bytes:
    """Decrypt what ``seal`` wrote; the header must have been checked. Raises: Tampered."""
    try:
        return cipher.decrypt(sealed[HEADER_BYTES:_NONCE_END], sealed[_NONCE_END:], aad)
    except InvalidTag:
        raise tampered(path) from None


def wrap(key: bytes, plaintext: bytes, purpose: str) -> bytes:
    """Encrypt one key-carrying record under another key; ``purpose`` keeps the kinds apart."""
    return seal(AESGCM(key), header(WRAPPED), plaintext, frame(WRAPPED, "") + purpose.encode())


def unwrap(key: bytes, sealed: bytes, purpose: str) -> bytes:
    """Undo ``wrap``. Raises: Tampered, naming the purpose, if the key is wrong or a bit has changed."""
    if term_of(sealed, purpose) != WRAPPED:
        raise tampered(purpose)
    return open_(AESGCM(key), sealed, frame(WRAPPED, "") + purpose.encode(), purpose)
