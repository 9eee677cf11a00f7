import asyncio
import sys

import pytest
from broker_plugins.storage.sqlite import SqliteBackend
from broker_plugins.storage.sqlite.locks import FileLock

from broker.plugin.errors import BrokerError, InsufficientStorage, Unavailable
from broker.plugin.storage import ABSENT, Batch, Committed, Rejected
from broker.storage import Writer


@pytest.fixture
def groups(store, monkeypatch):
    """The sizes of the groups that reach the store."""
    sizes, commit = [], store.commit_next

    async def counted(take):
        def counting():
            batches = take()
            sizes.append(len(batches))
            return batches

        return await commit(counting)

    monkeypatch.setattr(store, "commit_next", counted)
    return sizes


async def test_waiting_batches_share_commits(store, groups):
    writer = Writer()
    batches = [Batch({f"n/{number}": b"x"}) for number in range(100)]
    outcomes = await asyncio.gather(*(writer.submit(store, batch) for batch in batches))
    assert groups == [100]
    assert [outcome.revision for outcome in outcomes] == list(range(1, 101))


async def test_batches_that_arrive_during_a_commit_form_the_next_group(store, groups):
    writer = Writer()

    async def late(number):
        while not groups:  # until the first one is on its way
            await asyncio.sleep(0)
        return await writer.submit(store, Batch({f"late/{number}": b"x"}))

    await asyncio.gather(writer.submit(store, Batch({"first": b"x"})), *(late(number) for number in range(5)))
    assert groups == [1, 5]


async def test_those_who_come_in_the_next_turns_of_the_loop_join_the_group(store, groups):
    writer = Writer()

    async def later(turns):
        for _ in range(turns):
            await asyncio.sleep(0)
        return await writer.submit(store, Batch({f"after/{turns}": b"x"}))

    await asyncio.gather(*(later(turns) for turns in range(10)))
    assert groups == [10]


async def test_newcomers_without_end_do_not_keep_the_first_one_waiting(store, groups, monkeypatch):
    monkeypatch.setattr("broker.storage.writer.MAX_GROUP", 1_000_000)
    writer = Writer()
    first = asyncio.ensure_future(writer.submit(store, Batch({"first": b"x"})))
    others = []
    while not first.done():
        others.append(asyncio.ensure_future(writer.submit(store, Batch({f"n/{len(others)}": b"x"}))))
        await asyncio.sleep(0)
    await asyncio.gather(*others)
    assert len(groups) > 1


async def test_each_member_of_a_group_has_its_own_outcome(store):
    writer = Writer()
    first, second = await asyncio.gather(
        writer.submit(store, Batch({"n": b"1"}, {"n": ABSENT})),
        writer.submit(store, Batch({"n": b"2"}, {"n": ABSENT})),
    )
    assert first == Committed(1)
    assert second == Rejected(("n",))


async def test_a_failing_commit_fails_all_its_members_and_the_next_group_goes_on(store, monkeypatch):
    writer, commit = Writer(), store.commit_next

    async def full(take):
        assert len(take()) == 3
        raise InsufficientStorage

    monkeypatch.setattr(store, "commit_next", full)
    outcomes = await asyncio.gather(
        *(writer.submit(store, Batch({"n": b"1"})) for _ in range(3)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [InsufficientStorage] * 3
    monkeypatch.setattr(store, "commit_next", commit)
    assert await writer.submit(store, Batch({"n": b"1"})) == Committed(1)


async def test_a_store_that_cannot_even_begin_fails_who_waits_for_it(store, monkeypatch):
    async def gone(take):
        raise Unavailable("no store")

    monkeypatch.setattr(store, "commit_next", gone)
    writer = Writer()
    outcomes = await asyncio.gather(
        *(writer.submit(store, Batch({"n": b"1"})) for _ in range(3)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 3
    await writer.flush()


async def test_who_comes_while_another_process_holds_the_store_is_part_of_the_same_write(tmp_path):
    backend = SqliteBackend(str(tmp_path / "data"))
    store = await backend.open("root", create=True)
    await store.commit([Batch({"first": b"x"})])
    sizes, commit = [], store.commit_next
    waits = asyncio.Event()

    async def counted(take):
        def counting():
            batches = take()
            sizes.append(len(batches))
            return batches

        waits.set()
        return await commit(counting)

    store.commit_next = counted
    other = FileLock(store._lock._file)  # as another process would hold it
    other.acquire()
    writer = Writer()
    first = asyncio.create_task(writer.submit(store, Batch({"a": b"x"})))
    await waits.wait()
    later = [asyncio.create_task(writer.submit(store, Batch({f"n/{n}": b"x"}))) for n in range(5)]
    await asyncio.sleep(0)
    assert sizes == []
    other.unlock()
    outcomes = await asyncio.gather(first, *later)
    assert sizes == [6]
    assert [outcome.revision for outcome in outcomes] == [2, 3, 4, 5, 6, 7]
    other.close()
    await backend.close()


async def test_a_group_is_bounded(store, groups):
    writer = Writer()
    await asyncio.gather(*(writer.submit(store, Batch({f"n/{number}": b"x"})) for number in range(1200)))
    assert groups == [512, 512, 176]


class Witness:
    def __init__(self, log):
        self.log = log

    def landed(self, revision):
        self.log.append(("landed", revision))

    def announce(self, own):
        self.log.append("announced")


async def test_all_land_then_the_node_is_told_once_then_the_submitters_go_on(store):
    writer, log = Writer(), []

    async def submit(path):
        await writer.submit(store, Batch({path: b"x"}), Witness(log))
        log.append("answered")

    await asyncio.gather(submit("a"), submit("b"))
    assert log == [("landed", 1), ("landed", 2), "announced", "answered", "answered"]


async def test_a_cancelled_submitter_leaves_its_batch_and_everybody_else_alone(store):
    writer, log = Writer(), []
    gone = asyncio.create_task(writer.submit(store, Batch({"gone": b"x"}), Witness(log)))
    stays = asyncio.create_task(writer.submit(store, Batch({"stays": b"x"})))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == Committed(2)
    await writer.flush()
    assert log == [("landed", 1), "announced"]
    assert await store.scan("") == ["gone", "stays"]


async def test_an_unknown_fate_is_announced_so_that_everybody_looks(store):
    log = []
    with pytest.raises(BrokerError):
        await Writer().submit(store, Batch({"bad\0": b"x"}), Witness(log))
    assert log == ["announced"]


async def test_stores_do_not_wait_for_each_other(backend, store):
    other = await backend.open("00000000-0000-4000-8000-000000000001", create=True)
    writer = Writer()
    assert await asyncio.gather(
        writer.submit(store, Batch({"a": b"1"})), writer.submit(other, Batch({"a": b"1"}))
    ) == [Committed(1), Committed(1)]


async def test_a_busy_loop_does_not_starve_the_commit_of_its_turn():
    Writer()
    assert sys.getswitchinterval() <= 0.0005
