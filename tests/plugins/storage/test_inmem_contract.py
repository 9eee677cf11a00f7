from collections.abc import AsyncIterator

import pytest
from broker_plugins.storage.inmem import INMEM, InmemBackend

from broker.plugin.testing.storage import Reach, StoreContract


class TestInmem(StoreContract):
    @pytest.fixture
    async def backend(self) -> AsyncIterator[InmemBackend]:
        backend = INMEM.build({})
        assert isinstance(backend, InmemBackend)
        yield backend
        await backend.close()

    @pytest.fixture
    def reach(self, backend: InmemBackend) -> Reach:
        # Its workers are forks and find the folder by inheritance; a process started apart is shown where it is.
        return Reach("broker_plugins.storage.sqlite:SQLITE", {"path": str(backend.directory)})
