import sqlite3
from contextlib import closing

import pytest

from broker.plugin.errors import Sealed, Tampered
from broker.plugin.storage import Batch
from broker.storage import TransactionConflict
from broker.storage.cache import ENTRY_OVERHEAD_BYTES, Entry, PlainCache, absent


async def read(tenant, path):
    return await (await tenant.begin()).get(path)


async def write(tenant, path, value):
    transaction = await tenant.begin()
    transaction.put(path, value) if value is not None else transaction.delete(path)
    await transaction.commit()


@pytest.fixture
def reads(store, monkeypatch):
    """The paths that are read from the store."""
    paths, get = [], store.get

    async def noted(path):
        paths.append(path)
        return await get(path)

    monkeypatch.setattr(store, "get", noted)
    return paths


async def test_what_was_read_or_written_is_not_read_again_presence_or_absence(tenant, reads):
    await write(tenant, "a", b"1")
    for _ in range(3):
        assert await read(tenant, "a") == b"1"
        assert await read(tenant, "missing") is None
    assert reads == ["missing"]


async def test_only_what_another_worker_changed_is_read_again(tenant, worker, reads):
    await write(tenant, "a", b"1")
    await write(tenant, "b", b"1")
    await write(worker(), "a", b"2")
    assert await read(tenant, "a") == b"2"
    assert await read(tenant, "b") == b"1"
    assert reads == ["a"]


async def test_a_write_and_a_deletion_by_another_worker_are_seen_at_once(tenant, worker):
    other = worker()
    for value in (b"1", None, b"2", b"3", None):
        await write(other, "a", value)
        assert await read(tenant, "a") == value
        assert await read(other, "a") == value


async def test_a_feed_that_no_longer_reaches_back_drops_everything(tenant, worker, store, signal):
    await write(tenant, "a", b"1")
    assert await read(tenant, "a") == b"1"
    await write(worker(), "a", b"2")
    for _ in range(10):
        await store.commit([Batch({f"n/{number}": b"x"}) for number in range(500)])
    assert (await store.changes(tenant.applied)).paths is None
    assert await read(tenant, "a") == b"2"


async def test_a_commit_that_nobody_announced_is_found_by_polling(tenant, store, codec):
    await write(tenant, "a", b"1")
    await tenant.poll()
    assert not await tenant.poll()
    await store.commit([Batch({"a": codec.seal("a", b"2")})])
    assert await tenant.poll()
    assert await read(tenant, "a") == b"2"


async def test_a_read_overtaken_by_news_is_answered_but_not_cached(tenant, worker, store, monkeypatch):
    await write(worker(), "a", b"old")
    transaction, get = await tenant.begin(), store.get

    async def slow(path):
        stored = await get(path)
        monkeypatch.undo()
        await write(worker(), "a", b"new")
        await tenant.begin()
        return stored

    monkeypatch.setattr(store, "get", slow)
    assert await transaction.get("a") == b"old"
    assert not await transaction.validate()
    assert await read(tenant, "a") == b"new"


async def test_an_own_commit_overtaken_by_news_of_a_later_one_is_not_cached(
    tenant, worker, store, monkeypatch
):
    await write(tenant, "a", b"old")
    commit = store.commit_next

    async def slow(take):
        outcomes = await commit(take)
        monkeypatch.undo()
        await write(worker(), "a", b"later")
        await tenant.begin()
        return outcomes

    monkeypatch.setattr(store, "commit_next", slow)
    await write(tenant, "a", b"earlier")
    assert await read(tenant, "a") == b"later"


async def test_a_conflict_with_what_nobody_announced_does_not_repeat_itself(tenant, store, codec):
    await write(tenant, "a", b"1")
    await read(tenant, "a")
    await store.commit([Batch({"a": codec.seal("a", b"2")})])
    transaction = await tenant.begin()
    assert await transaction.get("a") == b"1"
    transaction.put("b", b"x")
    with pytest.raises(TransactionConflict):
        await transaction.commit()
    await transaction.reset()
    assert await transaction.get("a") == b"2"


async def test_forgetting_leaves_no_plaintext_not_even_of_a_read_under_way(tenant, store, monkeypatch):
    await write(tenant, "a", b"1")
    await write(tenant, "b", b"1")
    tenant.forget()
    assert not tenant.cache.entries
    assert tenant.cache.used_bytes == 0
    get = store.get

    async def interrupted(path):
        stored = await get(path)
        tenant.forget()
        return stored

    monkeypatch.setattr(store, "get", interrupted)
    await read(tenant, "a")
    assert not tenant.cache.entries


async def test_without_a_key_nothing_is_read(worker, store):
    class SealedCodec:
        def seal(self, path, plaintext):
            raise Sealed

        def open(self, path, sealed):
            raise Sealed

    await write(worker(), "a", b"1")
    tenant = worker(codec=SealedCodec())
    with pytest.raises(Sealed):
        await read(tenant, "a")
    with pytest.raises(Sealed):
        await write(tenant, "b", b"1")
    assert not tenant.cache.entries


async def test_a_flipped_bit_fails_that_entry_by_name_and_no_other(tenant, store):
    await write(tenant, "good", b"1")
    await write(tenant, "bad", b"1")
    tenant.forget()
    with closing(sqlite3.connect(store.file)) as connection, connection:
        (value,) = connection.execute("SELECT value FROM entries WHERE path = 'bad'").fetchone()
        connection.execute(
            "UPDATE entries SET value = ? WHERE path = 'bad'", (value[:-1] + bytes([value[-1] ^ 1]),)
        )
    for _ in range(2):
        with pytest.raises(Tampered, match="bad"):
            await read(tenant, "bad")
        assert await read(tenant, "good") == b"1"
    await write(tenant, "bad", b"2")
    assert await read(tenant, "bad") == b"2"


async def test_swapped_rows_do_not_open(tenant, store):
    await write(tenant, "a", b"1")
    await write(tenant, "b", b"2")
    tenant.forget()
    with closing(sqlite3.connect(store.file)) as connection, connection:
        connection.execute("UPDATE entries SET path = CASE path WHEN 'a' THEN 'c' ELSE 'a' END")
    for path in ("a", "c"):
        with pytest.raises(Tampered, match=path):
            await read(tenant, path)


async def test_the_store_sees_no_plaintext(tenant, backend, store):
    canary = b"canary-0123456789"
    await write(tenant, "a", canary)
    await write(tenant, "a", canary + b"!")
    files = list(store.file.parent.rglob("*"))
    assert any(file.name.endswith("-wal") for file in files)
    assert not any(canary in file.read_bytes() for file in files if file.is_file())


def entry(size, revision=1):
    return Entry(b"x" * size, revision, revision)


def test_the_cache_stays_within_its_budget_and_the_longest_unused_go_first():
    cache = PlainCache(3 * (ENTRY_OVERHEAD_BYTES + 101))
    for name in "abc":
        cache.remember(name, entry(100))
    cache.entries.move_to_end("a")
    cache.remember("d", entry(100))
    assert list(cache.entries) == ["c", "a", "d"]
    assert cache.used_bytes == 3 * (ENTRY_OVERHEAD_BYTES + 101)


def test_what_is_larger_than_the_budget_is_not_kept():
    cache = PlainCache(1000)
    cache.remember("a", entry(10_000))
    assert not cache.entries
    assert cache.used_bytes == 0


def test_decoded_records_count_and_replacing_gives_the_room_back():
    cache = PlainCache(100_000)
    first = entry(100)
    cache.remember("a", first)
    plain = cache.used_bytes
    cache.charge_decoded("a", first)
    assert cache.used_bytes > plain
    cache.remember("a", entry(100, revision=2))
    assert cache.used_bytes == plain
    cache.charge_decoded("a", first)
    assert cache.used_bytes == plain
    cache.drop("a")
    cache.drop("a")
    assert cache.used_bytes == 0


def test_older_knowledge_does_not_replace_newer_and_older_news_does_not_drop_it():
    cache = PlainCache(100_000)
    cache.remember("a", entry(1, revision=5))
    cache.remember("a", absent(seen=4))
    cache.apply({"a": 5, "unknown": 9})
    assert cache.entries["a"].revision == 5
    cache.apply({"a": 6})
    assert "a" not in cache.entries


@pytest.fixture
def feed(store, monkeypatch):
    """The revisions behind which the change feed was read."""
    asked, changes = [], store.changes

    async def noted(since):
        asked.append(since)
        return await changes(since)

    monkeypatch.setattr(store, "changes", noted)
    return asked


async def test_ones_own_commits_are_no_news(tenant, feed):
    await read(tenant, "a")
    for value in (b"1", b"2", b"3"):
        await write(tenant, "a", value)
        assert await read(tenant, "a") == value
    assert feed == []


async def test_anothers_commit_before_or_after_ones_own_is_news(tenant, worker, feed):
    other = worker()
    await read(tenant, "a")
    await write(other, "a", b"theirs")
    await write(tenant, "b", b"ours")  # hears of theirs as it begins
    assert await read(tenant, "a") == b"theirs"
    transaction = await tenant.begin()
    transaction.put("b", b"ours again")
    await write(other, "a", b"between")
    await transaction.commit()
    assert await read(tenant, "a") == b"between"
    assert len(feed) >= 2


async def test_a_commit_that_nobody_announced_yet_is_heard_of_when_it_is(tenant, store, signal):
    assert await read(tenant, "a") is None
    await store.commit([Batch({"a": tenant.codec.seal("a", b"theirs")}, {})])
    await write(tenant, "b", b"ours")
    assert await read(tenant, "a") == b"theirs"
    assert await read(tenant, "b") == b"ours"
