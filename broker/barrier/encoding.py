"""Reading stored records: format first, so that a newer one is a clear error and not a puzzle."""

from typing import TypeVar

import msgspec

from broker.plugin.errors import ConfigError, Tampered

R = TypeVar("R", bound=msgspec.Struct)


class _Versioned(msgspec.Struct):
    v: int


def encode(record: msgspec.Struct) -> bytes:
    """Return a record as JSON."""
    return msgspec.json.encode(record)


def decode(kind: type[R], data: bytes, name: str) -> R:
    """Read a record of format 1.

    Raises: ConfigError if a newer version wrote it; Tampered, naming ``name`` only, if it is no such record.
    """
    try:
        version = msgspec.json.decode(data, type=_Versioned).v
        if version == 1:
            return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Tampered(f"stored entry at {name!r} is malformed") from None
    raise ConfigError(f"stored entry at {name!r} is of format {version}; this version reads format 1")
