"""Identity tokens: keys, roles, tokens, introspection and what is published, as the peer answers."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.peer.compare import differences, masked
from tests.peer.script import DELETE, GET, LIST, POST, PUT, WRONG, Differs

KEY = "identity/oidc/key/${m}"
ROLE = "identity/oidc/role/${m}"
TOKEN = "identity/oidc/token/${m}"
PUBLIC = Differs("public-keys-are-not-cached", body=False)
ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA")


@pytest.fixture
def ann(pair) -> Iterator[None]:
    """Somebody with an entity who may ask for tokens, as ``${t}``; keys and roles are removed afterwards."""
    rules = 'path "identity/oidc/*" { capabilities = ["read", "update"] }'
    user = {"password": "correct horse battery", "token_policies": "${m}"}
    pair.run(
        PUT("sys/policies/acl/${m}", {"policy": rules}, 204),
        POST("sys/auth/${m}", {"type": "userpass"}, 204),
        GET("sys/auth/${m}", save={"accessor": "data.accessor"}),
        POST("auth/${m}/users/ann", user, 204),
        POST(
            "auth/${m}/login/ann",
            {"password": "correct horse battery"},
            token=None,
            save={"t": "auth.client_token", "e": "auth.entity_id"},
        ),
    )
    yield
    for side in (pair.ours, pair.peer):
        root = {"X-Vault-Token": "root"}
        for kind in ("role", "key"):
            listed = side.client.send("LIST", f"/v1/identity/oidc/{kind}", root, None).body
            for name in ((listed or {}).get("data") or {}).get("keys") or []:
                if name != "default":
                    side.client.send("DELETE", f"/v1/identity/oidc/{kind}/{name}", root, None)


def test_the_issuer(pair, ann):
    config, known = "identity/oidc/config", "identity/oidc/.well-known/openid-configuration"
    pair.run(
        GET(config),
        POST(config, {"issuer": "https://x.example/path"}, 400),
        POST(config, {"issuer": "x.example"}, 400),
        POST(config, {"issuer": "ftp://x.example"}, 400),
        POST(config, {"issuer": "https://x.example?y=1"}, 400),
        POST(config, {"issuer": "https://x.example:8443"}),
        GET(config),
        GET(known, token=None, differs=PUBLIC),
        POST(config, {"issuer": ""}, 204),
        GET(config),
        GET(known, token=None, differs=PUBLIC, only="subject_types_supported"),
    )


def test_keys(pair, ann):
    pair.run(
        GET("identity/oidc/key/default"),
        LIST("identity/oidc/key"),
        GET(KEY, 404),
        POST(KEY, {}, 204),
        GET(KEY),
        LIST("identity/oidc/key", mine="data.keys"),
        POST(
            KEY,
            {
                "algorithm": "ES256",
                "rotation_period": "1h",
                "verification_ttl": "2h",
                "allowed_client_ids": "*",
            },
            204,
        ),
        GET(KEY),
        POST(KEY + "2", {"algorithm": "HS256"}, 400),
        POST(KEY + "2", {"rotation_period": "10s"}, 400),
        POST(KEY + "2", {"rotation_period": "1h", "verification_ttl": "20h"}, 400),
        GET(KEY + "2", 404),
        POST(KEY + "/rotate", {}, 204),
        POST(KEY + "/rotate", {"verification_ttl": "1m"}, 204),
        POST(KEY + "2/rotate", {}, 400),
        DELETE(KEY + "2", 204),
        DELETE(KEY, 204),
        GET(KEY, 404),
        DELETE("identity/oidc/key/default", 400),
        GET("identity/oidc/key", 405, differs=WRONG),
        POST(KEY + "/a", {}, 404, differs=WRONG),
    )


def test_roles(pair, ann):
    pair.run(
        POST(KEY, {"verification_ttl": "2h", "algorithm": "ES256"}, 204),
        GET(ROLE, 404),
        POST(ROLE, {}, 400),
        POST(ROLE, {"key": "nope"}, 400),
        POST(ROLE, {"key": "${m}"}, 400),
        POST(ROLE, {"key": "${m}", "ttl": "30m", "client_id": "me"}, 204),
        GET(ROLE),
        POST(ROLE, {"key": "${m}", "ttl": "1h", "template": '{"a": {{identity.entity.name}} }'}, 204),
        GET(ROLE),
        POST(ROLE, {"ttl": "20h"}, 400),
        POST(ROLE + "2", {"key": "${m}", "ttl": "1h", "template": "not json"}, 400),
        POST(ROLE + "2", {"key": "${m}", "ttl": "1h", "template": "[1]"}, 400),
        POST(ROLE + "2", {"key": "${m}", "ttl": "1h", "template": '{"sub": "x"}'}, 400),
        POST(ROLE + "2", {"key": "${m}", "ttl": "1h", "template": "{{"}, 400),
        POST(ROLE + "2", {"key": "${m}", "ttl": "1h", "template": '{"z": {{identity.nope}} }'}, 400),
        LIST("identity/oidc/role", mine="data.keys"),
        DELETE(KEY, 400),
        POST(KEY, {"verification_ttl": "1m"}, 400),
        DELETE(ROLE, 204),
        DELETE(ROLE, 204),
        GET(ROLE, 404),
    )


def claims(side: Any) -> dict[str, Any]:
    """Header and claims of the token saved as ``jwt``, without what no two servers agree on."""
    head, body, _ = side.names["jwt"].split(".")
    parts = [json.loads(base64.urlsafe_b64decode(part + "==")) for part in (head, body)]
    lifetime = parts[1].pop("exp") - parts[1].pop("iat")
    for name in ("iss", "now", "later"):
        parts[1].pop(name, None)
    return {"header": parts[0], "claims": parts[1], "lifetime": lifetime}


TEMPLATE = (
    '{"id": {{identity.entity.id}}, "name": {{identity.entity.name}}, "meta": {{identity.entity.metadata}},'
    '"one": {{identity.entity.metadata.a}}, "none": {{identity.entity.metadata.x}},'
    '"groups": {{identity.entity.groups.names}}, "alias": {{identity.entity.aliases.${accessor}.name}},'
    '"other": {{identity.entity.aliases.nope.metadata}}, "now": {{time.now}}, "later": {{time.now.plus.1h}} }'
)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "ES512", "EdDSA"])
def test_tokens(pair, ann, algorithm):
    check = "identity/oidc/introspect"
    pair.run(
        POST("identity/entity/id/${e}", {"name": "${m}", "metadata": {"a": 'y "q"'}}, 204),
        POST("identity/group", {"name": "${m}", "member_entity_ids": ["${e}"]}, save={"g": "data.id"}),
        POST(KEY, {"algorithm": algorithm, "allowed_client_ids": ["*"]}, 204),
        POST(ROLE, {"key": "${m}", "ttl": "1h", "client_id": "me", "template": TEMPLATE}, 204),
        GET(TOKEN, 400),
        GET(TOKEN, token="${t}", save={"jwt": "data.token"}, ignore="data.token"),
        GET(TOKEN + "2", 400, token="${t}"),
        POST(check, {"token": "${jwt}"}),
        POST(check, {"token": "${jwt}", "client_id": "me"}),
        POST(check, {"token": "${jwt}", "client_id": "other"}, ignore="error"),
        POST(check, {"token": "${jwt}x"}, ignore="error"),
        POST(check, {"token": "x"}, ignore="error"),
        POST(check, {}, ignore="error"),
    )
    assert list(differences(masked(claims(pair.ours)), masked(claims(pair.peer)))) == []
    published = []
    for side in (pair.ours, pair.peer):
        kid = claims(side)["header"]["kid"]
        keys = side.client.send("GET", "/v1/identity/oidc/.well-known/keys", {}, None).body["keys"]
        key = next(key for key in keys if key["kid"] == kid)
        published.append({name: len(value) if name in "nxy" else value for name, value in key.items()})
        published[-1].pop("kid")
    assert published[0] == published[1]
    pair.run(
        POST(KEY, {"allowed_client_ids": "other"}, 204),
        GET(TOKEN, 400, token="${t}"),
        POST(KEY + "/rotate", {}, 204),
        POST(check, {"token": "${jwt}"}),
        POST("identity/entity/id/${e}", {"disabled": True}, 204),
        POST(check, {"token": "${jwt}"}),
        DELETE("identity/group/id/${g}", 204),
        DELETE("identity/entity/id/${e}", 204),
        POST(check, {"token": "${jwt}"}, ignore="error"),
    )
