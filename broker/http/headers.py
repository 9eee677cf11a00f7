"""Headers that a listener adds to its answers, by their status.

Source: the ``custom_response_headers`` parameters of OpenBao's tcp listener.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from broker.plugin.errors import ConfigError

Headers = Sequence[tuple[bytes, bytes]]

RESERVED = frozenset(
    (
        "cache-control",
        "connection",
        "content-length",
        "content-type",
        "date",
        "transfer-encoding",
        "x-request-id",
    )
)
"""Headers that the server sets itself."""
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_VALUE = re.compile(r"[\x20-\x7e\x80-\xff]*")
_STATUS = re.compile(r"default|[1-5]xx|[1-5][0-9][0-9]", re.ASCII)


class ResponseHeaders:
    """Headers that every answer carries, by its status."""

    def __init__(self, always: Headers = (), custom: Mapping[str, Any] | None = None) -> None:
        """``custom`` as in the file: ``default``, ``4xx`` or ``404`` to names to lists of values. Raises: ConfigError."""
        self._always = tuple(always)
        self._custom = {str(key): _lines(str(key), table) for key, table in (custom or {}).items()}
        self._known: dict[int, Headers] = {}

    def of(self, status: int) -> Headers:
        """Return the headers for a status. The more specific of two settings for the same header counts."""
        found = self._known.get(status)
        if found is None:
            merged: dict[bytes, bytes] = dict(self._always)
            for key in ("default", f"{status // 100}xx", str(status)):
                merged.update(self._custom.get(key, ()))
            found = self._known[status] = tuple(merged.items())
        return found


def _lines(status: str, table: Any) -> Headers:
    """Return one status's headers as they are sent; values of one name are joined as the peer joins them."""
    if not _STATUS.fullmatch(status) or not isinstance(table, Mapping):
        raise ConfigError(
            'expected custom_response_headers to be like: "default" = { "X-Name" = ["value"] }, '
            'by "default", "4xx" or "404"'
        )
    lines = []
    for name, values in table.items():
        texts = [values] if isinstance(values, str) else values
        if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
            raise ConfigError(f"expected the header {name!r} to be a list of strings")
        value = "; ".join(texts)
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ConfigError(f"expected {name!r} and its values to be fit for an HTTP header")
        if not reserved(name):
            lines.append((name.lower().encode(), value.encode("latin-1")))
    return tuple(lines)


def reserved(name: str) -> bool:
    """Tell whether a header is the server's own, so that a configured one is left out."""
    return name.lower().startswith("x-vault-") or name.lower() in RESERVED
