"""Wrap the root key under a key of 32 bytes that the server is given."""

import hmac
import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from broker.plugin.errors import Tampered, WrongSetting
from broker.plugin.seal import Seal, SealKind
from broker.plugin.secret import Secret

from .keys import read_key

_FORMAT = b"\x01"
_NONCE_BYTES = 12
_LONGEST_ID = 255
_PURPOSE = b"broker seal static root key"
_SETTINGS = ("current_key_id", "current_key", "previous_key_id", "previous_key")


class StaticSeal(Seal):
    """AES-256-GCM under the current key; what the previous key wrapped still opens.

    Shape of what is wrapped: 1 byte format, 1 byte length of the key id, the key id in UTF-8, 12 bytes nonce,
    ciphertext, 16 bytes tag. Associated data: format, key id and purpose.
    """

    kind = SealKind.AUTO

    def __init__(self, key_id: str, key: Secret[bytes], previous: Mapping[str, Secret[bytes]] | None = None):
        self._id = key_id
        self._keys = {**(previous or {}), key_id: key}

    @classmethod
    def build(cls, settings: Mapping[str, object]) -> "StaticSeal":
        """Build from the stanza; reads the key files. Raises: WrongSetting."""
        for name in settings:
            if name not in _SETTINGS:
                raise WrongSetting(name, f'seal "static" has no setting {name!r}')
        given = {name: settings[name] for name in _SETTINGS if settings.get(name) not in (None, "")}
        for name, meaning in (("current_key", "the key"), ("current_key_id", "the name of the key")):
            if name not in given:
                raise WrongSetting(name, f'seal "static" needs {name}, {meaning} that wraps the root key')
        key_id, key = _key_id("current_key_id", given), read_key("current_key", given["current_key"])
        if ("previous_key" in given) != ("previous_key_id" in given):
            found = "previous_key" if "previous_key" in given else "previous_key_id"
            raise WrongSetting(found, "expected previous_key and previous_key_id together")
        if "previous_key" not in given:
            return cls(key_id, key)
        old_id, old = _key_id("previous_key_id", given), read_key("previous_key", given["previous_key"])
        same = hmac.compare_digest(key.reveal(), old.reveal())
        if same != (old_id == key_id):
            raise WrongSetting(
                "previous_key_id",
                "expected the previous key to have another id than the current one"
                if not same
                else "expected the previous key to be another one than the current one, not the same by another id",
            )
        return cls(key_id, key, {old_id: old})

    async def wrap(self, root_key: Secret[bytes], key: Secret[bytes] | None) -> bytes:
        """Encrypt the root key under the current key."""
        name, nonce = self._id.encode(), os.urandom(_NONCE_BYTES)
        head = _FORMAT + bytes([len(name)]) + name
        sealed = AESGCM(self._keys[self._id].reveal()).encrypt(nonce, root_key.reveal(), head + _PURPOSE)
        return head + nonce + sealed

    async def unwrap(self, wrapped: bytes, key: Secret[bytes] | None) -> Secret[bytes]:
        """Decrypt the root key under the key that it names. Raises: Tampered."""
        name, head, rest = _parted(wrapped)
        if name not in self._keys:
            known = " and ".join(f'"{known}"' for known in self._keys)
            raise Tampered(f'wrapped under the key id "{name}", the configuration has {known}')
        try:
            cipher = AESGCM(self._keys[name].reveal())
            return Secret(cipher.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], head + _PURPOSE))
        except (InvalidTag, ValueError):
            raise Tampered(f'the key that the configuration calls "{name}" is another one') from None

    def stale(self, wrapped: bytes) -> bool:
        """Tell whether another key than the current one wrapped this."""
        return _parted(wrapped)[0] != self._id


def _parted(wrapped: bytes) -> tuple[str, bytes, bytes]:
    """Return the key id, the head that holds it, and what follows. Raises: Tampered."""
    end = 2 + (wrapped[1] if len(wrapped) > 1 else 0)
    try:
        name = wrapped[2:end].decode()
    except UnicodeDecodeError:
        name = ""
    if wrapped[:1] != _FORMAT or not name.isprintable() or not name or len(wrapped) < end:
        raise Tampered("not a root key that a static seal wrapped")
    return name, wrapped[:end], wrapped[end:]


def _key_id(setting: str, given: Mapping[str, object]) -> str:
    name = given[setting]
    if not isinstance(name, str) or not name.isprintable() or len(name.encode()) > _LONGEST_ID:
        raise WrongSetting(setting, f"expected {setting} to be a name of 1 to {_LONGEST_ID} printable bytes")
    return name
