"""Answers as JSON text: what both the wire and a wrapped response are written in."""

import json
from datetime import datetime, timedelta
from typing import Any

import msgspec

from broker.plugin.secret import Secret


def _plain(value: Any) -> Any:
    """Turn what JSON does not know into what the field's clients expect."""
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, timedelta):
        return int(value.total_seconds())
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    raise TypeError(f"{type(value).__name__} is not JSON")


_encode = msgspec.json.Encoder(enc_hook=_plain).encode


def encode(value: Any) -> bytes:
    """Encode a value as JSON; integers of any size keep every digit."""
    try:
        return _encode(value)
    except OverflowError:
        return json.dumps(value, default=_plain, ensure_ascii=False, separators=(",", ":")).encode()
