"""A configuration value as the type a setting wants, or what was expected instead."""

import re
import types
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin

from broker.server.settings import FileMode
from broker.server.syntax import Node, Object

__all__ = ["Mismatch", "convert", "format_duration", "parse_duration"]


class Mismatch(Exception):
    """The value does not fit; the text says what was expected."""


_UNIT_SECONDS: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1,
    "m": 60,
    "h": 3600,
    "d": 86400,
}
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d)", re.ASCII)
_DURATION: Final = re.compile(rf"(?:{_DURATION_PART.pattern})+", re.ASCII)
_LONGEST_SECONDS: Final = 100 * 365 * 86400


def parse_duration(text: str) -> timedelta:
    """Read ``1h30m``, ``90s``, ``7d``, or plain seconds. Raises: ValueError.

    >>> parse_duration("1h30m")
    datetime.timedelta(seconds=5400)
    """
    if text.isascii() and text.isdecimal() and len(text) < 16:
        seconds = float(text)
    elif len(text) < 64 and _DURATION.fullmatch(text):
        seconds = sum(float(part[1]) * _UNIT_SECONDS[part[2]] for part in _DURATION_PART.finditer(text))
    else:
        raise ValueError("not a duration")
    if seconds > _LONGEST_SECONDS:
        raise ValueError("longer than 100 years")
    return timedelta(seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """Write a duration as ``parse_duration`` reads it, in one unit.

    >>> format_duration(timedelta(hours=768)), format_duration(timedelta(seconds=90))
    ('768h', '90s')
    """
    seconds = duration.total_seconds()
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:g}s"


def convert(wanted: Any, node: Node) -> Any:
    """Turn ``node`` into the annotated type ``wanted``. Raises: Mismatch."""
    if get_origin(wanted) in (types.UnionType, Union):
        wanted = next(arm for arm in get_args(wanted) if arm is not type(None))
    if get_origin(wanted) is Literal:
        return _choice(get_args(wanted), node)
    make = _MAKERS.get(get_origin(wanted) or wanted)
    if make is None:
        raise TypeError(f"no way to configure a {wanted}")
    return make(node)


def _choice(allowed: tuple[str, ...], node: Node) -> str:
    value = node.value.lower() if isinstance(node.value, str) else None
    value = {"warning": "warn", "err": "error"}.get(value or "", value) if "warn" in allowed else value
    if value not in allowed:
        raise Mismatch("one of " + ", ".join(f'"{name}"' for name in allowed))
    return value


def _text(node: Node) -> str:
    if not isinstance(node.value, str):
        raise Mismatch("a string")
    return node.value


def _flag(node: Node) -> bool:
    value = node.value.lower() if isinstance(node.value, str) else node.value
    if value in (True, "true", "1", "t"):
        return True
    if value in (False, "false", "0", "f"):
        return False
    raise Mismatch("true or false")


def _whole(node: Node) -> int:
    value = node.value
    if isinstance(value, str) and re.fullmatch(r"\d{1,18}", value, re.ASCII):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise Mismatch("a whole number, 0 or more")
    return value


def _duration(node: Node) -> timedelta:
    value = node.value
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    try:
        return parse_duration(value if isinstance(value, str) else "")
    except ValueError as error:
        raise Mismatch('a duration like "90s", "1h30m" or "7d"') from error


def _strings(node: Node) -> tuple[str, ...]:
    if isinstance(node.value, str):
        return tuple(part.strip() for part in node.value.split(",") if part.strip())
    if not isinstance(node.value, tuple) or not all(isinstance(item.value, str) for item in node.value):
        raise Mismatch("a list of strings")
    return tuple(str(item.value) for item in node.value)


def _file(node: Node) -> Path:
    text = _text(node)
    if not text or "\0" in text:
        raise Mismatch("the path of a file")
    return Path(text)


def _mode(node: Node) -> FileMode:
    text = node.value if isinstance(node.value, str) else ""
    if not re.fullmatch(r"0?o?[0-7]{3,4}", text, re.ASCII):
        raise Mismatch('an octal file mode as a string, like "660"')
    return FileMode(int(text.replace("o", ""), 8))


def _mapping(node: Node) -> Mapping[str, Any]:
    if not isinstance(node.value, Object):
        raise Mismatch("a block in braces")
    plain = node.plain()
    assert isinstance(plain, dict)
    return plain


_MAKERS: Final[dict[Any, Callable[[Node], Any]]] = {
    str: _text,
    bool: _flag,
    int: _whole,
    timedelta: _duration,
    tuple: _strings,
    Path: _file,
    FileMode: _mode,
    Mapping: _mapping,
}
