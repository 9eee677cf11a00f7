"""A SQLite backend of a test's own, and its root tenant's store."""

import pytest
from broker_plugins.storage.sqlite import SqliteBackend


@pytest.fixture
async def backend(tmp_path):
    backend = SqliteBackend(str(tmp_path / "data"))
    yield backend
    await backend.close()


@pytest.fixture
async def store(backend):
    return await backend.open("root", create=True)
