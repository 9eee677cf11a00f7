import json
import sqlite3
from contextlib import closing

import pytest
from broker_plugins.storage.sqlite import SqliteBackend, schema
from broker_plugins.storage.sqlite.files import create_private
from broker_plugins.storage.sqlite.inspection import inspect
from hypothesis import given
from hypothesis import strategies as st

from broker.plugin.errors import ConfigError, InvalidRequest, Unavailable
from broker.plugin.storage import Batch, Committed

FORMAT_1 = """
CREATE TABLE header (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE entries (path TEXT PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE changes (revision INTEGER, path TEXT, PRIMARY KEY (revision, path)) STRICT, WITHOUT ROWID;
INSERT INTO header VALUES ('format', '1'), ('tenant', 'root');
"""
"""What the first version laid out."""

ENTRIES = [("a", b"5", 5), ("b/é", b"4", 4), ('c"\n😀', b"\0\xff", 4)]
FEED = [(3, "a"), (3, "gone"), (4, "b/é"), (4, 'c"\n😀'), (5, "a"), (5, "gone")]
"""Where revisions 1 and 2 are out of the feed already."""


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "data"


@pytest.fixture
async def backend(directory):
    backend = SqliteBackend(str(directory))
    yield backend
    await backend.close()


@pytest.fixture
async def willing(directory):
    backend = SqliteBackend(str(directory), migrate=True)
    yield backend
    await backend.close()


def lay_out_format_1(file, entries=ENTRIES, feed=FEED):
    """Write a file as the first version left it behind, with a page size of its own and its log folded in."""
    file.parent.mkdir(mode=0o700, exist_ok=True)
    create_private(file)
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA page_size=8192")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(f"BEGIN; {FORMAT_1} COMMIT;")
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO entries VALUES (?, ?, ?)", entries)
        connection.executemany("INSERT INTO changes VALUES (?, ?)", feed)
        connection.execute("COMMIT")


@pytest.fixture
def old_file(directory):
    file = directory / "root.db"
    lay_out_format_1(file)
    return file


def set_header(file, name, value):
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE header SET value = ? WHERE name = ?", (value, name))


def shape(file):
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        return set(connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL"))


async def image_of(backend):
    return [chunk async for chunk in backend.snapshot("root")]


async def chunks(image):
    for chunk in image:
        yield chunk


# In general


async def test_a_newer_format_is_refused_naming_both(backend):
    store = await backend.open("root", create=True)
    set_header(store.file, "format", "7")
    await store.close()
    with pytest.raises(ConfigError, match=r"format 7, written by a newer version; this one reads format 2"):
        await backend.open("root")


async def test_an_older_format_is_migrated_only_when_asked(backend, willing, old_file):
    before = inspect(old_file)
    with pytest.raises(ConfigError, match=r"format 1, this version needs format 2; .* migrate = true"):
        await backend.open("root")
    assert inspect(old_file) == before
    assert await (await willing.open("root")).scan("") == [path for path, *_ in ENTRIES]
    assert inspect(old_file)["format"] == "2"
    assert await (await backend.open("root")).scan("") == [path for path, *_ in ENTRIES]


async def test_a_migration_that_fails_leaves_the_old_format(willing, old_file, monkeypatch):
    def break_off(connection):
        schema._feed_by_commit(connection)
        raise sqlite3.OperationalError("broken off")

    before = inspect(old_file)
    monkeypatch.setattr(schema, "MIGRATIONS", {1: break_off})
    with pytest.raises(Unavailable):
        await willing.open("root")
    after = inspect(old_file)
    assert {**after, "file_bytes": 0} == {**before, "file_bytes": 0}


async def test_two_workers_that_migrate_at_the_same_time_do_it_once(willing, old_file, monkeypatch):
    other = SqliteBackend(str(old_file.parent), migrate=True)
    begin, done = schema._migrate, []

    def overtaken(connection, steps):
        monkeypatch.setattr(schema, "_migrate", begin)
        with closing(schema.connect(old_file)) as faster:
            schema.verify(faster, "root", migrate=True)
        done.append(inspect(old_file))
        begin(connection, steps)

    monkeypatch.setattr(schema, "_migrate", overtaken)
    assert (await (await other.open("root")).changes(2)).paths == {"a": 5, "gone": 5, "b/é": 4, 'c"\n😀': 4}
    await other.close()
    assert [found["format"] for found in done] == ["2"]


# From format 1: the feed by revision and path


async def test_entries_and_the_revision_outlive_the_migration(willing, old_file):
    store = await willing.open("root")
    for path, value, revision in ENTRIES:
        found = await store.get(path)
        assert (found.value, found.revision) == (value, revision)
    assert await store.revision() == 5
    assert await store.commit([Batch({"a": b"6"}, {"a": 5, "gone": 0})]) == [Committed(6)]


async def test_no_reader_loses_the_feed_by_a_migration(willing, old_file):
    store = await willing.open("root")
    all_of_it = {"b/é": 4, 'c"\n😀': 4, "a": 5, "gone": 5}
    told = [(await store.changes(since)).paths for since in range(7)]
    assert told == [None, None, all_of_it, all_of_it, {"a": 5, "gone": 5}, {}, None]
    await store.commit([Batch({"n": b"6"}), Batch({"n": b"7"})])
    assert (await store.changes(4)).paths == {"a": 5, "gone": 5, "n": 7}


async def test_a_migrated_file_has_the_shape_of_a_new_one_and_keeps_its_pages(willing, old_file, tmp_path):
    await willing.open("root")
    create_private(tmp_path / "new.db")
    schema.create(tmp_path / "new.db", "root")
    assert shape(old_file) == shape(tmp_path / "new.db")
    sizes = []
    for file in (old_file, tmp_path / "new.db"):
        with closing(schema.connect(file)) as connection:
            sizes += connection.execute("PRAGMA page_size").fetchone()
    assert sizes == [8192, 4096]
    assert inspect(old_file)["sound"]


async def test_an_empty_store_of_format_1_becomes_an_empty_one(willing, directory):
    lay_out_format_1(directory / "root.db", entries=[], feed=[])
    store = await willing.open("root")
    assert (await store.revision(), (await store.changes(0)).paths) == (0, {})
    assert await store.commit([Batch({"a": b"1"})]) == [Committed(1)]


paths = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=5)


@given(st.dictionaries(st.integers(1, 40), st.sets(paths, min_size=1, max_size=4)))
def test_any_feed_reads_the_same_behind_the_migration(touched):
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(FORMAT_1)
        rows = [(revision, path) for revision in sorted(touched) for path in touched[revision]]
        connection.executemany("INSERT INTO changes VALUES (?, ?)", rows)
        schema.verify(connection, "root", migrate=True)
        found = dict(connection.execute("SELECT revision, paths FROM changes"))
    told = {revision: [tuple(pair) for pair in json.loads(text)] for revision, text in found.items()}
    assert {revision: sorted(pairs) for revision, pairs in told.items()} == {
        revision: sorted((revision, path) for path in touched[revision]) for revision in touched
    }


# Snapshots


async def test_a_snapshot_of_format_1_is_restored_as_this_format_whatever_migrate_says(
    backend, old_file, directory
):
    """A restore is asked for by name, replaces the store anyway and leaves the snapshot as it is."""
    image = await image_of(backend)
    assert inspect(old_file)["format"] == "1"
    old_file.unlink()
    await backend.restore("root", chunks(image))
    assert inspect(old_file)["format"] == "2"
    store = await backend.open("root")
    assert await store.scan("") == [path for path, *_ in ENTRIES]
    assert (await store.changes(4)).paths == {"a": 5, "gone": 5}
    assert await store.commit([Batch({"a": b"6"}, {"a": 5})]) == [Committed(6)]
    assert [file.name for file in directory.glob(".*")] == []


async def test_a_restored_image_of_format_1_is_whole_without_any_log(backend, old_file):
    image = await image_of(backend)
    await backend.restore("root", chunks(image))
    names = {file.name for file in old_file.parent.iterdir() if file.is_file()}
    assert names == {"root.db"}
    assert inspect(old_file)["sound"]


async def test_a_snapshot_of_a_newer_format_changes_nothing(backend, directory):
    store = await backend.open("root", create=True)
    await store.commit([Batch({"kept": b"1"})])
    await backend.close()
    set_header(store.file, "format", "7")
    image = await image_of(backend)
    set_header(store.file, "format", "2")
    with pytest.raises(ConfigError, match="format 7"):
        await backend.restore("root", chunks(image))
    with pytest.raises(InvalidRequest):
        await backend.restore("root", chunks([b"nothing of the kind, but long enough to have a header"]))
    assert await (await backend.open("root")).scan("") == ["kept"]
    assert [file.name for file in directory.glob(".*")] == []
