"""Names that must have one spelling everywhere: policies, and the names that people log in with."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from broker.plugin.errors import InvalidRequest

MAX_NAME: Final = 256
_NAME = re.compile(r"[a-z0-9._/-]+", re.ASCII)
_ROOT: Final = "root"


def canonical_name(name: str, *, allow_root: bool = False) -> str:
    """The one spelling of a policy name: trimmed, lower case, ``[a-z0-9._/-]``.

    >>> canonical_name(" App-Read ")
    'app-read'

    Every place that takes policy names goes through here, so that no spelling of ``root`` slips past a check.
    ``allow_root`` is for the one caller that has proved to hold a root token.
    Raises: InvalidRequest for other characters, ``.`` and ``..`` segments, and the reserved name ``root``.
    """
    trimmed = name.strip(" \t\r\n")
    found = trimmed.lower() if trimmed.isascii() else ""
    if len(found) > MAX_NAME or not _NAME.fullmatch(found):
        raise InvalidRequest(
            f"invalid policy name: expected 1 to {MAX_NAME} of the characters a-z 0-9 . _ / -"
        )
    if any(segment in ("", ".", "..") for segment in found.split("/")):
        raise InvalidRequest("invalid policy name: empty, . and .. segments are not allowed")
    if found == _ROOT and not allow_root:
        raise InvalidRequest("invalid policy name: root is reserved")
    return found


def policy_names(names: Iterable[str], *, allow_root: bool = False) -> tuple[str, ...]:
    """Return policy names canonical, each once, sorted; empty ones are left out. Raises: InvalidRequest."""
    return _policy_names(tuple(names), allow_root)


@lru_cache(1024)
def _policy_names(names: tuple[str, ...], allow_root: bool) -> tuple[str, ...]:
    # The same few sets come with every login.
    return tuple(sorted({canonical_name(name, allow_root=allow_root) for name in names if name.strip()}))


def glob(pattern: str, text: str) -> bool:
    """Tell whether a text fits a pattern in which ``*`` stands for any text, also none. Linear in both; case counts.

    >>> glob("a*c", "abc"), glob("a*c", "abd"), glob("a*a", "a")
    (True, False, False)
    """
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == text
    last = rest.pop()
    if len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in rest:
        at = text.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return True
