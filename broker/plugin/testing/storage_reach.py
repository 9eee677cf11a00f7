"""How the storage suite gets at a backend, from this process and from another."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest

from broker.plugin.storage import Backend, Batch, Committed, Store

from .storage_worker import load

TENANT = "6f1d3f52-0000-4000-8000-0123456789ab"


class Reach(NamedTuple):
    """How any process gets at the backend under test: ``module:attribute`` of its BackendType, and the settings."""

    plugin: str
    settings: Mapping[str, object]

    def build(self) -> Backend:
        """Build the backend in this process."""
        return load(self.plugin).build(self.settings)

    @asynccontextmanager
    async def elsewhere(self, *command: str) -> "AsyncIterator[asyncio.subprocess.Process]":
        """Run a command of ``storage_worker`` in another process; it is killed at the end."""
        pipe = asyncio.subprocess.PIPE
        start = (sys.executable, "-m", "broker.plugin.testing.storage_worker", self.plugin)
        process = await asyncio.create_subprocess_exec(
            *start, json.dumps(dict(self.settings)), *command, stdin=pipe, stdout=pipe
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


async def write(store: Store, writes: Mapping[str, bytes | None]) -> int:
    """Commit one unconditional batch; return its revision."""
    (outcome,) = await store.commit([Batch(dict(writes))])
    assert isinstance(outcome, Committed)
    return outcome.revision


async def fill(store: Store, *paths: str) -> int:
    """Write every path with its own name as its value."""
    return await write(store, {path: path.encode() for path in paths})


class Reached:
    """Fixtures of every part of the suite: an empty backend, and an empty store in it."""

    @pytest.fixture
    def reach(self) -> Reach:
        raise NotImplementedError("say how to reach the backend under test")

    @pytest.fixture
    async def backend(self, reach: Reach) -> AsyncIterator[Backend]:
        backend = reach.build()
        yield backend
        await backend.close()

    @pytest.fixture
    async def store(self, backend: Backend) -> Store:
        return await backend.open(TENANT, create=True)
