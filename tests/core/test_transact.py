"""A change of the core's own lands once, whoever else writes meanwhile."""

import os
from datetime import UTC, datetime

import pytest
from broker_plugins.storage.sqlite import SqliteBackend

from broker.barrier.codec import TenantCodec, new_tenant_secret
from broker.barrier.keyring import Keyring
from broker.core.transact import transact
from broker.plugin.errors import NotFound
from broker.storage import LocalSignal, TenantStore, Writer


@pytest.fixture
async def store(tmp_path):
    backend = SqliteBackend(str(tmp_path / "data"))
    keyring = Keyring.create(datetime.now(UTC), os.urandom)
    codec = TenantCodec(lambda: keyring, "root", new_tenant_secret())
    room = await backend.open("root", create=True)
    yield TenantStore(room, tenant="root", codec=codec, signal=LocalSignal(), writer=Writer())
    await backend.close()


async def put(store, value):
    async def work(tx):
        tx.put("a", value)

    await transact(store, work)


async def read(store):
    return await (await store.begin()).get("a")


async def test_a_change_that_another_overtook_is_made_again_from_what_is_there_now(store):
    await put(store, b"1")
    seen = []

    async def work(tx):
        value = await tx.get("a")
        if not seen:
            await put(store, b"2")
        seen.append(value)
        tx.put("a", value + b"!")
        return len(seen)

    assert await transact(store, work) == 2
    assert seen == [b"1", b"2"]
    assert await read(store) == b"2!"


async def test_what_the_work_raises_comes_out_and_nothing_is_stored(store):
    async def work(tx):
        tx.put("a", b"1")
        raise NotFound

    with pytest.raises(NotFound):
        await transact(store, work)
    assert await read(store) is None
