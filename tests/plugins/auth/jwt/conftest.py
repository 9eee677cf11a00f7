from __future__ import annotations

import pytest
from broker_plugins.auth.jwt import JwtMethod, OidcMethod

from broker.plugin import Connection
from tests.fixtures.issuer import RSA, IssuerServer, pem
from tests.plugins.auth.jwt.kits import Browser, Kit


@pytest.fixture
async def kit():
    made = Kit(JwtMethod)
    await made.update("config", jwt_validation_pubkeys=pem(RSA))
    await made.set_role()
    return made


@pytest.fixture
def issuer():
    server = IssuerServer()
    yield server.issuer
    server.stop()


@pytest.fixture
async def web(issuer):
    kit = Browser(OidcMethod)
    kit.issuer = issuer
    kit.connection = Connection(remote_address="192.0.2.7")
    await kit.set_up()
    await kit.set_flow_role()
    return kit
