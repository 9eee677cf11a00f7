"""Every token has a drawer of its own."""

import pytest
from broker_plugins.engines.cubbyhole import CubbyholeEngine, drawer, empty_drawer, register_engines

from broker.plugin import InvalidRequest, NotFound, Tampered, UnsupportedOperation, Verb
from broker.plugin.testing.engine import EngineHarness
from broker.plugin.testing.memory import MemoryView


@pytest.fixture
def hole():
    kit = EngineHarness(CubbyholeEngine)
    kit.act_as(token_hash="a")
    return kit


async def test_what_one_token_keeps_no_other_token_sees(hole):
    await hole.create("x", secret=1)
    hole.act_as(token_hash="b", root=True)
    with pytest.raises(NotFound):
        await hole.read("x")
    with pytest.raises(NotFound):
        await hole.list("")
    await hole.delete("x")
    await hole.create("x", secret=2)
    hole.act_as(token_hash="a")
    assert await hole.read("x") == {"secret": 1}


async def test_the_whole_body_is_the_value(hole):
    body = {"path": "p", "ttl": "1h", "n": None, "": 10**300}
    await hole.call(Verb.UPDATE, "x", body)
    assert await hole.read("x") == body
    await hole.update("x", a=1)
    assert hole.last.verb is Verb.UPDATE
    assert await hole.read("x") == {"a": 1}
    await hole.delete("x")
    await hole.delete("x")
    assert hole.store.entries == {}


async def test_nothing_is_not_a_value_and_a_folder_not_a_name(hole):
    with pytest.raises(InvalidRequest, match="missing data fields"):
        await hole.update("x")
    for path in ("", "x/"):
        with pytest.raises(NotFound):
            await hole.read(path)
        with pytest.raises(InvalidRequest, match="cannot write to a path ending in '/'"):
            await hole.update(path, a=1)
        await hole.delete(path)
    assert hole.store.entries == {}


async def test_names_are_listed_folder_by_folder(hole):
    for name in ("f/a", "f", "f/c/d", "g"):
        await hole.update(name, z=1)
    assert await hole.list("") == {"keys": ["f", "f/", "g"]}
    assert await hole.list("f") == await hole.list("f/") == {"keys": ["a", "c/"]}
    for verb in (Verb.SCAN, Verb.PATCH):
        with pytest.raises(UnsupportedOperation):
            await hole.call(verb, "f")


async def test_a_token_that_is_not_stored_has_no_drawer(hole):
    hole.act_as(token_hash="")
    for call in (hole.read("x"), hole.update("x", a=1), hole.delete("x"), hole.list("")):
        with pytest.raises(InvalidRequest, match="only supported by 'service' type tokens"):
            await call
    assert hole.store.entries == {}


async def test_a_drawer_is_emptied_with_its_token_and_only_that_one(hole):
    for name in ("x", "f/y", "z"):
        await hole.update(name, a=1)
    hole.act_as(token_hash="ab")
    await hole.update("x", a=1)
    for limit, more in ((2, True), (2, False)):
        transaction = hole.store.transaction()
        assert await empty_drawer(MemoryView(transaction), "a", limit=limit) is more
        transaction.commit()
    assert list(hole.store.entries) == [f"{drawer('ab')}x"]


async def test_a_damaged_entry_is_deleted_or_written_over(hole):
    for name in ("x", "y"):
        await hole.update(name, a=1)
        hole.store.damaged.add(drawer(hole.caller.token_hash) + name)
        with pytest.raises(Tampered):
            await hole.read(name)
    await hole.delete("x")
    await hole.update("y", a=2)
    assert (await hole.list())["keys"] == ["y"]
    assert await hole.read("y") == {"a": 2}


def test_a_namespace_has_exactly_one():
    [offer] = register_engines()
    assert (offer.name, offer.singleton, offer.build) == ("cubbyhole", True, CubbyholeEngine)
