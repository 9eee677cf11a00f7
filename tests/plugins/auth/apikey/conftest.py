import pytest
from broker_plugins.auth.apikey import ApiKeyMethod

from broker.plugin import Connection
from broker.plugin.testing.engine import EngineHarness


class Ended(list):
    """The logins that were ended, by where they stand."""

    async def end(self, ctx, path):
        self.append(path)


class Kit(EngineHarness):
    def __init__(self):
        self.ended = Ended()
        super().__init__(ApiKeyMethod, services={"logins": self.ended})
        self.connection = Connection(remote_address="192.0.2.7")


@pytest.fixture
def new_kit():
    return Kit


@pytest.fixture
def kit(new_kit):
    return new_kit()
