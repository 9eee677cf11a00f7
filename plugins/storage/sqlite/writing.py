"""Applying a group of batches as one SQLite transaction, in few statements whatever the group's size.

Each statement costs a turn at the interpreter's lock while the event loop is busy, so the preconditions are read
by one statement, judged in Python, and the outcome is written by a handful.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence

from broker.plugin.errors import InvalidRequest
from broker.plugin.storage import ABSENT, Batch, Committed, Outcomes, Rejected

from .reading import last_revision

FEED_REVISIONS = 4096
"""How many revisions the change feed reaches back at least."""

_CHUNK = 64
_LOOK = """
SELECT json_group_array(json_array(path, revision)) FROM entries WHERE path IN (SELECT value FROM json_each(?))
"""
_DELETE = "DELETE FROM entries WHERE path IN (SELECT value FROM json_each(?))"
_FEED = """
INSERT INTO changes (revision, path)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?)
"""
_PRUNE = "DELETE FROM changes WHERE revision <= ?"


class Group:
    """Judges batches one after the other, each seeing what those before it would leave behind."""

    def __init__(self, revision: int, present: Mapping[str, int]) -> None:
        self.revision = revision
        self.writes: dict[str, tuple[bytes | None, int]] = {}
        self.feed: list[tuple[int, str]] = []
        self._revisions = dict(present)

    def judge(self, batch: Batch) -> Committed | Rejected:
        """Accept a batch and remember its writes, or name the paths that stand against it."""
        moved = tuple(
            path for path, expected in batch.expects.items() if self._revisions.get(path, ABSENT) != expected
        )
        if moved:
            return Rejected(moved)
        if not batch.writes:
            return Committed(self.revision)
        self.revision += 1
        for path, value in batch.writes.items():
            self.writes[path] = (value, self.revision)
            self._revisions[path] = ABSENT if value is None else self.revision
            self.feed.append((self.revision, path))
        return Committed(self.revision)


def apply(connection: sqlite3.Connection, batches: Sequence[Batch]) -> Outcomes:
    """Run the batches inside the transaction that is open on ``connection``; the caller commits it."""
    for batch in batches:
        for path in batch.writes:
            _check(path)
    start = last_revision(connection)
    expected = {path for batch in batches for path in batch.expects}
    group = Group(start, _present(connection, expected))
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


def _present(connection: sqlite3.Connection, paths: set[str]) -> dict[str, int]:
    if not paths:
        return {}
    (text,) = connection.execute(_LOOK, (json.dumps(list(paths)),)).fetchone()
    return dict(json.loads(text))


def _write(connection: sqlite3.Connection, group: Group) -> None:
    rows = [(path, value, revision) for path, (value, revision) in group.writes.items() if value is not None]
    for chunk in _chunks(rows):
        places = ", ".join(["(?, ?, ?)"] * len(chunk))
        connection.execute(
            f"INSERT OR REPLACE INTO entries (path, value, revision) VALUES {places}",  # noqa: S608 (places only)
            [item for row in chunk for item in row],
        )
    gone = [path for path, (value, _) in group.writes.items() if value is None]
    if gone:
        connection.execute(_DELETE, (json.dumps(gone),))
    connection.execute(_FEED, (json.dumps(group.feed),))


def _chunks(rows: list[tuple[str, bytes, int]]) -> Iterator[list[tuple[str, bytes, int]]]:
    # Whole chunks, then powers of two, so that SQLite's statement cache meets the same few texts.
    size, at = _CHUNK, 0
    while at < len(rows):
        while size > len(rows) - at:
            size //= 2
        yield rows[at : at + size]
        at += size
