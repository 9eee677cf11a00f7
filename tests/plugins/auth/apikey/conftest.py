import pytest
from broker_plugins.auth.apikey import ApiKeyMethod

from broker.plugin import Connection
from broker.plugin.testing.engine import EngineHarness


@pytest.fixture
def kit():
    made = EngineHarness(ApiKeyMethod)
    made.connection = Connection(remote_address="192.0.2.7")
    return made
