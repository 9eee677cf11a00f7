"""Two processes that share the node page: what one has committed, the other's next transaction sees."""

import asyncio
import multiprocessing
import os
from contextlib import asynccontextmanager

import pytest
from broker_plugins.storage.inmem import InmemBackend
from broker_plugins.storage.sqlite import SqliteBackend

from broker.server.nodepage import NodePage
from broker.storage import TenantStore, TransactionConflict, Writer

ROUNDS = 150
FORK = multiprocessing.get_context("fork")


class Clear:
    def seal(self, path, plaintext):
        return plaintext

    def open(self, path, sealed):
        return sealed


@pytest.fixture(params=["sqlite", "inmem"])
def backend(request, tmp_path):
    """Built before the fork, like the server does; each process opens its own connections."""
    backend = SqliteBackend(str(tmp_path)) if request.param == "sqlite" else InmemBackend()
    yield backend
    asyncio.run(backend.close())


@asynccontextmanager
async def worker(backend, page):
    store = await backend.open("root", create=True)
    yield TenantStore(store, tenant="root", codec=Clear(), signal=page, writer=Writer())
    await store.close()


async def read(tenant, path):
    return await (await tenant.begin()).get(path)


async def write(tenant, path, value):
    transaction = await tenant.begin()
    transaction.put(path, value)
    await transaction.commit()


def in_child(coroutine_function, *arguments):
    process = FORK.Process(target=lambda: asyncio.run(coroutine_function(*arguments)))
    process.start()
    return process


async def answer(backend, page, pipe):
    async with worker(backend, page) as tenant:
        for _ in range(ROUNDS):
            expected = pipe.recv_bytes()
            assert await read(tenant, "ping") == expected
            await write(tenant, "pong", expected)
            pipe.send_bytes(expected)


def test_each_sees_what_the_other_has_just_committed_through_its_cache(backend):
    page = NodePage(lock_memory=False)
    ours, theirs = FORK.Pipe()
    child = in_child(answer, backend, page, theirs)
    theirs.close()

    async def ask():
        async with worker(backend, page) as tenant:
            for number in range(ROUNDS):
                value = b"%d" % number
                await write(tenant, "ping", value)
                ours.send_bytes(value)
                assert ours.recv_bytes() == value
                assert await read(tenant, "pong") == value
                assert await read(tenant, "ping") == value

    asyncio.run(ask())
    child.join()
    assert child.exitcode == 0


async def increment(backend, page, times):
    async with worker(backend, page) as tenant:
        await asyncio.gather(*(increment_once(tenant, times) for _ in range(4)))


async def increment_once(tenant, times):
    done = 0
    while done < times:
        transaction = await tenant.begin()
        number = int(await transaction.get("n") or b"0")
        transaction.put("n", b"%d" % (number + 1))
        try:
            await transaction.commit()
        except TransactionConflict:
            continue
        done += 1


def test_increments_from_two_processes_add_up(backend):
    page = NodePage(lock_memory=False)
    child = in_child(increment, backend, page, 15)
    asyncio.run(increment(backend, page, 15))
    child.join()
    assert child.exitcode == 0

    async def total():
        async with worker(backend, page) as tenant:
            return await read(tenant, "n")

    assert asyncio.run(total()) == b"120"


async def die_before_the_announcement(backend, page, pipe):
    page.announce = lambda tenant: os.kill(os.getpid(), 9)
    pipe.recv_bytes()
    async with worker(backend, page) as tenant:
        await write(tenant, "a", b"new")


def test_a_worker_killed_between_commit_and_announcement_is_made_up_for(backend):
    page = NodePage(lock_memory=False)
    ours, theirs = FORK.Pipe()
    child = in_child(die_before_the_announcement, backend, page, theirs)

    async def run():
        async with worker(backend, page) as tenant:
            await write(tenant, "a", b"old")
            assert await read(tenant, "a") == b"old"
            ours.send_bytes(b"go")
            child.join()
            assert child.exitcode == -9
            page.bump_all()
            assert await read(tenant, "a") == b"new"

    asyncio.run(run())
