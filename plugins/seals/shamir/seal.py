"""Wrap the root key under the key that the shares restored."""

import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from broker.plugin.errors import Tampered, WrongSetting
from broker.plugin.seal import Seal, SealKind
from broker.plugin.secret import Secret

_FORMAT = b"\x01"
_NONCE_BYTES = 12
_PURPOSE = b"broker seal shamir root key"


class ShamirSeal(Seal):
    """AES-256-GCM under the seal key. Splitting and combining shares is the server's work, not the seal's.

    Shape of what is wrapped: 1 byte format, 12 bytes nonce, ciphertext, 16 bytes tag.
    """

    kind = SealKind.SHARES

    @classmethod
    def build(cls, settings: Mapping[str, object]) -> "ShamirSeal":
        """Build from the stanza. Raises: WrongSetting, for there is nothing to set."""
        if settings:
            raise WrongSetting(min(settings), f'seal "shamir" has no setting {min(settings)!r}')
        return cls()

    async def wrap(self, root_key: Secret[bytes], key: Secret[bytes] | None) -> bytes:
        """Encrypt the root key."""
        nonce = os.urandom(_NONCE_BYTES)
        return _FORMAT + nonce + _cipher(key).encrypt(nonce, root_key.reveal(), _FORMAT + _PURPOSE)

    async def unwrap(self, wrapped: bytes, key: Secret[bytes] | None) -> Secret[bytes]:
        """Decrypt the root key. Raises: Tampered."""
        cipher = _cipher(key)
        nonce, sealed = wrapped[1 : 1 + _NONCE_BYTES], wrapped[1 + _NONCE_BYTES :]
        try:
            if wrapped[:1] != _FORMAT or len(nonce) != _NONCE_BYTES:
                raise InvalidTag
            return Secret(cipher.decrypt(nonce, sealed, _FORMAT + _PURPOSE))
        except InvalidTag:
            raise Tampered("the root key does not open under this key") from None


def _cipher(key: Secret[bytes] | None) -> AESGCM:
    if key is None:
        raise TypeError("the shamir seal needs the key that the shares restored")
    return AESGCM(key.reveal())
