"""Listing with a loose index: below each folder the index is skipped, so the cost is the children, not the entries."""

import sqlite3

import msgspec

from broker.plugin.storage import Changes

AFTER_SLASH = "0"  # The character behind "/": PREFIX/ .. PREFIX0 are all the paths below PREFIX.

_FROM = "SELECT path FROM entries WHERE path >= ? ORDER BY path"
_FROM_TO = "SELECT path FROM entries WHERE path >= ? AND path < ? ORDER BY path"

# The rows behind ?1, before them the one of ?1 itself, if there is one, and in any case the last. Only what is behind
# ?1 is read: a commit's paths take pages of their own.
_FEED = """
SELECT revision, CASE WHEN revision > ?1 THEN paths END FROM changes
WHERE revision >= min(?1, (SELECT max(revision) FROM changes)) ORDER BY revision
"""
_PAIRS = msgspec.json.Decoder(list[tuple[int, str]])


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
    """Read the feed behind ``since``, in one consistent look as it is one statement.

    Raises: msgspec.DecodeError if the feed is damaged.
    """
    rows = connection.execute(_FEED, (since,)).fetchall()
    if not rows:
        return Changes(0, {} if since == 0 else None)
    high = rows[-1][0]
    if since == high:
        return Changes(high, {})
    if since > high:
        return Changes(high, None)  # from a future that a restored snapshot does not know
    if rows[0][0] == since:
        del rows[0]
    first = _PAIRS.decode(rows[0][1])
    if not first or first[0][0] > since + 1:
        return Changes(high, None)  # from before the feed begins
    commits = (first, *(_PAIRS.decode(text) for _, text in rows[1:]))
    return Changes(
        high, {path: revision for pairs in commits for revision, path in pairs if revision > since}
    )


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
