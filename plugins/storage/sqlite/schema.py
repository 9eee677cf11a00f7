"""The shape of a tenant's file, its format version, and the steps from older formats to this one.

``entries``  every path with its sealed value and the revision that wrote it, in path order.
``changes``  the bounded change feed: one row per commit, which is one revision or several that follow each other.
             ``revision`` is the last of them, and that of the last row is the store's; ``paths`` is a JSON list of
             ``[revision, path]``, in order: which revision touched which path.
``header``   ``format`` (a number) and ``tenant``.
"""

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

from broker.plugin.errors import ConfigError, Tampered

FORMAT = 2
"""The format this version writes. A number is never used again for another shape."""

CREATE = """
CREATE TABLE header (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE entries (path TEXT PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE changes (revision INTEGER PRIMARY KEY, paths TEXT NOT NULL) STRICT;
"""

PAGE_BYTES = 4096
"""Of a new file. Small pages, for a commit writes every page it touches twice: to the log and later to the file."""


def _feed_by_commit(connection: sqlite3.Connection) -> None:
    """Format 1 had a row for each revision and path. Each old revision becomes a commit of its own."""
    connection.execute("ALTER TABLE changes RENAME TO changes_1")
    connection.execute("CREATE TABLE changes (revision INTEGER PRIMARY KEY, paths TEXT NOT NULL) STRICT")
    connection.execute(
        "INSERT INTO changes SELECT revision, json_group_array(json_array(revision, path))"
        " FROM changes_1 GROUP BY revision ORDER BY revision"
    )
    connection.execute("DROP TABLE changes_1")


Step = Callable[[sqlite3.Connection], None]
MIGRATIONS: Mapping[int, Step] = {1: _feed_by_commit}
"""From a format to the next one; each step runs in the one transaction that also moves the number."""

BUSY_SECONDS = 10.0


def connect(file: Path, *, read_only: bool = False, synchronous: str = "FULL") -> sqlite3.Connection:
    """Open a connection to an existing file; statements outside BEGIN commit by themselves."""
    mode = "ro" if read_only else "rw"
    uri = f"{file.absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(
        uri,
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    try:
        connection.execute(f"PRAGMA synchronous={synchronous}")
        # The file is not trusted: no SQL hidden in its schema runs, and damaged pages are noticed.
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("PRAGMA cell_size_check=ON")
        connection.execute("PRAGMA secure_delete=ON")
        connection.execute("PRAGMA temp_store=MEMORY")
    except BaseException:
        connection.close()
        raise
    return connection


def create(file: Path, tenant: str) -> None:
    """Lay out an empty store in an existing empty file, complete on return."""
    connection = sqlite3.connect(file, isolation_level=None)
    try:
        connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(f"BEGIN; {CREATE} COMMIT;")
        rows = [("format", str(FORMAT)), ("tenant", tenant)]
        connection.executemany("INSERT INTO header VALUES (?, ?)", rows)
    finally:
        connection.close()


def verify(
    connection: sqlite3.Connection, tenant: str, *, migrate: bool, steps: Mapping[int, Step] | None = None
) -> None:
    """Make sure that the file is this tenant's and of our format.

    Raises: ConfigError naming both versions if it is newer, or older and ``migrate`` is off; Tampered if it is
    another tenant's.
    """
    header = dict(connection.execute("SELECT name, value FROM header").fetchall())
    found = header.get("format", "")
    if header.get("tenant") != tenant or not (found.isascii() and found.isdigit()):
        raise Tampered(f"the store of tenant {tenant} is damaged: its header belongs to another store")
    version = int(found)
    if version > FORMAT:
        raise ConfigError(
            f"the store of tenant {tenant} has format {version}, written by a newer version; this one reads format {FORMAT}"
        )
    if version < FORMAT:
        if not migrate:
            raise ConfigError(
                f"the store of tenant {tenant} has format {version}, this version needs format {FORMAT};"
                " back it up, then set migrate = true in the storage stanza"
            )
        _migrate(connection, MIGRATIONS if steps is None else steps)


def _migrate(connection: sqlite3.Connection, steps: Mapping[int, Step]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Read again under the lock: another worker may have been faster.
        (found,) = connection.execute("SELECT value FROM header WHERE name = 'format'").fetchone()
        for version in range(int(found), FORMAT):
            steps[version](connection)
        connection.execute("UPDATE header SET value = ? WHERE name = 'format'", (str(FORMAT),))
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
