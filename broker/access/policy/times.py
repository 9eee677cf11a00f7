"""Durations and instants as policies spell them."""

import math
import re
from datetime import UTC, datetime
from typing import Any, Final

from broker.plugin.errors import InvalidRequest

MAX_SECONDS: Final = 2**33  # some 270 years

_UNITS: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}
_PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{0,9})?)(ns|us|µs|ms|s|m|h|d)", re.ASCII)
_DURATION = re.compile(rf"(?:{_PART.pattern})+".replace("(", "(?:").replace("(?:?:", "(?:"), re.ASCII)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)


def parse_duration(value: Any) -> float:
    """Seconds in ``90``, ``"90"``, ``"1m30s"`` or ``"1d"``.

    Raises: InvalidRequest for anything else, and for negative or absurd lengths.
    """
    seconds = _number(value)
    if seconds is None and isinstance(value, str) and len(value) < 100 and _DURATION.fullmatch(value):
        seconds = sum(float(amount) * _UNITS[unit] for amount, unit in _PART.findall(value))
    if seconds is None or not 0 <= seconds <= MAX_SECONDS:
        raise InvalidRequest('expected a duration such as 90, "90s" or "1h30m"')
    return seconds


def parse_instant(value: Any) -> float:
    """Unix time of ``"2030-01-31T12:00:00Z"`` or of a number of seconds since 1970.

    Raises: InvalidRequest for anything else; a date without time and zone is ambiguous.
    """
    seconds = _number(value)
    if seconds is None and isinstance(value, str) and _INSTANT.fullmatch(value):
        seconds = _rfc3339(value)
    if seconds is None or not 0 <= seconds <= 2**38:
        raise InvalidRequest('invalid expiration time: expected a time such as "2030-01-31T12:00:00Z"')
    return seconds


def show_instant(seconds: float) -> str:
    """The instant in RFC 3339, in UTC."""
    return datetime.fromtimestamp(min(seconds, 253402300799), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return float(value) if abs(value) <= 2**40 and math.isfinite(value) else None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 12:
        return float(value)
    return None


def _rfc3339(value: str) -> float | None:
    try:
        return datetime.fromisoformat(value.upper()).timestamp()
    except (ValueError, OverflowError):
        return None
