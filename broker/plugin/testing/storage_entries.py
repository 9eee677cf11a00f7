"""Storage promises: entries, revisions, atomicity, conflicts."""

import asyncio

import pytest

from broker.plugin.errors import BrokerError
from broker.plugin.storage import ABSENT, Batch, Committed, Rejected, Store

from .storage_reach import Reached, fill, write
from .storage_worker import increment

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


class EntriesContract(Reached):
    """What is written is there, whole or not at all."""

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

    async def test_what_a_batch_deletes_is_absent_for_the_next_of_its_group(self, store: Store) -> None:
        await fill(store, "n")
        batches = [Batch({"n": None}), Batch({"n": b"again"}, {"n": ABSENT})]
        assert all(isinstance(outcome, Committed) for outcome in await store.commit(batches))
        found = await store.get("n")
        assert found is not None
        assert found.value == b"again"

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
