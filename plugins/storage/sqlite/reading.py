"""Listing with a loose index: below each folder the index is skipped, so the cost is the children, not the entries."""

import sqlite3

from broker.plugin.storage import Changes

AFTER_SLASH = "0"  # The character behind "/": PREFIX/ .. PREFIX0 are all the paths below PREFIX.

_FROM = "SELECT path FROM entries WHERE path >= ? ORDER BY path"
_FROM_TO = "SELECT path FROM entries WHERE path >= ? AND path < ? ORDER BY path"


def children(connection: sqlite3.Connection, prefix: str, after: str, limit: int | None) -> list[str]:
    """Return at most ``limit`` direct children below ``prefix`` behind ``after``, folders ending in ``/``."""
    found: list[str] = []
    start: str | None = _behind(prefix, after)
    skip = len(prefix)
    while start is not None and (limit is None or len(found) < limit):
        rows = _rows(connection, prefix, start)
        start = None
        for (path,) in rows:
            head, slash, _ = path[skip:].partition("/")
            found.append(head + slash)
            if slash:
                start = prefix + head + AFTER_SLASH
                break
            if len(found) == limit:
                break
        rows.close()
    return found


def paths(connection: sqlite3.Connection, prefix: str, after: str, limit: int | None) -> list[str]:
    """Return at most ``limit`` paths below ``prefix``, relative to it, behind ``after``."""
    start = prefix + after + "\0" if after else prefix
    rows = _rows(connection, prefix, start)
    skip = len(prefix)
    found = [path[skip:] for (path,) in (rows if limit is None else rows.fetchmany(limit))]
    rows.close()
    return found


def last_revision(connection: sqlite3.Connection) -> int:
    """Return the store's revision: the feed's last, for it is never emptied."""
    (revision,) = connection.execute("SELECT max(revision) FROM changes").fetchone()
    return revision or 0


def changes(connection: sqlite3.Connection, since: int) -> Changes:
    """Read the feed behind ``since`` in one consistent look."""
    connection.execute("BEGIN")
    try:
        low, high = connection.execute(
            "SELECT (SELECT min(revision) FROM changes), (SELECT max(revision) FROM changes)"
        ).fetchone()
        if high is None:
            return Changes(0, {} if since == 0 else None)
        if since == high:
            return Changes(high, {})
        if since > high or since < low - 1:
            # From a future that a restored snapshot does not know, or from before the feed begins.
            return Changes(high, None)
        rows = connection.execute(
            "SELECT path, revision FROM changes WHERE revision > ? ORDER BY revision", (since,)
        )
        return Changes(high, dict(rows.fetchall()))
    finally:
        connection.execute("COMMIT")


def _rows(connection: sqlite3.Connection, prefix: str, start: str) -> sqlite3.Cursor:
    if not prefix:
        return connection.execute(_FROM, (start,))
    return connection.execute(_FROM_TO, (start, prefix[:-1] + AFTER_SLASH))


def _behind(prefix: str, after: str) -> str:
    """Return where the children behind ``after`` start."""
    if not after:
        return prefix
    head, slash, _ = after.partition("/")
    return prefix + head + (AFTER_SLASH if slash else "\0")
