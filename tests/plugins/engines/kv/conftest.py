import pytest
from broker_plugins.engines.kv import PlainEngine, VersionedEngine

from broker.plugin.testing.engine import EngineHarness


@pytest.fixture
def kv():
    return EngineHarness(VersionedEngine, options={"version": "2"})


@pytest.fixture
def plain():
    return EngineHarness(PlainEngine)
