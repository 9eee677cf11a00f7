"""Applying a group of batches as one SQLite transaction, in few statements whatever the group's size.

Each statement costs a turn at the interpreter's lock while the event loop is busy, so the preconditions are read
by one statement, judged in Python, and the outcome is written by a handful.
"""

import sqlite3
from collections.abc import Iterator, Sequence

import msgspec

from broker.plugin.errors import InvalidRequest
from broker.plugin.storage import ABSENT, Batch, Committed, Outcomes, Rejected

FEED_REVISIONS = 4096
"""How many revisions the change feed reaches back at least."""

_CHUNK = 64
# The store's revision, and those of the paths asked for. A join, as an IN would sort the paths first.
_LOOK = """
SELECT (SELECT max(revision) FROM changes), json_group_object(entry.path, entry.revision)
FROM json_each(?) AS asked CROSS JOIN entries AS entry ON entry.path = asked.value
"""
_UPSERT = " ON CONFLICT (path) DO UPDATE SET value = excluded.value, revision = excluded.revision"
_DELETE = "DELETE FROM entries WHERE path IN (SELECT value FROM json_each(?))"
_FEED = "INSERT INTO changes (revision, paths) VALUES (?, ?)"
_PRUNE = "DELETE FROM changes WHERE revision <= ?"
_ENCODER = msgspec.json.Encoder()
_REVISIONS = msgspec.json.Decoder(dict[str, int])


class Group:
    """Judges batches one after the other, each seeing what those before it would leave behind."""

    def __init__(self, revision: int, present: dict[str, int]) -> None:
        self.revision = revision
        self.writes: dict[str, tuple[bytes | None, int]] = {}
        self.feed: list[tuple[int, str]] = []
        self._revisions = present

    def judge(self, batch: Batch) -> Committed | Rejected:
        """Accept a batch and remember its writes, or name the paths that stand against it."""
        now = self._revisions
        moved = [path for path, expected in batch.expects.items() if now.get(path, ABSENT) != expected]
        if moved:
            return Rejected(tuple(moved))
        if not batch.writes:
            return Committed(self.revision)
        self.revision += 1
        for path, value in batch.writes.items():
            self.writes[path] = (value, self.revision)
            now[path] = ABSENT if value is None else self.revision
            self.feed.append((self.revision, path))
        return Committed(self.revision)


def apply(connection: sqlite3.Connection, batches: Sequence[Batch]) -> Outcomes:
    """Run the batches inside the transaction that is open on ``connection``; the caller commits it."""
    for batch in batches:
        for path in batch.writes:
            _check(path)
    start, present = _look(connection, {path for batch in batches for path in batch.expects})
    group = Group(start, present)
    outcomes = [group.judge(batch) for batch in batches]
    if group.writes:
        _write(connection, group)
        if group.revision // 256 != start // 256:
            # Now and then, not each time: the rows are on other pages than the new ones.
            connection.execute(_PRUNE, (group.revision - FEED_REVISIONS,))
    return outcomes


def _check(path: str) -> None:
    """Refuse what SQLite's text and JSON functions would cut short or keep as broken text."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise InvalidRequest("a storage path is valid Unicode") from None
    if not path or "\0" in path:
        raise InvalidRequest("a storage path is not empty and holds no NUL")


def _look(connection: sqlite3.Connection, paths: set[str]) -> tuple[int, dict[str, int]]:
    """Return the store's revision and the revisions of those of the paths that hold something."""
    revision, text = connection.execute(_LOOK, (_json(list(paths)),)).fetchone()
    return revision or 0, _REVISIONS.decode(text)


def _write(connection: sqlite3.Connection, group: Group) -> None:
    rows = [(path, value, revision) for path, (value, revision) in group.writes.items() if value is not None]
    for chunk in _chunks(rows):
        places = ", ".join(["(?, ?, ?)"] * len(chunk))
        connection.execute(
            f"INSERT INTO entries (path, value, revision) VALUES {places}{_UPSERT}",  # noqa: S608 (places only)
            [item for row in chunk for item in row],
        )
    gone = [path for path, (value, _) in group.writes.items() if value is None]
    if gone:
        connection.execute(_DELETE, (_json(gone),))
    connection.execute(_FEED, (group.revision, _json(group.feed)))


def _json(value: object) -> str:
    try:
        return _ENCODER.encode(value).decode()
    except UnicodeEncodeError:
        raise InvalidRequest("a storage path is valid Unicode") from None


def _chunks(rows: list[tuple[str, bytes, int]]) -> Iterator[list[tuple[str, bytes, int]]]:
    # Whole chunks, then powers of two, so that SQLite's statement cache meets the same few texts.
    size, at = _CHUNK, 0
    while at < len(rows):
        while size > len(rows) - at:
            size //= 2
        yield rows[at : at + size]
        at += size
