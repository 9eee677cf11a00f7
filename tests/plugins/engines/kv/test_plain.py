"""KV version 1."""

import pytest
from broker_plugins.engines.kv import PlainEngine

from broker.plugin import InvalidRequest, NotFound, Response, Verb
from broker.plugin.context import Mount, MountConfig
from broker.plugin.testing.engine import EngineHarness


async def test_the_whole_body_is_the_value(plain):
    body = {"path": "p", "data": {"a": 1}, "limit": 3, "n": None, "": 10**300}
    await plain.call(Verb.UPDATE, "db/x", body)
    assert plain.last.verb is Verb.CREATE
    assert await plain.read("db/x") == Response(data=body, lease_duration=2764800)
    await plain.update("db/x", a=1)
    assert plain.last.verb is Verb.UPDATE
    assert (await plain.read("db/x")).data == {"a": 1}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ({"ttl": "1h"}, 3600),
        ({"ttl": 60}, 60),
        ({"ttl": "60"}, 60),
        ({"lease": "2m"}, 120),
        ({"lease": 30}, 30),
        ({"ttl": "1h", "lease": "1m"}, 3600),
        ({"ttl": "", "lease": "30s"}, 0),
        ({"ttl": None}, 0),
        ({"ttl": -5}, -5),
        ({"ttl": "bad"}, 2764800),
        ({"ttl": True}, 2764800),
        ({"ttl": 1.5}, 2764800),
        ({"ttl": ["1h"]}, 2764800),
        ({"ttl": 10**40}, 2764800),
        ({"other": 1}, 2764800),
    ],
)
async def test_ttl_in_the_value_tells_readers_how_long_to_rely_on_it(plain, value, seconds):
    await plain.call(Verb.UPDATE, "db", value)
    assert (await plain.read("db")).lease_duration == seconds


async def test_a_mount_may_set_its_own_time(plain):
    mount = Mount("kv/", "kv", "u", "a", config=MountConfig(default_lease_ttl=77))
    kit = EngineHarness(PlainEngine, mount=mount)
    await kit.update("db", a=1)
    assert (await kit.read("db")).lease_duration == 77


async def test_nothing_is_not_a_value_and_a_folder_not_a_name(plain):
    with pytest.raises(InvalidRequest, match="missing data fields"):
        await plain.update("db")
    for path in ("", "db/"):
        with pytest.raises(InvalidRequest, match="cannot write to a path ending in '/'"):
            await plain.update(path, a=1)
        with pytest.raises(NotFound):
            await plain.read(path)
        await plain.delete(path)
    assert plain.store.entries == {}


async def test_a_deleted_value_is_gone(plain):
    await plain.update("db", a=1)
    await plain.update("db/x", a=1)
    await plain.delete("db")
    await plain.delete("db")
    with pytest.raises(NotFound):
        await plain.read("db")
    assert await plain.list("") == {"keys": ["db/"]}


async def test_names_are_listed_and_scanned(plain):
    for name in ("f/a", "f", "f/c/d", "g"):
        await plain.update(name, z=1)
    assert await plain.list("") == {"keys": ["f", "f/", "g"]}
    assert await plain.list("f") == await plain.list("f/") == {"keys": ["a", "c/"]}
    assert await plain.list("", after="f", limit=1) == {"keys": ["f/"]}
    assert await plain.scan("") == {"keys": ["f", "f/a", "f/c/d", "g"]}
    assert await plain.scan("g") == {}
    with pytest.raises(NotFound):
        await plain.list("g")
