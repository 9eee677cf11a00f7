"""Work in a thread: whoever waits for it waits to the end, also when cancelled."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from broker_plugins.storage.sqlite.threads import Job


@pytest.fixture
def executor():
    with ThreadPoolExecutor(1) as pool:
        yield pool


async def test_the_outcome_is_what_the_work_gave_or_raised(executor):
    job = Job(executor, lambda: 42)
    assert await job.outcome() == 42
    assert job.done.done()
    with pytest.raises(ZeroDivisionError):
        await Job(executor, lambda: 1 // 0).outcome()


async def test_a_cancelled_caller_stays_until_the_work_is_done(executor):
    go = threading.Event()
    job = Job(executor, go.wait)
    caller = asyncio.create_task(job.outcome())
    for _ in range(3):
        await asyncio.sleep(0.01)
        caller.cancel()
    await asyncio.sleep(0.01)
    assert not caller.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert job.done.done()


async def test_work_that_outlives_the_loop_ends_quietly(executor):
    go = threading.Event()

    async def begin():
        Job(executor, go.wait)

    await asyncio.to_thread(asyncio.run, begin())
    go.set()
    assert await Job(executor, lambda: 1).outcome() == 1
