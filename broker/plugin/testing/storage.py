"""The promises of a storage backend as tests. Subclass ``StoreContract`` and say how to reach an empty backend.

```python
class TestMyBackend(StoreContract):
    @pytest.fixture
    def reach(self, tmp_path):
        return Reach("my_plugin:BACKEND", {"path": str(tmp_path)})
```
Needs pytest and pytest-asyncio in auto mode. Some tests start a second process; one kills it.
"""

import asyncio
import json
import sys
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest

from broker.plugin.errors import BrokerError, NotFound
from broker.plugin.storage import ABSENT, Backend, Batch, Committed, Rejected, Store

from .storage_worker import increment, load

TENANT = "6f1d3f52-0000-4000-8000-0123456789ab"
ODD_NAMES = (
    'quote"',
    "back\\slash",
    "tab\t",
    "new\nline",
    "percent%_",
    "\x01",
    "é",
    "e\u0301",
    "日本",
    "😀",
    "\uffff",
)
LONG_TIME = 60.0


class Reach(NamedTuple):
    """How any process gets at the backend under test: ``module:attribute`` of its BackendType, and the settings."""

    plugin: str
    settings: Mapping[str, object]

    def build(self) -> Backend:
        """Build the backend in this process."""
        return load(self.plugin).build(self.settings)

    @asynccontextmanager
    async def elsewhere(self, *command: str) -> "AsyncIterator[asyncio.subprocess.Process]":
        """Run a command of ``storage_worker`` in another process; it is killed at the end."""
        pipe = asyncio.subprocess.PIPE
        start = (sys.executable, "-m", "broker.plugin.testing.storage_worker", self.plugin)
        process = await asyncio.create_subprocess_exec(
            *start, json.dumps(dict(self.settings)), *command, stdin=pipe, stdout=pipe
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


async def write(store: Store, writes: Mapping[str, bytes | None]) -> int:
    """Commit one unconditional batch; return its revision."""
    (outcome,) = await store.commit([Batch(dict(writes))])
    assert isinstance(outcome, Committed)
    return outcome.revision


async def fill(store: Store, *paths: str) -> int:
    """Write every path with its own name as its value."""
    return await write(store, {path: path.encode() for path in paths})


class StoreContract:
    """What every backend keeps. ``reach`` leads to an empty backend."""

    @pytest.fixture
    def reach(self) -> Reach:
        raise NotImplementedError("say how to reach the backend under test")

    @pytest.fixture
    async def backend(self, reach: Reach) -> AsyncIterator[Backend]:
        backend = reach.build()
        yield backend
        await backend.close()

    @pytest.fixture
    async def store(self, backend: Backend) -> Store:
        return await backend.open(TENANT, create=True)

    # Entries and revisions

    async def test_a_new_store_is_empty_at_revision_zero(self, store: Store) -> None:
        assert await store.revision() == 0
        assert await store.get("a") is None
        assert await store.list("") == await store.scan("") == []
        changes = await store.changes(0)
        assert (changes.revision, dict(changes.paths or {})) == (0, {})

    async def test_an_entry_comes_back_as_written_with_the_revision_that_wrote_it(self, store: Store) -> None:
        value = bytes(range(256)) * 3
        revision = await write(store, {"a/b": value, "empty": b""})
        for path, expected in (("a/b", value), ("empty", b"")):
            found = await store.get(path)
            assert found is not None
            assert (found.value, found.revision) == (expected, revision)
        assert await store.get("a") is None
        assert await store.get("a/") is None

    async def test_every_accepted_write_has_a_higher_revision_than_all_before(self, store: Store) -> None:
        revisions = [await fill(store, "a") for _ in range(5)]
        assert revisions == sorted(set(revisions))
        assert revisions[0] >= 1
        assert await store.revision() == revisions[-1]

    async def test_deleting_leaves_nothing_and_deleting_nothing_is_allowed(self, store: Store) -> None:
        await fill(store, "a", "b")
        await write(store, {"a": None, "never": None})
        assert await store.get("a") is None
        assert await store.scan("") == ["b"]

    async def test_a_large_value_comes_back(self, store: Store) -> None:
        value = bytes(range(256)) * 4 * 4096
        await write(store, {"large": value})
        found = await store.get("large")
        assert found is not None
        assert found.value == value

    @pytest.mark.parametrize("name", ODD_NAMES)
    async def test_any_text_is_a_name(self, store: Store, name: str) -> None:
        path = f"{name}/{name}"
        revision = await fill(store, path)
        found = await store.get(path)
        assert found is not None
        assert found.value == path.encode()
        assert await store.list("") == [f"{name}/"]
        assert await store.scan(f"{name}/") == [name]
        assert (await store.changes(0)).paths == {path: revision}
        assert await store.commit([Batch({path: None}, {path: ABSENT})]) == [Rejected((path,))]
        await write(store, {path: None})
        assert await store.scan("") == []

    # Atomicity and conflicts

    async def test_a_batch_whose_expectation_fails_writes_nothing(self, store: Store) -> None:
        revision = await fill(store, "a")
        batch = Batch({"a": b"new", "b": b"new"}, {"a": revision + 1, "b": ABSENT})
        assert await store.commit([batch]) == [Rejected(("a",))]
        assert await store.scan("") == ["a"]
        assert await store.revision() == revision

    async def test_expectations_of_presence_and_absence_hold(self, store: Store) -> None:
        revision = await fill(store, "a")
        (outcome,) = await store.commit([Batch({"b": b"1"}, {"a": revision, "b": ABSENT})])
        assert isinstance(outcome, Committed)
        (outcome,) = await store.commit([Batch({"c": b"1"}, {"b": ABSENT})])
        assert outcome == Rejected(("b",))

    async def test_a_deleted_and_rewritten_entry_is_another_one(self, store: Store) -> None:
        revision = await fill(store, "a")
        await write(store, {"a": None})
        await fill(store, "a")
        assert await store.commit([Batch({"a": b"x"}, {"a": revision})]) == [Rejected(("a",))]

    async def test_of_a_group_only_the_refused_ones_have_no_effect(self, store: Store) -> None:
        first, second, third = await store.commit(
            [
                Batch({"n": b"1"}, {"n": ABSENT}),
                Batch({"n": b"2", "x": b"2"}, {"n": ABSENT}),
                Batch({"y": b"3"}, {"x": ABSENT}),
            ]
        )
        assert isinstance(first, Committed)
        assert second == Rejected(("n",))
        assert isinstance(third, Committed)
        assert await store.scan("") == ["n", "y"]

    async def test_a_later_batch_of_a_group_overrides_an_earlier_one(self, store: Store) -> None:
        outcomes = await store.commit([Batch({"n": b"1", "m": b"1"}), Batch({"n": None, "m": b"2"})])
        last = outcomes[1]
        assert isinstance(last, Committed)
        assert await store.get("n") is None
        found = await store.get("m")
        assert found is not None
        assert (found.value, found.revision) == (b"2", last.revision)

    async def test_an_expectation_alone_is_judged_without_moving_the_store(self, store: Store) -> None:
        revision = await fill(store, "a")
        accepted, refused = await store.commit([Batch({}, {"a": revision}), Batch({}, {"a": ABSENT})])
        assert isinstance(accepted, Committed)
        assert refused == Rejected(("a",))
        assert await store.revision() == revision

    async def test_a_big_group_is_committed_whole(self, store: Store) -> None:
        batches = [Batch({f"n/{number:04}": b"%d" % number}) for number in range(700)]
        assert all(isinstance(one, Committed) for one in await store.commit(batches))
        assert len(await store.scan("n/")) == 700
        found = await store.get("n/0699")
        assert found is not None
        assert found.value == b"699"

    async def test_an_invalid_member_fails_its_group_without_effect_and_the_store_goes_on(
        self, store: Store
    ) -> None:
        for bad in ("bad\ud800", "bad\0", ""):
            for value in (b"1", None):
                with pytest.raises(BrokerError):
                    await store.commit([Batch({"good": b"1"}), Batch({bad: value})])
        assert await store.scan("") == []
        assert await store.revision() == 0
        await fill(store, "after")
        assert await store.scan("") == ["after"]

    async def test_concurrent_increments_lose_nothing(self, store: Store) -> None:
        await asyncio.gather(*(increment(store, "n") for _ in range(20)))
        found = await store.get("n")
        assert found is not None
        assert found.value == b"20"

    # Order, listing, paging

    async def test_paths_are_ordered_as_utf8_bytes(self, store: Store) -> None:
        names = ["B", "a", "a b", "a-", "a/x", "a0", "b", "é", "日", "\uffff", "😀"]
        await fill(store, *reversed(names))
        assert await store.scan("") == sorted(names, key=str.encode)
        assert await store.list("") == ["B", "a", "a b", "a-", "a/", "a0", "b", "é", "日", "\uffff", "😀"]

    async def test_list_shows_each_child_once_and_folders_with_a_slash(self, store: Store) -> None:
        await fill(store, "k/a", "k/a/1", "k/a/2/3", "k/b/1", "k/c", "kk", "k-")
        assert await store.list("k/") == ["a", "a/", "b/", "c"]
        assert await store.list("") == ["k-", "k/", "kk"]
        assert await store.list("k/a/") == ["1", "2/"]
        assert await store.list("none/") == []

    async def test_scan_is_recursive_and_relative(self, store: Store) -> None:
        await fill(store, "k/a", "k/a/1", "k/b/1", "kk")
        assert await store.scan("k/") == ["a", "a/1", "b/1"]
        assert await store.scan("") == ["k/a", "k/a/1", "k/b/1", "kk"]

    @pytest.mark.parametrize("page", [1, 2, 3, 100])
    async def test_pages_add_up_to_the_whole(self, store: Store, page: int) -> None:
        await fill(store, "p/a", "p/a/1", "p/a/2", "p/a-b", "p/b/1", "p/b/2", "p/c", "p/é/x", "q")
        for read in (store.list, store.scan):
            whole = await read("p/")
            pages: list[str] = []
            while names := await read("p/", after=pages[-1] if pages else "", limit=page):
                assert len(names) <= page
                pages += names
            assert pages == whole

    async def test_paging_continues_behind_a_name_that_is_gone(self, store: Store) -> None:
        await fill(store, "a", "c", "d/1")
        assert await store.list("", after="b") == await store.list("", after="b/") == ["c", "d/"]
        assert await store.scan("", after="b") == ["c", "d/1"]
        assert await store.list("", after="d/") == await store.list("", after="d/0") == []

    async def test_a_long_folder_is_listed_whole(self, store: Store) -> None:
        names = [f"{number:05}" for number in range(3000)]
        await write(store, {f"long/{name}": b"x" for name in names})
        assert await store.list("long/") == await store.scan("long/") == names
        assert await store.list("long/", after=names[9], limit=2500) == names[10:2510]
        assert await store.list("") == ["long/"]

    # Change feed

    async def test_changes_name_each_path_with_its_last_revision(self, store: Store) -> None:
        start = await fill(store, "a", "b")
        second = await fill(store, "a")
        third = await write(store, {"b": None})
        changes = await store.changes(start)
        assert (changes.revision, changes.paths) == (third, {"a": second, "b": third})
        assert (await store.changes(0)).paths == {"a": second, "b": third}
        assert (await store.changes(third)).paths == {}

    async def test_a_refused_batch_is_no_news(self, store: Store) -> None:
        revision = await fill(store, "a")
        await store.commit([Batch({"a": b"x"}, {"a": ABSENT})])
        assert (await store.changes(revision)).paths == {}

    async def test_a_reader_far_behind_is_told_everything_or_to_start_over(self, store: Store) -> None:
        await fill(store, "first")
        for start in range(0, 6000, 500):
            await store.commit([Batch({f"n/{number}": b"x"}) for number in range(start, start + 500)])
        changes = await store.changes(1)
        assert changes.revision == await store.revision()
        assert changes.paths is None or len(changes.paths) == 6000
        recent = await store.changes(changes.revision - 500)
        assert recent.paths is not None
        assert set(recent.paths) == {f"n/{number}" for number in range(5500, 6000)}

    async def test_a_reader_from_the_future_starts_over(self, store: Store) -> None:
        revision = await fill(store, "a")
        assert (await store.changes(revision + 10)).paths is None

    # Tenants

    async def test_tenants_are_apart(self, backend: Backend, store: Store) -> None:
        other = await backend.open(str(uuid.UUID(int=7)), create=True)
        await fill(store, "a")
        assert await other.get("a") is None
        assert await other.revision() == 0
        assert await backend.tenants() == sorted([TENANT, str(uuid.UUID(int=7))])

    async def test_opening_what_was_never_created_is_refused(self, backend: Backend) -> None:
        assert await backend.tenants() == []
        with pytest.raises(NotFound):
            await backend.open(TENANT)
        assert await backend.tenants() == []

    async def test_creating_again_opens_what_is_there(self, backend: Backend, store: Store) -> None:
        await fill(store, "a")
        assert await (await backend.open(TENANT, create=True)).scan("") == ["a"]

    @pytest.mark.parametrize("tenant", ["", "..", "Root", "../root", "root\n", "a/b", TENANT.upper()])
    async def test_a_tenant_is_root_or_a_uuid(self, backend: Backend, tenant: str) -> None:
        with pytest.raises(BrokerError):
            await backend.open(tenant, create=True)

    async def test_a_dropped_tenant_is_gone_and_comes_back_empty(
        self, backend: Backend, store: Store
    ) -> None:
        await fill(store, "a")
        await backend.drop(TENANT)
        await backend.drop(TENANT)
        assert await backend.tenants() == []
        with pytest.raises(NotFound):
            await backend.open(TENANT)
        again = await backend.open(TENANT, create=True)
        assert await again.scan("") == []
        assert await again.revision() == 0

    async def test_a_store_that_was_dropped_does_not_acknowledge_writes(
        self, reach: Reach, store: Store
    ) -> None:
        await fill(store, "a")
        other = reach.build()
        await other.drop(TENANT)
        await other.close()
        with pytest.raises(BrokerError):
            await fill(store, "b")

    async def test_everything_is_there_after_reopening(
        self, reach: Reach, store: Store, backend: Backend
    ) -> None:
        revision = await fill(store, "a", "b/c")
        await store.close()
        await store.close()
        again = await backend.open(TENANT)
        assert await again.scan("") == ["a", "b/c"]
        second = reach.build()
        try:
            assert await (await second.open(TENANT)).revision() == revision
        finally:
            await second.close()

    # Locks

    async def test_a_lock_has_one_holder(self, backend: Backend) -> None:
        first = await backend.try_lock("steward")
        assert first is not None
        assert first.held()
        assert await backend.try_lock("steward") is None
        other = await backend.try_lock("other")
        assert other is not None
        await other.release()
        await first.release()
        assert not first.held()
        second = await backend.try_lock("steward")
        assert second is not None
        await second.release()

    async def test_waiting_for_a_lock_ends_when_it_is_free(self, backend: Backend) -> None:
        held = await backend.try_lock("steward")
        assert held is not None

        async def wait() -> bool:
            async with backend.lock("steward") as is_held:
                return is_held()

        waiter = asyncio.create_task(wait())
        await asyncio.sleep(0.05)
        assert not waiter.done()
        await held.release()
        assert await asyncio.wait_for(waiter, LONG_TIME)

    async def test_a_lock_is_freed_when_its_holder_is_killed(self, reach: Reach, backend: Backend) -> None:
        async with reach.elsewhere("lock", "steward") as process:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"held\n"
            assert await backend.try_lock("steward") is None
            process.kill()
            await process.wait()

        async def acquire() -> bool:
            async with backend.lock("steward") as is_held:
                return is_held()

        assert await asyncio.wait_for(acquire(), LONG_TIME)

    # Snapshots

    async def test_a_snapshot_brings_back_exactly_what_was_there(
        self, backend: Backend, store: Store
    ) -> None:
        revision = await fill(store, "a", "b/c")
        image = [chunk async for chunk in backend.snapshot(TENANT)]
        await fill(store, "later")
        await write(store, {"a": None})
        await backend.restore(TENANT, _chunks(image))
        again = await backend.open(TENANT)
        assert await again.scan("") == ["a", "b/c"]
        found = await again.get("a")
        assert found is not None
        assert (found.value, found.revision) == (b"a", revision)
        assert await fill(again, "goes on") > revision

    async def test_a_snapshot_restores_a_dropped_tenant_from_any_chunks(
        self, backend: Backend, store: Store
    ) -> None:
        await fill(store, "a")
        image = b"".join([chunk async for chunk in backend.snapshot(TENANT)])
        await backend.drop(TENANT)
        await backend.restore(TENANT, _chunks([image[at : at + 777] for at in range(0, len(image), 777)]))
        assert await (await backend.open(TENANT)).scan("") == ["a"]

    async def test_a_damaged_or_foreign_snapshot_changes_nothing(
        self, backend: Backend, store: Store
    ) -> None:
        await fill(store, "a")
        image = b"".join([chunk async for chunk in backend.snapshot(TENANT)])
        await fill(store, "b")
        middle = len(image) // 2
        flipped = image[:middle] + bytes([image[middle] ^ 1]) + image[middle + 1 :]
        for bad in (
            b"",
            image[:10],
            image[:-1],
            image[:middle],
            flipped,
            image + b"x",
            b"not a snapshot" * 100,
        ):
            with pytest.raises(BrokerError):
                await backend.restore(TENANT, _chunks([bad]))
        with pytest.raises(BrokerError):
            await backend.restore("root", _chunks([image]))
        assert await (await backend.open(TENANT)).scan("") == ["a", "b"]
        assert await backend.tenants() == [TENANT]

    async def test_a_snapshot_is_of_one_moment_while_writes_go_on(
        self, backend: Backend, store: Store
    ) -> None:
        await write(store, {f"n/{number}": b"x" * 1000 for number in range(2000)})
        stop = asyncio.Event()

        async def keep_writing() -> None:
            number = 0
            while not stop.is_set():
                await write(store, {"left": b"%d" % number, "right": b"%d" % number})
                number += 1

        writer = asyncio.create_task(keep_writing())
        image = [chunk async for chunk in backend.snapshot(TENANT)]
        stop.set()
        await writer
        await backend.restore(TENANT, _chunks(image))
        again = await backend.open(TENANT)
        left, right = await again.get("left"), await again.get("right")
        assert (left.value if left else None) == (right.value if right else None)
        assert len(await again.scan("n/")) == 2000

    # Several processes

    async def test_two_processes_lose_no_increment(self, reach: Reach, store: Store) -> None:
        times = 50
        async with reach.elsewhere("count", TENANT, "n", str(times)) as process:
            for _ in range(times):
                await increment(store, "n")
            assert process.stdout is not None
            assert await process.stdout.readline() == b"done\n"
        found = await store.get("n")
        assert found is not None
        assert found.value == b"%d" % (2 * times)
        assert (await store.changes(0)).paths == {"n": found.revision}

    async def test_kill_9_loses_no_acknowledged_write_and_leaves_none_half_done(
        self, reach: Reach, backend: Backend, store: Store
    ) -> None:
        acknowledged: list[int] = []
        for enough in (3, 40, 150):
            await write(
                store, dict.fromkeys([f"{side}/{n}" for n in acknowledged for side in ("left", "right")])
            )
            acknowledged = await _write_and_kill(reach, enough)
            assert acknowledged[0] >= 0
            left, right = await store.scan("left/"), await store.scan("right/")
            assert left == right
            assert {str(number) for number in acknowledged} <= set(left)
            for number in left:
                found = await store.get(f"left/{number}")
                assert found is not None
                assert set(found.value.split()) == {number.encode()}
            acknowledged = [int(number) for number in left]


async def _write_and_kill(reach: Reach, enough: int) -> list[int]:
    """Let another process write, kill it in the middle, and return what it had acknowledged."""
    async with reach.elsewhere("write", TENANT) as process:
        assert process.stdout is not None
        lines = [await process.stdout.readline() for _ in range(enough)]
        process.kill()
        lines += (await process.stdout.read()).splitlines(keepends=True)
        await process.wait()
    return [int(line) for line in lines if line.endswith(b"\n")]


async def _chunks(chunks: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
