"""Does a name match a pattern? ``*`` in a pattern stands for characters within one part of a name.

A host's parts are its labels, a path's its segments, an address's what is left and right of ``@``. So ``*.example.com``
is a host right below ``example.com`` and no deeper, and ``spiffe://*/app`` cannot reach into a path. ``*`` alone matches
every name; as the last segment of a URI it takes all that is left. Texts that are no names (common names, units) have
one part, unless the pattern begins with ``*.``.
"""

import ipaddress
import re

from broker.plugin import InvalidRequest
from broker.plugin.names import glob

_HOST = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*", re.ASCII)
_SPIFFE_SEGMENT = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*", re.ASCII)
_MAIL_LOCAL = re.compile(r"[\x21-\x3f\x41-\x7e]{1,64}", re.ASCII)


def matches_text(pattern: str, text: str) -> bool:
    """Match a common name or an organizational unit."""
    if not text or not text.isprintable():
        return False
    if pattern.startswith("*."):
        return matches_host(pattern, text)
    return glob(pattern, text)


def matches_host(pattern: str, host: str) -> bool:
    """Match a host's name, whose case does not count; one with a wildcard, an address or odd characters never matches.

    >>> matches_host("*.example.com", "App.example.com"), matches_host("*.example.com", "a.b.example.com")
    (True, False)
    """
    name = host.lower()
    if not _HOST.fullmatch(name) or _is_address(name):
        return False
    if pattern == "*":
        return True
    return _parts_match(pattern.lower().split("."), name.split("."))


def matches_mail(pattern: str, mail: str) -> bool:
    """Match an e-mail address; the case of the host does not count.

    >>> matches_mail("*@example.com", "bob@EXAMPLE.com"), matches_mail("*@example.com", "bob@x@example.com")
    (True, False)
    """
    local, at, host = mail.partition("@")
    if not at or not _MAIL_LOCAL.fullmatch(local) or not _HOST.fullmatch(host.lower()):
        return False
    if pattern == "*":
        return True
    want_local, at, want_host = pattern.partition("@")
    return bool(at) and glob(want_local, local) and matches_host(want_host, host)


def matches_uri(pattern: str, uri: str) -> bool:
    """Match a URI; the case of scheme and host does not count.

    >>> matches_uri("spiffe://example.org/ns/*/sa/app", "SPIFFE://Example.org/ns/a/sa/app")
    True
    >>> matches_uri("spiffe://example.org/*/app", "spiffe://example.org/a/b/app")
    False
    >>> matches_uri("spiffe://example.org/ns/*", "spiffe://example.org/ns/a/sa/b")
    True
    """
    found = _take_apart(uri)
    if found is None or not _sound(*found) or "*" in uri:
        return False
    if pattern == "*":
        return True
    wanted = _take_apart(pattern)
    if wanted is None or wanted[0] != found[0]:
        return False
    same_host = wanted[1] == found[1] or _parts_match(wanted[1].split("."), found[1].split("."))
    return same_host and _path_matches(wanted[2], found[2])


def check_patterns(kind: str, patterns: list[str]) -> None:
    """Refuse a pattern that can never match what it is for. Raises: InvalidRequest."""
    for pattern in patterns:
        if pattern == "*":
            continue
        if kind == "allowed_email_sans" and "@" not in pattern:
            raise InvalidRequest(f'{kind}: expected addresses with "@", such as *@example.com')
        if kind == "allowed_uri_sans" and _take_apart(pattern) is None:
            raise InvalidRequest(f"{kind}: expected URIs, such as spiffe://example.org/ns/*")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host.rpartition(".")[2].isdigit()
    return True


def _parts_match(patterns: list[str], parts: list[str]) -> bool:
    return len(patterns) == len(parts) and all(
        part and glob(pattern, part) for pattern, part in zip(patterns, parts, strict=True)
    )


def _path_matches(pattern: str, path: str) -> bool:
    wanted, found = pattern.split("/"), path.split("/")
    if wanted[-1] == "*" and len(found) > len(wanted):
        found = [*found[: len(wanted) - 1], "/".join(found[len(wanted) - 1 :])]
    if len(wanted) != len(found):
        return False
    return all(glob(one, other) for one, other in zip(wanted, found, strict=True)) and (
        wanted[-1] != "*" or found[-1] != ""
    )


def _take_apart(uri: str) -> tuple[str, str, str] | None:
    """Return scheme, authority (both in lower case) and the rest; of a URI without authority, all behind the scheme."""
    scheme, colon, rest = uri.partition(":")
    if not colon or not _SCHEME.fullmatch(scheme.lower()):
        return None
    if not rest.startswith("//"):
        return scheme.lower(), "", rest
    authority, slash, path = rest[2:].partition("/")
    return scheme.lower(), authority.lower(), slash + path


def _sound(scheme: str, authority: str, path: str) -> bool:
    """Tell whether a certificate's URI is one that means the same to everyone. SPIFFE's own rules hold for its scheme."""
    if not (authority + path).isprintable() or " " in path or "@" in authority or "?" in authority:
        return False
    segments = path.split("/")[1:] if path else []
    if scheme == "spiffe":
        return bool(_HOST.fullmatch(authority)) and all(
            _SPIFFE_SEGMENT.fullmatch(segment) and segment not in (".", "..") for segment in segments
        )
    return not any(segment in (".", "..") for segment in segments)
