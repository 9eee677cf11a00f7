import asyncio
import multiprocessing
import subprocess
import sys

import pytest
from broker_plugins.storage.inmem import INMEM, InmemBackend

from broker.plugin.errors import ConfigError, Unavailable
from broker.plugin.storage import Batch


def test_it_has_no_settings():
    with pytest.raises(ConfigError, match="unknown setting 'path'"):
        INMEM.build({"path": "x"})


async def test_the_folder_is_private_made_at_first_use_and_gone_after_close():
    backend = InmemBackend()
    assert not backend.directory.exists()
    await backend.open("root", create=True)
    assert backend.directory.stat().st_mode & 0o777 == 0o700
    await backend.close()
    assert not backend.directory.exists()


async def test_a_folder_that_others_can_enter_is_not_used():
    backend = InmemBackend()
    backend.directory.mkdir(mode=0o755)
    with pytest.raises(Unavailable, match="not private"):
        await backend.open("root", create=True)
    await backend.close()


def test_two_backends_share_nothing():
    assert InmemBackend().directory != InmemBackend().directory


def test_workers_share_it_and_their_end_does_not_remove_it():
    backend = InmemBackend()

    async def write(path):
        store = await backend.open("root", create=True)
        await store.commit([Batch({path: b"1"})])
        await store.close()

    async def read():
        return await (await backend.open("root")).scan("")

    context = multiprocessing.get_context("fork")
    for path in ("a", "b"):
        child = context.Process(target=lambda path=path: asyncio.run(write(path)))
        child.start()
        child.join()
        assert child.exitcode == 0
    assert asyncio.run(read()) == ["a", "b"]
    asyncio.run(backend.close())


def test_the_builder_removes_it_when_it_exits():
    code = """
import asyncio
from broker_plugins.storage.inmem import InmemBackend
backend = InmemBackend()
asyncio.run(backend.open("root", create=True))
print(backend.directory, backend.directory.exists())
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    directory, existed = shown.stdout.split()
    assert existed == "True"
    assert not InmemBackend().directory.with_name(directory.rsplit("/", 1)[1]).exists()
