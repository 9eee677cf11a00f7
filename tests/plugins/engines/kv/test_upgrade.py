"""From version 1 to version 2."""

import pytest
from broker_plugins.engines.kv import VersionedEngine
from broker_plugins.engines.kv.errors import Upgrading
from broker_plugins.engines.kv.upgrade import upgrade_batch

from broker.plugin import Verb
from broker.plugin.testing.engine import EngineHarness
from broker.plugin.testing.memory import MemoryView


@pytest.fixture
async def tuned(plain):
    """A mount with five version 1 entries, just tuned to version 2."""
    for name in ("a", "a/1", "b", "c/d", "e"):
        await plain.update(name, name=name, ttl="5m")
    kit = EngineHarness(VersionedEngine)
    kit.store = plain.store
    return kit


async def in_transaction(kit, work, **settings):
    transaction = kit.store.transaction()
    result = await work(MemoryView(transaction), **settings)
    transaction.commit()
    return result


async def test_every_entry_becomes_a_first_version(tuned):
    rounds = 1
    while await in_transaction(tuned, upgrade_batch, now=1.25, limit=2):
        rounds += 1
    assert rounds == 3
    assert (await tuned.scan("metadata"))["keys"] == ["a", "a/1", "b", "c/d", "e"]
    for name in ("a", "a/1", "c/d"):
        got = await tuned.read(f"data/{name}")
        assert got["data"] == {"name": name, "ttl": "5m"}
        assert got["metadata"]["created_time"] == "1970-01-01T00:00:01.25Z"
        assert (await tuned.read(f"metadata/{name}"))["oldest_version"] == 1
    assert {path.split("/")[0] for path in tuned.store.entries} == {"meta", "ver"}


async def test_meanwhile_what_is_ready_is_served_and_the_rest_is_not_missed(tuned):
    await in_transaction(tuned, upgrade_batch, now=1.0, limit=2)
    assert (await tuned.read("data/a"))["data"]["name"] == "a"
    for refused in (
        tuned.read("data/e"),
        tuned.update("data/e", data={}),
        tuned.update("data/new", data={}),
        tuned.delete("metadata/e"),
        tuned.list("metadata"),
        tuned.scan("metadata"),
    ):
        with pytest.raises(Upgrading, match="Upgrading from non-versioned to versioned data"):
            await refused

    assert (
        await tuned.engine.known(
            tuned.context(Verb.UPDATE, "data/e", MemoryView(tuned.store.transaction())), {"path": "e"}
        )
        is False
    )


async def test_the_engine_adopts_what_fits_one_batch_at_once(tuned):
    assert await in_transaction(tuned, tuned.engine.adopt, now=1.0) is False
    assert (await tuned.list("metadata"))["keys"] == ["a", "a/", "b", "c/", "e"]
    before = dict(tuned.store.entries)
    assert await in_transaction(tuned, tuned.engine.adopt, now=2.0) is False
    assert tuned.store.entries == before


async def test_a_mount_without_entries_has_nothing_to_wait_for(kv):
    assert await in_transaction(kv, kv.engine.adopt, now=1.0) is False
    assert kv.store.entries == {}
    assert (await kv.update("data/a", data={}))["version"] == 1
