"""A look at a tenant's file for operators and support: shape, counts and soundness, never a value."""

from contextlib import closing
from pathlib import Path
from typing import Any

from .reading import last_revision
from .schema import connect


def inspect(file: Path) -> dict[str, Any]:
    """Describe a store's file without changing it; it may be in use. ``changes`` counts the commits that the feed holds.

    Example: ``{"format": "2", "tenant": "root", "revision": 7, "entries": 3, "value_bytes": 412, "changes": 5,
    "file_bytes": 24576, "sound": True, "schema": "CREATE TABLE ..."}``. Raises: sqlite3.Error.
    """
    # Here and not above: it takes a tenth of a second that no server start should pay for.
    from sqlite_utils import Database

    with closing(connect(file, read_only=True)) as connection:
        database = Database(connection)
        header = {row["name"]: row["value"] for row in database["header"].rows}
        (value_bytes,) = connection.execute("SELECT coalesce(sum(length(value)), 0) FROM entries").fetchone()
        (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        return {
            **header,
            "revision": last_revision(connection),
            "entries": database["entries"].count,
            "value_bytes": value_bytes,
            "changes": database["changes"].count,
            "file_bytes": file.stat().st_size,
            "sound": verdict == "ok",
            "schema": database.schema,
        }
