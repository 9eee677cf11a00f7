"""Turning values into ``hmac-sha256:...``: equal values can be found in the log, and no value can be read."""

import hmac
from collections.abc import Callable, Collection, Mapping
from dataclasses import is_dataclass
from functools import lru_cache
from typing import Any, Protocol, cast

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from broker.plugin.secret import Secret

PREFIX = "hmac-sha256:"
RECENT_TOKENS = 1024
RAW_BODY = "http_raw_body"

Scalar = str | int | float | bool | bytes


def derive(salt: str, purpose: bytes) -> bytes:
    """A 32-byte key of its own for ``purpose``. Source: HKDF-SHA256, RFC 5869."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"broker audit: " + purpose).derive(
        salt.encode()
    )


class Salt:
    """A device's own hash. Strings hash as Vault's do, so ``sys/audit-hash`` and its clients agree.

    ``hmac-sha256:`` and the lower-case hex of HMAC-SHA256(salt, text). Numbers and booleans hash under a key
    derived from the salt, as ``int:ff`` (hexadecimal), ``float:1.5`` or ``bool:true``, so that 5 and "5" differ and a
    low-entropy value does not stand in clear.
    """

    def __init__(self, salt: str) -> None:
        # A keyed HMAC is prepared once and copied for each value: twice as fast as keying anew.
        self._strings = _prepared(salt.encode())
        self._typed = _prepared(derive(salt, b"typed values v1"))
        self._true, self._false = self._scalar(b"bool:true"), self._scalar(b"bool:false")
        self._empty = self.raw(b"")
        self._small = {number: self._integer(number) for number in range(-1, 128)}
        self._leaves: dict[type, Callable[[Any], Any]] = {
            str: self.text,
            int: self.number,
            bool: self.boolean,
            float: self.real,
            type(None): _same,
        }
        self.recent = lru_cache(RECENT_TOKENS)(self.text)
        """As ``text``, for what comes again with every request: tokens and accessors."""

    def text(self, value: str) -> str:
        """Hash a string, as Vault does."""
        if not value:
            return self._empty
        mac = self._strings.copy()
        mac.update(value.encode("utf-8", "surrogatepass"))
        return PREFIX + mac.hexdigest()

    def boolean(self, value: bool) -> str:
        """Hash ``bool:true`` or ``bool:false``."""
        return self._true if value else self._false

    def number(self, value: int) -> str:
        """Hash ``int:`` and hexadecimal digits."""
        return self._small.get(value) or self._integer(value)

    def real(self, value: float) -> str:
        """Hash ``float:`` and the shortest text that reads back as the same number."""
        return self._scalar(b"float:%b" % repr(value).encode())

    def raw(self, value: bytes) -> str:
        """Hash bytes whole; the same as ``text`` of the string they encode."""
        mac = self._strings.copy()
        mac.update(value)
        return PREFIX + mac.hexdigest()

    def value(self, value: Scalar) -> str:
        """Hash one string, number, boolean or byte string."""
        if isinstance(value, str):
            return self.text(str(value))
        if isinstance(value, bytes):
            return self.raw(value)
        if isinstance(value, bool):
            return self.boolean(value)
        if isinstance(value, int):
            return self.number(int(value))
        return self.real(float(value))

    def structure(self, value: Any, clear: Collection[str] = (), key: str = "") -> Any:
        """A copy with every leaf hashed. Keys stay in clear, and so does ``null``.

        ``clear`` names the keys whose values the operator wants to read (``audit_non_hmac_request_keys``): the
        leaves directly below such a key, at any depth, and those of a list below it.
        """
        kind = type(value)
        if kind is dict:
            leaves = self._leaves
            copy = {}
            for name, item in value.items():
                leaf = leaves.get(type(item))
                if leaf is None or (clear and name in clear):
                    copy[name] = self.structure(item, clear, name)
                else:
                    copy[name] = leaf(item)
            return copy
        if kind is list or kind is tuple:
            return [self.structure(item, clear, key) for item in value]
        if (leaf := self._leaves.get(kind)) is not None:
            return value if key in clear else leaf(value)
        return self._uncommon(value, clear, key)

    def forget(self) -> None:
        """Drop the tokens remembered in clear (the node is being sealed)."""
        self.recent.cache_clear()

    def _uncommon(self, value: Any, clear: Collection[str], key: str) -> Any:
        """Everything but plain JSON: taken apart into it, and failing that hashed as text."""
        if isinstance(value, Secret):
            # A secret stays one even below a key the operator wants in clear.
            return self.structure(value.reveal(), (), key)
        if isinstance(value, bytes | bytearray | memoryview):
            return self.raw(bytes(value))
        if isinstance(value, Mapping):
            return self.structure(dict(value), clear, key)
        if isinstance(value, str | int | float):
            return value if key in clear else self.value(value)
        return self.structure(plain(value), clear, key)

    def _integer(self, value: int) -> str:
        return self._scalar(b"int:%x" % value)

    def _scalar(self, canonical: bytes) -> str:
        mac = self._typed.copy()
        mac.update(canonical)
        return PREFIX + mac.hexdigest()


class _Mac(Protocol):
    def copy(self) -> "_Mac": ...
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


def _prepared(key: bytes) -> _Mac:
    """HMAC-SHA256 keyed with ``key``, to be copied. The C object inside, where the library has one: no Python call
    between us and it.
    """
    keyed = hmac.new(key, digestmod="sha256")
    return cast(_Mac, getattr(keyed, "_hmac", None) or keyed)


def _same(value: Any) -> Any:
    return value


def plain(value: Any) -> Any:
    """``value`` as dicts, lists and scalars; text for what has no such form.

    Dataclasses lose only their class: a ``Secret`` inside stays one.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    if isinstance(value, msgspec.Struct):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    if isinstance(value, set | frozenset):
        return list(value)
    try:
        return msgspec.to_builtins(value)
    except (TypeError, ValueError):
        return str(value)
