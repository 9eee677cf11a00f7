"""The conditions that a rule puts on a request's parameters, wrapping and page size."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from broker.plugin.secret import Secret

from .model import Parameters

_DIGITS = re.compile(r"[0-9]{1,18}", re.ASCII)

#: What clients that know about paging write for "as much as I may have".
MAX_PAGE: Final = "max"


def refused_parameter(
    data: Mapping[str, object], *, required: Sequence[str], denied: Parameters, allowed: Parameters
) -> tuple[str, str] | None:
    """The first condition that ``data`` fails, as (reason, parameter name), or None.

    Names compare without case, except that a required one must be given in lower case, as in OpenBao.
    """
    for name in required:
        if name.lower() not in data:
            return ("required_parameter", name)
    if not data:
        return None
    if "*" in denied:
        return ("denied_parameter", "*")
    for name, value in data.items():
        key = name.lower()
        if key in denied and is_listed(value, denied[key]):
            return ("denied_parameter", name)
        if not allowed:
            continue
        if key not in allowed:
            if "*" not in allowed:
                return ("allowed_parameter", name)
        elif (len(allowed) > 1 or key != "*") and not is_listed(value, allowed[key]):
            return ("allowed_parameter", name)
    return None


def is_listed(value: object, listed: Sequence[Any]) -> bool:
    """Whether a value is among the listed ones; an empty list stands for every value.

    Text may carry ``*`` at either end. Numbers equal numbers of the same value and never a boolean.
    """
    if isinstance(value, Secret):
        value = value.reveal()
    return not listed or any(_same(each, value) for each in listed)


def _same(listed: Any, value: object) -> bool:
    if isinstance(listed, str) and isinstance(value, str):
        return _globbed(listed, value)
    return _equal(listed, value)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, (list, tuple)):
        same_shape = isinstance(other, (list, tuple)) and len(one) == len(other)
        return same_shape and all(_equal(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, Mapping):
        same_keys = isinstance(other, Mapping) and one.keys() == other.keys()
        return same_keys and all(_equal(one[key], other[key]) for key in one)
    return bool(one == other)


def _globbed(pattern: str, value: str) -> bool:
    """``ab*`` begins, ``*ab`` ends, ``*ab*`` contains; a lone ``*`` is the text ``*``, as in OpenBao."""
    if len(pattern) < 2:
        return pattern == value
    begins, ends = pattern.startswith("*"), pattern.endswith("*")
    if begins and ends:
        return pattern[1:-1] in value
    if begins:
        return value.endswith(pattern[1:])
    return value.startswith(pattern[:-1]) if ends else value == pattern


def page_refused(data: Mapping[str, object], *, limit: int, required: Sequence[str]) -> bool:
    """Whether a listing asks for more than ``limit`` keys at once, or fails to ask where it must.

    0 asks for everything and so for too much.
    """
    asked = data.get("limit")
    if asked is None:
        return any(name.lower() == "limit" for name in required)
    if asked == MAX_PAGE:
        return False
    if isinstance(asked, str) and _DIGITS.fullmatch(asked):
        asked = int(asked)
    return type(asked) is not int or not 0 < asked <= limit
