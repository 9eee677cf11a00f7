"""The kit treats an engine as the server does."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import msgspec
import pytest

from broker.plugin import (
    Context,
    Engine,
    EngineType,
    InvalidRequest,
    Operation,
    Path,
    UnsupportedOperation,
    UnsupportedPath,
    Verb,
)
from broker.plugin.testing.engine import EngineHarness
from broker.plugin.testing.memory import MemoryStore, MemoryView


class Note(msgspec.Struct, frozen=True):
    v: int = 1
    text: str = ""


@dataclass(frozen=True)
class Named:
    name: str


@dataclass(frozen=True)
class Write:
    name: str
    text: str
    fail: bool = False


class Notes(Engine):
    async def known(self, ctx: Context, params: Mapping[str, str]) -> bool:
        return await ctx.storage.load(params["name"], Note) is not None

    async def read(self, ctx: Context, args: Named):
        note = await ctx.storage.load(args.name, Note)
        ctx.warn(f"asked at {ctx.now:g} by {ctx.caller.display_name}")
        may = await ctx.allowed(Verb.DELETE, args.name)
        return {"text": note.text if note else None, "may_delete": may, "random": ctx.random(4)}

    async def write(self, ctx: Context, args: Write):
        ctx.storage.save(args.name, Note(text=args.text))
        assert await ctx.storage.load(args.name, Note) == Note(text=args.text)
        if args.fail:
            raise InvalidRequest("as asked")
        return await ctx.blocking(len, args.text)


Notes.PATHS = (
    Path(
        "notes/{name}",
        "A note.",
        read=Operation(Named, dict, calls=Notes.read),
        create=Operation(Write, int, calls=Notes.write),
        update=Operation(Write, int, calls=Notes.write),
        exists=Notes.known,
    ),
)


@pytest.fixture
def kit():
    return EngineHarness(EngineType("notes", build=Notes), options={"colour": "blue"})


async def test_a_handler_that_returns_commits(kit):
    assert await kit.create("notes/a", text="hello") == 5
    assert (await kit.read("notes/a"))["text"] == "hello"
    assert kit.last.template == "notes/{name}"


async def test_a_handler_that_raises_leaves_nothing_behind(kit):
    await kit.update("notes/a", text="kept")
    before = dict(kit.store.entries)
    with pytest.raises(InvalidRequest, match="as asked"):
        await kit.update("notes/a", text="dropped", fail=True)
    assert kit.store.entries == before


async def test_create_insists_on_something_new(kit):
    await kit.create("notes/a", text="x")
    with pytest.raises(AssertionError, match="notes/a exists already"):
        await kit.create("notes/a", text="y")


async def test_the_table_and_the_binder_stand_before_the_handler(kit):
    with pytest.raises(UnsupportedPath):
        await kit.read("letters/a")
    with pytest.raises(UnsupportedOperation):
        await kit.delete("notes/a")
    with pytest.raises(InvalidRequest, match='missing required field "text"'):
        await kit.update("notes/a")
    with pytest.raises(InvalidRequest, match='unknown field "colour"'):
        await kit.update("notes/a", text="x", colour="red")


async def test_the_clock_the_caller_and_what_is_allowed_are_in_the_tests_hands(kit):
    kit.clock.now = 5
    kit.clock.advance(timedelta(minutes=1))
    kit.clock.advance(2)
    kit.act_as(display_name="eve")
    kit.denied.add((Verb.DELETE, "test/a"))
    assert (await kit.read("notes/a"))["may_delete"] is False
    assert kit.last.warnings == ["asked at 67 by eve"]
    assert kit.engine.mount.options == {"colour": "blue"}


async def test_randomness_repeats_from_run_to_run(kit):
    again = EngineHarness(Notes)
    assert (await kit.read("notes/a"))["random"] == (await again.read("notes/a"))["random"]


async def test_a_view_lists_in_the_order_of_utf8_and_pages():
    transaction = MemoryStore().transaction()
    view = MemoryView(transaction).view("mount/")
    for path in ("b", "a/x/1", "a/y", "a", "a-z", "\uffff", "😀"):
        view.put(path, b"1")
    assert await view.list() == ["a", "a-z", "a/", "b", "\uffff", "😀"]
    assert await view.scan() == ["a", "a-z", "a/x/1", "a/y", "b", "\uffff", "😀"]
    assert await view.list("a/", after="x", limit=5) == ["x/", "y"]
    assert await view.list(after="a", limit=2) == ["a-z", "a/"]
    assert await view.scan("a/", after="x/1") == ["y"]
    view.delete("b")
    assert await view.get("b") is None
    assert "b" not in await view.list()
    assert transaction.store.entries == {}


@pytest.mark.parametrize("path", ["", "folder/"])
def test_an_entry_needs_a_name(path):
    with pytest.raises(ValueError, match="an entry needs a name"):
        MemoryView(MemoryStore().transaction()).put(path, b"1")
