from __future__ import annotations

import pytest
from broker_plugins.auth.jwt import JwtMethod

from broker.plugin.testing.engine import EngineHarness
from tests.fixtures.issuer import RSA, IssuerServer, pem, signed


class Kit(EngineHarness):
    """A mount with a static key and a role, and a way to log in."""

    def claims(self, **more):
        now = int(self.clock.now)
        given = {"sub": "bob", "aud": "app", "exp": now + 600, "iat": now, **more}
        return {name: value for name, value in given.items() if value is not None}

    async def log_in(self, token=None, role="app", /, key=RSA, alg="RS256", kid=None, **claims):
        text = signed(self.claims(**claims), key, alg, kid) if token is None else token
        return await self.update("login", role=role, jwt=text)

    async def set_role(self, name="app", /, **fields):
        await self.delete(f"role/{name}")
        given = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": "app", **fields}
        return await self.update(
            f"role/{name}", **{key: value for key, value in given.items() if value is not None}
        )


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
