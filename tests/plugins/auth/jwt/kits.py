"""The methods on memory, with what clients, browsers and a provider do."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from broker.plugin import Plain
from broker.plugin.testing.engine import EngineHarness
from tests.fixtures.issuer import RSA, signed

BACK = "http://localhost:8250/oidc/callback"
APP = "https://app.example/ui/cb"
CLIENT = {"oidc_client_id": "broker", "oidc_client_secret": "hunter2+canary/="}


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


class Browser(Kit):
    """A mount with a provider, and what a client and a browser do with it."""

    issuer: object

    async def set_up(self, **fields):
        await self.update("config", oidc_discovery_url=self.issuer.url, **CLIENT, **fields)

    async def set_flow_role(self, **fields):
        await self.delete("role/web")
        given = {"user_claim": "sub", "allowed_redirect_uris": [BACK, APP], **fields}
        await self.update("role/web", **given)

    async def begin(self, redirect_uri=BACK, **fields):
        answer = await self.update("oidc/auth_url", role="web", redirect_uri=redirect_uri, **fields)
        found = {name: values[0] for name, values in parse_qs(urlsplit(answer["auth_url"]).query).items()}
        return answer, found

    def id_token(self, query, key=RSA, alg="RS256", **more):
        now = int(self.clock.now)
        claims = {
            "iss": self.issuer.url,
            "aud": "broker",
            "sub": "bob",
            "nonce": query.get("nonce"),
            "exp": now + 300,
            "iat": now,
            **more,
        }
        return signed(
            {name: value for name, value in claims.items() if value is not None}, key, alg, kid="k1"
        )

    def vouch(self, query, key=RSA, alg="RS256", access_token="at-1", info=None, **more):
        """Have the provider vouch for bob: its token endpoint and its userinfo."""
        self.issuer.answers["/token"] = (
            200,
            {
                "id_token": self.id_token(query, key, alg, **more),
                "access_token": access_token,
                "token_type": "Bearer",
            },
        )
        self.issuer.answers["/userinfo"] = (200, {"sub": "bob"} if info is None else info)

    async def finish(self, query, **fields):
        return await self.read("oidc/callback", state=query["state"], code="c0de", **fields)

    async def through(self, **fields):
        """The whole way, with a token that says ``fields``."""
        _, query = await self.begin()
        self.vouch(query, **fields)
        return await self.finish(query)


def said(outcome) -> str:
    assert isinstance(outcome, Plain), outcome
    assert outcome.status == 400
    return outcome.body["errors"][0]


def forms(kit):
    return {name: value for form in kit.issuer.forms for name, value in form.items()}
