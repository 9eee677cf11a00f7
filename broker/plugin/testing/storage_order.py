"""Storage promises: order, listing, paging, the change feed."""

import pytest

from broker.plugin.storage import ABSENT, Batch, Store

from .storage_reach import Reached, fill, write


class OrderContract(Reached):
    """What is there is found, in order, and what changed is told."""

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
