"""What is stored below a mount, and the few numbers that bound it.

Version 2: ``config``; ``meta/<path>``, one record per secret with the marks of its versions; ``ver/<path>/<number>``, the
contents of one version. Version 1: ``plain/<path>``. The last segment below ``ver/`` is always a number, so the
secrets ``a`` and ``a/1`` cannot meet there.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

CONFIG = "config"
DEFAULT_MAX_VERSIONS = 10


class Document(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """A JSON object as it was given: the contents of one version, or of a version 1 entry.

    ``__dict__`` is for what was made of it and goes with it; it is never stored.
    """

    v: int = 1
    data: dict[str, Any] = {}


class EngineConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """What holds for every secret of a mount. ``delete_version_after`` in seconds; below zero switches it off for all."""

    v: int = 1
    max_versions: int = 0
    cas_required: bool = False
    delete_version_after: int = 0
    metadata_cas_required: bool = False


class Mark(msgspec.Struct, frozen=True, omit_defaults=True):
    """One version without its contents. ``deleted`` is when it counts as deleted (Unix seconds, 0 for never)."""

    created: str
    deleted: float = 0.0
    destroyed: bool = False

    def readable(self, now: float) -> bool:
        """Tell whether the contents may be shown at ``now``."""
        return not self.destroyed and (self.deleted == 0.0 or now < self.deleted)


class Metadata(msgspec.Struct, frozen=True, omit_defaults=True):
    """A secret without its contents: its settings and the mark of every version still known."""

    v: int = 1
    current: int = 0
    oldest: int = 0
    created: str = ""
    updated: str = ""
    versions: dict[int, Mark] = {}
    max_versions: int = 0
    cas_required: bool = False
    delete_version_after: int = 0
    custom: dict[str, str] | None = None
    changes: int = 0
    """How often the settings were written: what ``metadata_cas`` is compared with."""
    metadata_cas_required: bool = False


def metadata_path(path: str) -> str:
    """Return where a secret's metadata is stored."""
    return f"meta/{path}"


def version_path(path: str, number: int) -> str:
    """Return where the contents of one version are stored."""
    return f"{versions_folder(path)}{number}"


def versions_folder(path: str) -> str:
    """Return where the versions of a secret are stored; folders below it belong to other secrets."""
    return f"ver/{path}/"


def plain_path(path: str) -> str:
    """Return where a version 1 entry is stored."""
    return f"plain/{path}"


def timestamp(seconds: float) -> str:
    """Write a time as RFC 3339 with up to nine digits of fraction and no trailing zeros; empty for 0.

    >>> timestamp(1.25)
    '1970-01-01T00:00:01.25Z'
    """
    if seconds == 0.0:
        return ""
    whole, fraction = divmod(round(seconds * 1e6), 1_000_000)
    return f"{_second(whole)}.{fraction:06d}".rstrip("0").rstrip(".") + "Z"


_second = lru_cache(256)(lambda second: datetime.fromtimestamp(second, UTC).isoformat()[:19])


def duration(seconds: int) -> str:
    """Write a duration as Go does.

    >>> duration(5400), duration(0), duration(-1)
    ('1h30m0s', '0s', '-1s')
    """
    hours, rest = divmod(abs(seconds), 3600)
    minutes, second = divmod(rest, 60)
    text = f"{second}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    if hours:
        text = f"{hours}h{text}"
    return f"-{text}" if seconds < 0 else text
