"""Compare two answers after masking what no two servers agree on: ids, tokens, times, versions, nonces.

A mask keeps the kind of a value (``<token>``, ``<time>``, ``<uuid>``), so a missing or empty value, or one of the
wrong kind, still shows. Durations that tick are equal within a few seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.peer.client import Reply

# Headers that clients were seen to depend on.
COMPARED_HEADERS = ("content-type", "cache-control", "location", "retry-after", "allow", "www-authenticate")

PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "<uuid>"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"), "<time>"),
    (re.compile(r"\b(hvs|hvb|hvr|s|b|r)\.[A-Za-z0-9_-]{24,}(\.[A-Za-z0-9-]+)?"), "<token>"),
    (re.compile(r"\b([a-z_]+)_[0-9a-f]{8}\b"), r"\1_<hex>"),
    (re.compile(r"\b(OpenBao|Broker)'s\b"), "<product>'s"),
)
# Go's multierror wraps a single error in three lines; we send the error.
WRAPPED = re.compile(r"1 error occurred:\n\t\* (.*?)\n\n", re.DOTALL)
# Texts in errors that clients were seen to match on; other texts of a 400 are the server's own words.
MATCHED_BY_CLIENTS = re.compile(
    r"check-and-set|path is already in use|existing mount|permission denied|no handler for route|is sealed"
    r"|unsupported (path|operation)|token not found|bad token|invalid accessor|wrapping token is not valid"
    r"|already initialized|path ending in|relative paths|child policies|root or sudo|batch tokens|no .* in progress"
    r"|no backed-up keys|missing client token|lease is not renewable|invalid wrapping"
)
ZERO_TIME = "0001-01-01T00:00:00Z"

# Values whose name alone says that they are random or a server's own.
RANDOM_KEYS = {
    "accessor": "<accessor>",
    "build_date": "<build>",
    "cluster_id": "<id>",
    "cluster_name": "<name>",
    "commit_date": "<build>",
    "encoded_root_token": "<encoded>",
    "encoded_token": "<encoded>",
    "hash": "<hash>",
    "id": "<id>",
    "leader_address": "<address>",
    "otp": "<otp>",
    "plugin_version": "<version>",
    "running_plugin_version": "<version>",
    "running_sha256": "<sha>",
    "storage_type": "<storage>",
    "uuid": "<uuid>",
    "wrapped_accessor": "<accessor>",
    "version_string": "<version>",
}
# Vault's answers have them, OpenBao's do not (any more); clients of either are served.
VAULT_KEYS = {
    "absolute_rate_limit_exempt_paths",
    "performance_standby",
    "performance_standby_last_remote_wal",
}
# What ours says of a token's end besides: when it comes, and what made it earlier than asked for.
OWN_KEYS = {"expires_at", "capped_by"}
BUILD_KEYS = {"build_date", "commit_date", "plugin_version", "running_plugin_version", "running_sha256"}
RANDOM_LISTS = {"keys_base64", "pgp_fingerprints", "backup"}
EPOCH_KEYS = {"creation_time", "last_renewal_time", "server_time_utc"}
TICKING_KEYS = {"ttl", "lease_duration", "creation_ttl", "increment"}
TICK_SECONDS = 5


def masked(value: Any, key: str = "") -> Any:
    """The value with everything random replaced by what kind of thing it is."""
    if isinstance(value, dict):
        return {
            _mask_text(name): masked(item, name)
            for name, item in value.items()
            if name not in VAULT_KEYS | OWN_KEYS
        }
    if isinstance(value, list):
        if key in RANDOM_LISTS:
            return ["<random>"] * len(value)
        return [masked(item, key) for item in value]
    if isinstance(value, str):
        return RANDOM_KEYS[key] if key in RANDOM_KEYS and (value or key in BUILD_KEYS) else _mask_text(value)
    if key == "options" and value is None:
        return {}  # the peer has either, depending on how the mount was made
    if key == "encryptions" and type(value) is int:
        return "<count>"  # an estimate on both sides
    if isinstance(value, int) and not isinstance(value, bool) and key in EPOCH_KEYS and value > 1_000_000_000:
        return "<epoch>"
    return value


def _mask_text(text: str) -> str:
    if text == ZERO_TIME:
        return text
    text = WRAPPED.sub(r"\1", text)
    for pattern, kind in PATTERNS:
        text = pattern.sub(kind, text)
    return text


def differences(ours: Any, peer: Any, where: str = "", key: str = "") -> Iterator[str]:
    """One line for each place where two masked values differ."""
    if isinstance(ours, dict) and isinstance(peer, dict):
        for name in [*peer, *(name for name in ours if name not in peer)]:
            place = f"{where}.{name}" if where else name
            if name not in ours:
                yield f"{place}: missing, the peer has {peer[name]!r}"
            elif name not in peer:
                yield f"{place}: {ours[name]!r}, the peer has no such key"
            else:
                yield from differences(ours[name], peer[name], place, name)
    elif isinstance(ours, list) and isinstance(peer, list) and len(ours) == len(peer):
        for number, (mine, theirs) in enumerate(zip(ours, peer, strict=True)):
            yield from differences(mine, theirs, f"{where}.{number}", key)
    elif not _same(ours, peer, key):
        yield f"{where or 'body'}: {ours!r}, the peer has {peer!r}"


def _same(ours: Any, peer: Any, key: str) -> bool:
    if type(ours) is not type(peer):
        return False
    if key in TICKING_KEYS and isinstance(ours, int) and not isinstance(ours, bool):
        return abs(ours - peer) <= TICK_SECONDS
    return bool(ours == peer)


def own_words(ours: Any, peer: Any, status: int) -> bool:
    """Whether both are errors of a 400 whose text is the server's own: no client matches on it."""
    if not (isinstance(ours, dict) and isinstance(peer, dict) and ours.keys() == peer.keys() == {"errors"}):
        return False
    if status in {400, 405} and peer["errors"] == [] and ours["errors"]:
        return True
    if status != 400:
        return False
    texts = [body.get("errors") for body in (ours, peer)]
    if not all(
        isinstance(text, list) and text and all(isinstance(line, str) and line for line in text)
        for text in texts
    ):
        return False
    return not MATCHED_BY_CLIENTS.search(" ".join(texts[1]))


def _waits_alike(ours: Reply, peer: Reply) -> bool:
    """Whether both say when to come back, give or take a moment; ours says so with every 429."""
    mine, theirs = ours.headers.get("retry-after"), peer.headers.get("retry-after")
    if mine is None or theirs is None:
        return mine is None or ours.status == 429
    return abs(int(mine) - int(theirs)) <= TICK_SECONDS


def header_differences(ours: Reply, peer: Reply) -> Iterator[str]:
    """Headers that clients depend on; ``Date`` must only be there."""
    for name in COMPARED_HEADERS:
        if name == "retry-after" and _waits_alike(ours, peer):
            continue
        if name == "content-type" and not peer.raw and not ours.raw:
            continue  # the peer names a type for the body of a 204, which has none
        if ours.headers.get(name) != peer.headers.get(name):
            yield f"header {name}: {ours.headers.get(name)!r}, the peer has {peer.headers.get(name)!r}"
    if "date" not in ours.headers:
        yield "header date: missing"
