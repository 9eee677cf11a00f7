import pytest
from broker_plugins.auth.approle.method import ApproleMethod

from broker.core.anchoring import OnceService
from broker.plugin import Connection
from broker.plugin.testing.engine import EngineHarness
from tests.plugins.auth.lockouts import Noted


@pytest.fixture
def lockout():
    return Noted()


@pytest.fixture
def kit(lockout):
    made = EngineHarness(ApproleMethod, services={"lockout": lockout, "once": OnceService(0)})
    made.connection = Connection(remote_address="192.0.2.7")
    return made


@pytest.fixture
def role(kit):
    """Make a role and a secret id: ``role_id, secret_id = await role(...)``."""

    async def make(secret=None, **settings):
        await kit.update("role/app", **settings)
        role_id = (await kit.read("role/app/role-id"))["role_id"]
        made = await kit.update("role/app/secret-id", **(secret or {}))
        return role_id, made["secret_id"]

    return make
