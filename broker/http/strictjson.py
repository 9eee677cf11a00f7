"""JSON as it is written down, or not at all: no duplicate keys, NaN, lossy numbers, or depth without end.

Python's ``json`` takes NaN, keeps the last of duplicate keys, and turns ``1e400`` into infinity; fast parsers turn large integers
into floats. A body that two readers may understand differently is refused instead. Source: RFC 8259 §4 and §6.
"""

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn

import msgspec

from broker.plugin.errors import InvalidRequest

MAX_DIGITS = 4300
"""Digits of an integer: Python's own bound against quadratic conversion (CVE-2020-10735)."""


@dataclass(frozen=True, slots=True)
class JsonLimits:
    """What a body may hold. ``max_tokens`` bounds structural characters, ``max_strings`` keys and values.

    ``max_memory`` bounds an estimate of what the parsed body takes: its bytes, and 64 for each item and string.
    """

    max_depth: int = 100
    max_tokens: int = 100_000
    max_strings: int = 1000
    max_memory: int = 64 * 1024 * 1024


class _Refused(ValueError):
    """The text breaks a rule of ours; the message says which."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Refused("a key is given twice in one object")
    return made


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise _Refused("a number is out of range")
    if len(text) > 15 and Decimal(text) != Decimal(repr(value)):
        raise _Refused("a number has more digits than a double can keep; send it as a string")
    return value


def _int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise _Refused(f"an integer has more than {MAX_DIGITS} digits")
    return int(text)


def _constant(name: str) -> NoReturn:
    raise _Refused("NaN and Infinity are not JSON")


_decoder = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_float=_float, parse_int=_int, parse_constant=_constant
)
_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


ITEM_BYTES = 64
"""Rough size of a Python object and its place in a dictionary or list."""


def _check_size(body: bytes, limits: JsonLimits) -> None:
    """Refuse a body before any object is built from it."""
    opened = body.count(b"{") + body.count(b"[")
    items = opened + body.count(b",")
    if items > limits.max_tokens:
        raise _Refused(f"the body has more than {limits.max_tokens} items")
    _check_depth(body, opened, limits)
    strings = body.count(b'"') // 2
    if strings > limits.max_strings and b'\\"' in body:
        strings = sum(found[0][:1] == b'"' for found in _STRUCTURE.finditer(body))
    if strings > limits.max_strings:
        raise _Refused(f"the body has more than {limits.max_strings} strings")
    if len(body) + ITEM_BYTES * (items + strings) > limits.max_memory:
        raise _Refused(f"the body would take more than {limits.max_memory} bytes of memory")


def _check_depth(body: bytes, opened: int, limits: JsonLimits) -> None:
    if opened <= limits.max_depth:
        return
    depth = 0
    for found in _STRUCTURE.finditer(body):
        mark = found[0]
        if mark in (b"{", b"["):
            depth += 1
            if depth > limits.max_depth:
                raise _Refused(f"the body is nested deeper than {limits.max_depth}")
        elif mark in (b"}", b"]"):
            depth -= 1


def parse_body(body: bytes, limits: JsonLimits) -> dict[str, Any]:
    """Parse a request body: a JSON object, or nothing.

    Raises: InvalidRequest saying what is wrong and where, never quoting the body.
    """
    if not body or body.isspace():
        return {}
    try:
        _check_size(body, limits)
        value = _decoder.decode(body.decode("utf-8"))
        if b"\\u" in body:
            msgspec.json.encode(value)  # a lone surrogate is no text
    except _Refused as refused:
        raise InvalidRequest(f"error parsing JSON: {refused}") from None
    except json.JSONDecodeError as error:
        raise InvalidRequest(
            f"error parsing JSON: {error.msg} at line {error.lineno} column {error.colno}"
        ) from None
    except UnicodeError:
        raise InvalidRequest("error parsing JSON: the body is not valid UTF-8") from None
    except (RecursionError, ValueError, OverflowError):
        raise InvalidRequest("error parsing JSON: the body is not acceptable") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidRequest("error parsing JSON: expected an object")
    return value
