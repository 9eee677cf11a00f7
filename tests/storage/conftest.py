"""A tenant's store on SQLite with the real barrier above it; ``worker()`` gives one more worker of the node."""

import os
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from broker_plugins.storage.sqlite import SqliteBackend

from broker.barrier.codec import TenantCodec, new_tenant_secret
from broker.barrier.keyring import Keyring
from broker.plugin.storage import Backend, Store
from broker.storage import LocalSignal, TenantStore, Writer


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[Backend]:
    backend = SqliteBackend(str(tmp_path / "data"))
    yield backend
    await backend.close()


@pytest.fixture
async def store(backend: Backend) -> Store:
    return await backend.open("root", create=True)


@pytest.fixture
def codec() -> TenantCodec:
    keyring = Keyring.create(datetime.now(UTC), os.urandom)
    return TenantCodec(lambda: keyring, "root", new_tenant_secret())


@pytest.fixture
def signal() -> LocalSignal:
    return LocalSignal()


@pytest.fixture
def worker(store: Store, codec: TenantCodec, signal: LocalSignal) -> Callable[..., TenantStore]:
    def build(**settings: object) -> TenantStore:
        defaults = {"tenant": "root", "codec": codec, "signal": signal, "writer": Writer()}
        return TenantStore(store, **{**defaults, **settings})

    return build


@pytest.fixture
def tenant(worker: Callable[..., TenantStore]) -> TenantStore:
    return worker()
