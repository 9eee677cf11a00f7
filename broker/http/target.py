"""The request target: decoded once, from the bytes on the wire, and refused where two readings are possible."""

import re
from functools import lru_cache
from urllib.parse import parse_qsl, unquote_to_bytes

from broker.plugin.errors import InvalidRequest, NotFound

PREFIX = b"/v1/"
MAX_TARGET = 16 * 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")


@lru_cache(maxsize=8192)
def parse_path(raw: bytes) -> str:
    """Return the path below ``/v1/``: percent-decoded once, UTF-8, no dot segments, no empty ones inside.

    Several trailing slashes count as one, as clients send them for LIST. Raises: InvalidRequest; NotFound outside ``/v1/``.

    >>> parse_path(b"/v1/secret/data/a%20b")
    'secret/data/a b'
    """
    if not raw.startswith(PREFIX):
        raise NotFound
    if len(raw) > MAX_TARGET:
        raise InvalidRequest(f"the path is longer than {MAX_TARGET} bytes")
    if b"#" in raw or _PERCENT.search(raw):
        raise InvalidRequest("the path is not a valid URL path")
    try:
        path = unquote_to_bytes(raw[len(PREFIX) :]).decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidRequest("the path is not valid UTF-8") from None
    if _CONTROL.search(path):
        raise InvalidRequest("the path contains control characters")
    if path.endswith("//"):
        path = path.rstrip("/") + "/"
    check_segments(path)
    return path


def check_segments(path: str) -> None:
    """Refuse dot segments and empty segments. Raises: InvalidRequest."""
    if "." in path or "//" in path or path.startswith("/"):
        for segment in path.removesuffix("/").split("/"):
            if segment in (".", ".."):
                raise InvalidRequest("relative paths not supported")
            if not segment:
                raise InvalidRequest("the path has an empty segment")


def parse_namespace(text: str) -> str:
    """Return a namespace header as a path: empty for the root, else ending in ``/``. Raises: InvalidRequest.

    Doubled slashes count as one: no namespace has an empty name, so there is but one reading.
    """
    path = text.strip("/")
    if "//" in path:
        path = "/".join(filter(None, path.split("/")))
    if not path or path == "root":
        return ""
    if _CONTROL.search(path):
        raise InvalidRequest("the namespace contains control characters")
    check_segments(path)
    return path + "/"


def parse_query(raw: bytes) -> dict[str, str | list[str]]:
    """Return the query's fields; one given several times becomes a list. Raises: InvalidRequest."""
    if not raw:
        return {}
    try:
        pairs = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=100
        )
    except ValueError:
        raise InvalidRequest("the query string is not valid") from None
    fields: dict[str, str | list[str]] = {}
    for name, value in pairs:
        known = fields.get(name)
        if known is None:
            fields[name] = value
        elif isinstance(known, list):
            known.append(value)
        else:
            fields[name] = [known, value]
    return fields
