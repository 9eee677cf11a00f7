import asyncio

import msgspec
import pytest

from broker.plugin.errors import InvalidRequest, Tampered, TooLarge
from broker.storage import TransactionConflict, Undecodable


class Point(msgspec.Struct, frozen=True):
    v: int = 1
    x: int = 0


class Word(msgspec.Struct, frozen=True):
    text: str
    v: int = 1


async def put(tenant, **values):
    transaction = await tenant.begin()
    for path, value in values.items():
        transaction.put(path.replace("__", "/"), value) if value is not None else transaction.delete(path)
    return await transaction.commit()


async def test_writes_are_seen_by_oneself_at_once_and_by_others_after_the_commit(tenant, worker):
    mine, other = await tenant.begin(), worker()
    mine.put("a", b"1")
    assert await mine.get("a") == b"1"
    assert await (await other.begin()).get("a") is None
    assert await (await tenant.begin()).get("a") is None
    revision = await mine.commit()
    assert revision == 1
    assert await (await other.begin()).get("a") == b"1"
    assert await (await tenant.begin()).get("a") == b"1"


async def test_a_transaction_that_wrote_nothing_has_no_revision(tenant):
    transaction = await tenant.begin()
    await transaction.get("a")
    assert not transaction.dirty
    assert await transaction.commit() is None


async def test_what_was_read_and_then_changed_by_another_conflicts_and_nothing_is_applied(tenant, worker):
    await put(tenant, a=b"1")
    mine = await tenant.begin()
    assert await mine.get("a") == b"1"
    await put(worker(), a=b"2")
    mine.put("b", b"1")
    with pytest.raises(TransactionConflict) as conflict:
        await mine.commit()
    assert conflict.value.paths == ("a",)
    after = await tenant.begin()
    assert (await after.get("a"), await after.get("b")) == (b"2", None)


async def test_absence_that_was_read_is_a_precondition_too(tenant, worker):
    mine = await tenant.begin()
    assert await mine.get("name") is None
    await put(worker(), name=b"theirs")
    mine.put("name", b"mine")
    with pytest.raises(TransactionConflict):
        await mine.commit()
    assert await (await tenant.begin()).get("name") == b"theirs"


async def test_a_blind_write_does_not_conflict(tenant, worker):
    mine = await tenant.begin()
    mine.put("a", b"mine")
    await put(worker(), a=b"theirs")
    await mine.commit()
    assert await (await tenant.begin()).get("a") == b"mine"


async def test_after_reset_the_handler_runs_again_on_the_latest_state(tenant, worker):
    await put(tenant, n=b"1")
    mine = await tenant.begin()
    await mine.get("n")
    await put(worker(), n=b"2")
    mine.put("n", b"x")
    with pytest.raises(TransactionConflict):
        await mine.commit()
    await mine.reset()
    assert not mine.dirty
    value = await mine.get("n")
    assert value == b"2"
    mine.put("n", b"3")
    await mine.commit()
    assert await (await worker().begin()).get("n") == b"3"


async def test_reads_are_repeatable_while_others_write(tenant):
    await put(tenant, a=b"1")
    mine = await tenant.begin()
    assert await mine.get("a") == b"1"
    await put(tenant, a=b"2")
    assert await mine.get("a") == b"1"


async def test_rollback_forgets_reads_writes_and_callbacks(tenant, worker):
    called = []
    mine = await tenant.begin()
    await mine.get("a")
    mine.put("b", b"1")
    mine.on_commit(lambda: called.append(1))
    mine.rollback()
    await put(worker(), a=b"1")
    assert await mine.commit() is None
    assert called == []
    assert mine.revision("a") is None


async def test_validate_tells_whether_the_reads_are_still_one_picture(tenant, worker):
    await put(tenant, a=b"1", b=b"1")
    mine, other = await tenant.begin(), worker()
    await mine.get("a")
    await mine.get("missing")
    assert await mine.validate()
    await put(other, b=b"2")
    assert await mine.validate()
    await put(other, missing=b"2")
    assert not await mine.validate()
    await mine.reset()
    assert await mine.get("missing") == b"2"
    assert await mine.validate()


async def test_records_load_as_they_were_saved(tenant):
    mine = await tenant.begin()
    mine.save("p", Point(x=3))
    assert await mine.load("p", Point) == Point(x=3)
    await mine.commit()
    first = await (await tenant.begin()).load("p", Point)
    assert first == Point(x=3)
    assert await (await tenant.begin()).load("p", Point) is first
    assert await (await tenant.begin()).load("missing", Point) is None
    assert msgspec.json.decode(await (await tenant.begin()).get("p")) == {"v": 1, "x": 3}


async def test_a_deleted_record_loads_as_none_before_and_after_the_commit(tenant):
    mine = await tenant.begin()
    mine.save("p", Point())
    await mine.commit()
    mine = await tenant.begin()
    mine.delete("p")
    assert await mine.load("p", Point) is None
    await mine.commit()
    assert await (await tenant.begin()).load("p", Point) is None


async def test_a_record_of_another_shape_is_refused_by_path_and_never_quoted(tenant):
    mine = await tenant.begin()
    mine.put("p", b'{"v": 1, "x": "hunter2"}')
    with pytest.raises(Undecodable, match="at p is not a readable Point") as refused:
        await mine.load("p", Point)
    assert "hunter2" not in repr(refused.value) + str(refused.value.__cause__)
    mine.save("w", Word("a"))
    await mine.commit()
    mine = await tenant.begin()
    for _ in range(2):
        assert (await mine.load("w", Word)).text == "a"
        assert await mine.load("w", Point) == Point()


async def test_revision_is_what_this_transaction_read(tenant):
    first = await put(tenant, a=b"1")
    mine = await tenant.begin()
    assert mine.revision("a") is None
    await mine.get("a")
    await mine.get("b")
    await put(tenant, a=b"2")
    assert mine.revision("a") == first
    assert mine.revision("b") == 0


async def test_callbacks_run_after_the_commit_and_a_broken_one_harms_nobody(tenant):
    seen, reported = [], []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
    mine = await tenant.begin()
    mine.put("a", b"1")
    mine.on_commit(lambda: 1 / 0)
    mine.on_commit(lambda: seen.append(tenant.cache.entries["a"].value))
    await mine.commit()
    assert seen == [b"1"]
    assert [type(error) for error in reported] == [ZeroDivisionError]


async def test_callbacks_do_not_run_when_the_commit_is_refused(tenant, worker):
    seen = []
    mine = await tenant.begin()
    await mine.get("a")
    await put(worker(), a=b"1")
    mine.put("a", b"2")
    mine.on_commit(lambda: seen.append(1))
    with pytest.raises(TransactionConflict):
        await mine.commit()
    assert seen == []


async def test_an_entry_over_the_limit_is_refused(worker):
    mine = await worker(max_entry_bytes=10).begin()
    mine.put("a", b"x" * 10)
    with pytest.raises(TooLarge, match="10 bytes"):
        mine.put("a", b"x" * 11)


@pytest.mark.parametrize("path", ["", "a/", "/", "a\0b", "\ud800"])
async def test_an_impossible_path_is_refused_before_it_can_fail_a_group(tenant, path):
    mine = await tenant.begin()
    with pytest.raises(InvalidRequest):
        mine.put(path, b"x")
    with pytest.raises(InvalidRequest):
        mine.delete(path)
    assert not mine.dirty


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
async def test_reading_an_impossible_path_is_refused_too(tenant, name):
    mine = await tenant.begin()
    for read in (mine.get(name), mine.load(name, Point), mine.list(f"{name}/"), mine.scan("", after=name)):
        with pytest.raises(InvalidRequest):
            await read
    for read in (mine.list("folder"), mine.scan("folder")):
        with pytest.raises(ValueError, match="slash"):
            await read


async def test_lists_show_own_writes_and_hide_own_deletions(tenant):
    await put(tenant, k__a=b"", k__f__1=b"", k__f__2=b"", k__g__1=b"", k__z=b"")
    mine = await tenant.begin()
    for path in ("k/a", "k/f/1", "k/g/1"):
        mine.delete(path)
    mine.put("k/b/c", b"")
    mine.put("elsewhere", b"")
    assert await mine.list("k/") == ["b/", "f/", "z"]
    assert await mine.list("k/", after="b/", limit=1) == ["f/"]
    assert await mine.scan("k/") == ["b/c", "f/2", "z"]
    assert await mine.scan("k/", limit=2) == ["b/c", "f/2"]
    assert await mine.list("") == ["elsewhere", "k/"]
    mine.rollback()
    mine.delete("k/a")
    mine.delete("k/g/1")
    assert await mine.list("k/", limit=2) == ["f/", "z"]
    assert await mine.list("k/", limit=1) == ["f/"]


async def test_a_view_reaches_only_below_its_prefix(tenant):
    mine = await tenant.begin()
    view = mine.view("mount/").view("x/")
    view.put("a/b", b"1")
    view.save("p", Point(x=1))
    assert view.prefix == "mount/x/"
    assert await mine.get("mount/x/a/b") == await view.get("a/b") == b"1"
    assert await view.load("p", Point) == Point(x=1)
    assert await view.list() == ["a/", "p"]
    assert await view.scan("a/") == ["b"]
    view.delete("a/b")
    assert await view.list() == ["p"]
    await mine.commit()
    fresh = (await tenant.begin()).view("mount/x/")
    await fresh.get("p")
    assert fresh.revision("p") == 1
    with pytest.raises(ValueError, match="slash"):
        mine.view("mount")


async def test_nothing_is_shown_in_a_repr(tenant):
    mine = await tenant.begin()
    mine.put("path", b"hunter2")
    await mine.commit()
    await mine.get("path")
    mine.put("path", b"hunter2")
    shown = [mine, tenant, mine.view("a/"), *mine._reads.values(), tenant.store]
    assert "hunter2" not in repr(shown)


async def test_a_mark_is_stored_like_anything_else_but_not_kept_in_memory(tenant, worker):
    transaction = await tenant.begin()
    assert await transaction.get("mark") is None
    transaction.mark("mark", b"1")
    transaction.put("kept", b"2")
    assert await transaction.get("mark") == b"1"
    await transaction.commit()
    assert "kept" in tenant.cache.entries
    assert "mark" not in tenant.cache.entries  # nor as absent, which it was found to be
    for other in (tenant, worker()):
        assert await (await other.begin()).get("mark") == b"1"
    await put(tenant, mark=b"3")
    assert await (await tenant.begin()).get("mark") == b"3"


async def test_whether_anything_below_a_prefix_was_written(tenant):
    transaction = await tenant.begin()
    transaction.put("a/b", b"1")
    assert transaction.writes_below("a/")
    assert not transaction.writes_below("b/")
    transaction.delete("b/c")
    assert transaction.writes_below("b/")


class Spoiling:
    """A codec that opens nothing at ``bad``, however new its keys are."""

    def __init__(self, codec):
        self.seal, self._open = codec.seal, codec.open

    def open(self, path, sealed):
        if path == "bad":
            raise Tampered(f"stored entry at {path!r} does not open")
        return self._open(path, sealed)


async def test_what_does_not_open_can_be_removed_unread(worker, codec):
    tenant = worker(codec=Spoiling(codec))
    await put(tenant, bad=b"1", good=b"1")
    tenant.forget()
    transaction = await tenant.begin()
    with pytest.raises(Tampered):
        await transaction.get("bad")
    await transaction.discard("bad")
    assert await transaction.get("bad") is None
    await transaction.discard("never")
    await transaction.commit()
    assert await (await tenant.begin()).scan("") == ["good"]


async def test_what_was_replaced_before_it_is_removed_unread_stays(worker, codec):
    tenant, other = worker(codec=Spoiling(codec)), worker()
    await put(tenant, bad=b"1")
    transaction = await tenant.begin()
    await transaction.discard("bad")
    await put(other, bad=b"2")
    with pytest.raises(TransactionConflict):
        await transaction.commit()
    assert await (await other.begin()).get("bad") == b"2"


async def test_an_entry_under_a_newer_key_opens_once_the_key_is_known(worker, codec):
    known = []

    class Late(Spoiling):
        def open(self, path, sealed):
            return codec.open(path, sealed) if known else super().open(path, sealed)

    async def renew():
        known.append(True)

    await put(worker(), bad=b"1")
    tenant = worker(codec=Late(codec), renew=renew)
    assert await (await tenant.begin()).get("bad") == b"1"
