"""Storage promises: tenants, locks, snapshots."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest

from broker.plugin.errors import BrokerError, NotFound
from broker.plugin.storage import Backend, Store

from .storage_reach import TENANT, Reach, Reached, fill, write

LONG_TIME = 60.0


class LivesContract(Reached):
    """Stores come, go, are copied and come back; locks have one holder."""

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


async def _chunks(chunks: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
