"""Storage promises: two processes at once, and one that is killed."""

from broker.plugin.storage import Backend, Store

from .storage_reach import TENANT, Reach, Reached, write
from .storage_worker import increment


class ProcessesContract(Reached):
    """What another process does is seen, and what it acknowledged survives it."""

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
