import pytest
from broker_plugins.auth.userpass.hashing import Cost
from broker_plugins.auth.userpass.method import UserpassMethod

from broker.plugin import Connection
from broker.plugin.testing.engine import EngineHarness
from tests.plugins.auth.lockouts import Noted

CHEAP = Cost(memory_kib=64, passes=1)


@pytest.fixture
def lockout():
    return Noted()


@pytest.fixture
def kit(lockout):
    made = EngineHarness(UserpassMethod, services={"lockout": lockout, "cost": CHEAP})
    made.connection = Connection(remote_address="192.0.2.7")
    return made
