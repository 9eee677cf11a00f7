import asyncio
import multiprocessing
import os
import random
import resource
import sqlite3
import stat
import subprocess
import sys
import uuid
from contextlib import closing

import pytest
from broker_plugins.storage.sqlite import SQLITE, SqliteBackend
from broker_plugins.storage.sqlite.inspection import inspect
from broker_plugins.storage.sqlite.locks import FileLock
from broker_plugins.storage.sqlite.schema import PAGE_BYTES

from broker.plugin.errors import ConfigError, InsufficientStorage, Tampered, Unavailable
from broker.plugin.storage import Batch, Committed

FORK = multiprocessing.get_context("fork")


async def write(store, **values):
    (outcome,) = await store.commit([Batch(dict(values))])
    return outcome


def tenants(count):
    return [str(uuid.UUID(int=number)) for number in range(1, count + 1)]


# Settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "path is missing"),
        ({"path": ""}, "path is missing"),
        ({"path": 3}, "expected path to be a string"),
        ({"path": "x", "colour": "red"}, "unknown setting 'colour'"),
        ({"path": "x", "migrate": "perhaps"}, "migrate is true or false"),
        ({"path": "x", "max_open": "0"}, "1 or more"),
        ({"path": "x", "max_open": "٣"}, "1 or more"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_was_expected(settings, message):
    with pytest.raises(ConfigError, match=message):
        SQLITE.build(settings)


def test_building_touches_nothing(tmp_path):
    SQLITE.build({"path": str(tmp_path / "data")})
    assert list(tmp_path.iterdir()) == []


def test_the_inspection_library_is_not_loaded_by_a_server():
    code = "import sys, broker_plugins.storage.sqlite; print('sqlite_utils' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False"


# Files


async def test_files_are_for_this_user_only_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        backend = SqliteBackend(str(tmp_path / "data"))
        store = await backend.open("root", create=True)
        await write(store, a=b"1")
        held = await backend.try_lock("steward")
        found = [tmp_path / "data", *(tmp_path / "data").rglob("*")]
        assert {"root.db", "root.db-wal", "root.db-shm", "locks"} <= {file.name for file in found}
        for file in found:
            expected = 0o700 if file.is_dir() else 0o600
            assert stat.S_IMODE(file.stat().st_mode) == expected, file
        await held.release()
        await backend.close()
    finally:
        os.umask(before)


async def test_commits_are_synced_logged_ahead_and_erase_what_they_replace(store):
    await write(store, a=b"1")
    for connection in (store._reader, store._writer):
        pragmas = ("journal_mode", "synchronous", "secure_delete", "trusted_schema", "cell_size_check")
        values = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas]
        assert values == ["wal", 2, 1, 0, 1]


async def test_a_folder_that_cannot_be_made_is_a_sentence_not_a_traceback(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    backend = SqliteBackend(str(tmp_path / "file" / "data"))
    assert await backend.tenants() == []
    with pytest.raises(Unavailable, match="Not a directory"):
        await backend.open("root", create=True)
    with pytest.raises(Unavailable, match="the lock steward cannot be taken: Not a directory"):
        await backend.try_lock("steward")
    await backend.close()


async def test_a_half_made_store_does_not_count(backend, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / ".root.0123456789abcdef.new").write_bytes(b"half")
    (tmp_path / "data" / "root.db-wal").write_bytes(b"left over by a store that was dropped")
    assert await backend.tenants() == []
    store = await backend.open("root", create=True)
    assert await store.scan("") == []
    assert await write(store, a=b"1") == Committed(1)


async def test_the_log_of_a_dropped_store_is_not_replayed_into_the_next(backend, store):
    await write(store, a=b"old")
    log = store.file.with_name("root.db-wal")
    old = log.read_bytes()
    assert old
    await backend.drop("root")
    log.write_bytes(old)
    store = await backend.open("root", create=True)
    assert await store.scan("") == []
    assert await write(store, b=b"1") == Committed(1)


async def test_a_lock_whose_file_is_removed_while_waiting_is_taken_on_the_new_one(tmp_path):
    first, second, third = (FileLock(tmp_path / "x.lock") for _ in range(3))
    first.acquire()
    waiting = asyncio.create_task(asyncio.to_thread(second.acquire))
    await asyncio.sleep(0.05)
    (tmp_path / "x.lock").unlink()
    first.close()
    await waiting
    assert second.is_current()
    assert not third.try_acquire()
    second.close()
    assert third.try_acquire()
    third.close()


# What a file says of itself


async def test_a_file_under_another_tenants_name_is_refused(backend, store):
    (other,) = tenants(1)
    await store.close()
    os.rename(store.file, store.file.with_name(f"{other}.db"))
    with pytest.raises(Tampered, match=other):
        await backend.open(other)


async def test_inspection_counts_and_shows_the_schema(store):
    await write(store, a=b"12345")
    await write(store, b=b"678", a=b"1")
    found = inspect(store.file)
    assert found.pop("file_bytes") > 0
    assert "CREATE TABLE" in found.pop("schema")
    assert found == {
        "format": "2",
        "tenant": "root",
        "revision": 2,
        "entries": 2,
        "value_bytes": 4,
        "changes": 2,
        "sound": True,
    }


# Damage


async def test_a_damaged_file_fails_its_tenant_by_name_and_no_other(backend, store):
    (other,) = tenants(1)
    await write(await backend.open(other, create=True), a=b"1")
    await store.close()
    store.file.write_bytes(b"no database at all" * 1000)
    with pytest.raises(Tampered, match="the store of tenant root is damaged"):
        await backend.open("root")
    assert await (await backend.open(other)).scan("") == ["a"]


async def test_damaged_pages_fail_what_is_on_them_and_reads_elsewhere_go_on(backend, store):
    await store.commit([Batch({f"n/{number:05}": b"x" * 500 for number in range(1000)})])
    await backend.close()
    with open(store.file, "r+b") as file:
        file.seek(40 * PAGE_BYTES)
        file.write(random.Random(7).randbytes(2 * PAGE_BYTES))
    store = await backend.open("root")
    outcomes = await asyncio.gather(
        *(store.get(f"n/{number:05}") for number in range(1000)), return_exceptions=True
    )
    failed = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert all(isinstance(outcome, Tampered) for outcome in failed)
    assert 0 < len(failed) < 100


async def test_a_value_of_another_type_is_damage(store):
    await write(store, a=b"1")
    with closing(sqlite3.connect(store.file)) as connection, connection:
        connection.execute("DROP TABLE entries")
        connection.execute("CREATE TABLE entries (path TEXT PRIMARY KEY, value, revision)")
        connection.execute("INSERT INTO entries VALUES ('a', 'text', 1)")
    with pytest.raises(Tampered):
        await store.get("a")


# Being interrupted


async def test_a_cancelled_commit_leaves_no_lock_and_no_open_transaction(tmp_path, backend, store):
    await write(store, first=b"1")
    for size in (1, 1_000_000):
        commit = asyncio.create_task(store.commit([Batch({"cancelled": b"x" * size})]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        commit.cancel()
        with pytest.raises(asyncio.CancelledError):
            await commit
        other = SqliteBackend(str(tmp_path / "data"))
        assert isinstance(await write(await other.open("root"), other=b"1"), Committed)
        await other.close()
        assert isinstance(await write(store, after=b"1"), Committed)


async def test_closing_waits_for_the_commits_that_were_asked_for(backend, store):
    commits = [asyncio.create_task(write(store, **{f"n{number}": b"1"})) for number in range(5)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await store.close()
    assert all(isinstance(outcome, Committed) for outcome in await asyncio.gather(*commits))
    assert len(await (await backend.open("root")).scan("")) == 5


# A full disk


async def fill_up_and_recover(path):
    """Write until the file size limit refuses, then raise the limit; run in a child of its own."""
    backend = SqliteBackend(path)
    store = await backend.open("root", create=True)
    await write(store, before=b"1")
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, hard))
    acknowledged: list[str] = []
    outcome: object = None
    while not isinstance(outcome, Exception):
        name = f"{len(acknowledged):03}"
        (outcome,) = await asyncio.gather(
            store.commit([Batch({f"n/{name}": os.urandom(100_000)})]), return_exceptions=True
        )
        if not isinstance(outcome, Exception):
            acknowledged.append(name)
    assert isinstance(outcome, InsufficientStorage)
    assert acknowledged
    for _ in range(3):
        with pytest.raises(InsufficientStorage):
            await store.commit([Batch({"large": os.urandom(3_000_000)})])
        assert (await store.get("before")).value == b"1"
        assert await store.scan("n/") == acknowledged
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert isinstance(await write(store, after=b"1"), Committed)
    await backend.close()
    assert inspect(store.file)["sound"]
    assert await (await backend.open("root")).scan("") == [
        "after",
        "before",
        *(f"n/{n}" for n in acknowledged),
    ]
    await backend.close()


def test_a_full_disk_refuses_writes_serves_reads_and_recovers(tmp_path):
    child = FORK.Process(target=lambda: asyncio.run(fill_up_and_recover(str(tmp_path))))
    child.start()
    child.join()
    assert child.exitcode == 0


# Many tenants


def open_files(directory):
    links = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    return [
        os.readlink(link)
        for link in links
        if os.path.lexists(link) and os.readlink(link).startswith(directory)
    ]


async def test_many_tenants_share_few_open_files(tmp_path):
    backend = SqliteBackend(str(tmp_path), max_open=3)
    stores = [await backend.open(tenant, create=True) for tenant in tenants(12)]
    for number, store in enumerate(stores):
        await write(store, a=b"%d" % number)
    for _ in range(2):
        found = [(await store.get("a")).value for store in stores]
        assert found == [b"%d" % number for number in range(12)]
    await backend._blocking(lambda: None)
    databases = {name for name in open_files(str(tmp_path)) if name.endswith(".db")}
    assert len(databases) <= 4
    await asyncio.gather(*(write(store, a=b"again") for store in stores))
    assert {(await store.get("a")).value for store in stores} == {b"again"}
    await backend.close()
    assert open_files(str(tmp_path)) == []


# Cost


async def test_listing_costs_its_children_not_the_entries_below_them(store):
    await store.commit([Batch({f"folder/{a:02}/{b:04}": b"x" for a in range(10) for b in range(1000)})])
    steps = 0

    def count():
        nonlocal steps
        steps += 1
        return 0

    store._reader.set_progress_handler(count, 1)
    assert await store.list("") == ["folder/"]
    shallow, steps = steps, 0
    assert len(await store.list("folder/")) == 10
    store._reader.set_progress_handler(None, 0)
    assert shallow < 100
    assert steps < 500


# Forks


def test_a_store_open_before_a_fork_is_refused_after_it_and_a_closed_one_is_not(tmp_path):
    backend = SqliteBackend(str(tmp_path))

    async def use(name):
        store = await backend.open("root", create=True)
        await write(store, **{name: b"1"})
        return store

    async def use_and_close():
        await (await use("first")).close()

    def in_child(name):
        child = FORK.Process(target=lambda: asyncio.run(use(name)))
        child.start()
        child.join()
        return child.exitcode

    asyncio.run(use_and_close())
    assert in_child("child") == 0
    asyncio.run(use("parent"))
    assert in_child("too late") == 1

    async def look():
        return await (await backend.open("root")).scan("")

    assert asyncio.run(look()) == ["child", "first", "parent"]
    asyncio.run(backend.close())
