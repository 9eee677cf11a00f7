"""At a real server: races for one state, tenants with keys of one name, what a template may name, what devices record."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.core.system.conftest import Api, node  # noqa: F401 - a fixture
from tests.fixtures.issuer import OTHER_RSA, RSA, IssuerServer, jwk, now, pem, signed

BACK = "http://localhost:8250/oidc/callback"


def claims(**more):
    return {"sub": "bob", "aud": "app", "exp": now() + 600, "iat": now(), **more}


@pytest.fixture
def api(broker_dev):
    made = Api(broker_dev)
    made.ask("DELETE", "sys/auth/jwt")
    made.done("POST", "sys/auth/jwt", {"type": "jwt"})
    yield made
    made.done("DELETE", "sys/auth/jwt")
    made.close()


def set_up(api, *, namespace="", config=None, **role):
    given = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": "app", **role}
    api.done("POST", "auth/jwt/config", config or {"jwt_validation_pubkeys": pem(RSA)}, namespace=namespace)
    api.done("POST", "auth/jwt/role/app", given, namespace=namespace)


def log_in(api, token, **more):
    return api.ask("POST", "auth/jwt/login", {"role": "app", "jwt": token}, token="", **more)


def test_the_same_person_is_the_same_entity(api):
    set_up(api, groups_claim="groups")
    first, second = (log_in(api, signed(claims(groups=["g"]))).body["auth"] for _ in range(2))
    assert first["entity_id"] == second["entity_id"] != ""
    assert first["client_token"] != second["client_token"]


def test_an_external_group_follows_the_token(api):
    set_up(api, groups_claim="groups")
    accessor = api.data("GET", "sys/auth")["jwt/"]["accessor"]
    api.done("POST", "sys/policies/acl/jwt-ops", {"policy": 'path "secret/*" { capabilities = ["read"] }'})
    group = api.data(
        "POST", "identity/group", {"name": "jwt-ops", "type": "external", "policies": ["jwt-ops"]}
    )
    alias = {"name": "ops", "mount_accessor": accessor, "canonical_id": group["id"]}
    api.done("POST", "identity/group-alias", alias)
    inside = log_in(api, signed(claims(groups=["ops"]))).body["auth"]
    assert "jwt-ops" in inside["identity_policies"]
    outside = log_in(api, signed(claims(groups=[]))).body["auth"]
    assert "jwt-ops" not in (outside.get("identity_policies") or [])
    api.done("DELETE", f"identity/group/id/{group['id']}")


@pytest.mark.parametrize("name", ["root", "ROOT", " root", "root\n", "../x", "é", "a b"])
def test_a_claim_cannot_name_a_policy_that_none_may_have(api, name):
    set_up(api, token_policies=["{{.policy}}"], token_policies_template_claims=True)
    reply = log_in(api, signed(claims(policy=name)))
    assert reply.status == 400
    assert list(reply.body) == ["errors"]
    assert log_in(api, signed(claims(policy="app"))).body["auth"]["token_policies"] == ["app", "default"]


def test_two_tenants_with_keys_of_one_name_do_not_mix(api):
    issuers = [IssuerServer(), IssuerServer()]
    issuers[1].issuer.keys = [jwk(OTHER_RSA, "k1")]
    keys, names = (RSA, OTHER_RSA), ("jwt-a", "jwt-b")
    for name, issuer in zip(names, issuers, strict=True):
        api.done("POST", f"sys/namespaces/{name}", {})
        api.done("POST", "sys/auth/jwt", {"type": "jwt"}, namespace=name)
        set_up(api, namespace=name, config={"jwks_url": issuer.issuer.jwks_url})
    for name in names:
        for other, signer in zip(names, keys, strict=True):
            reply = log_in(api, signed(claims(), signer, kid="k1"), namespace=name)
            assert reply.status == (200 if other == name else 400), (name, other)
    for name, issuer in zip(names, issuers, strict=True):
        api.ask("DELETE", f"sys/namespaces/{name}")
        issuer.stop()


def test_one_state_gives_one_token_however_many_ask_at_once(api):
    server = IssuerServer()
    issuer = server.issuer
    api.done(
        "POST",
        "auth/jwt/config",
        {"oidc_discovery_url": issuer.url, "oidc_client_id": "broker", "oidc_client_secret": "s"},
    )
    api.done("POST", "auth/jwt/role/web", {"user_claim": "sub", "allowed_redirect_uris": BACK})
    clients = [Api(api.server) for _ in range(8)]
    for _ in range(5):
        begun = api.data("POST", "auth/jwt/oidc/auth_url", {"role": "web", "redirect_uri": BACK}, token="")
        query = {name: values[0] for name, values in parse_qs(urlsplit(begun["auth_url"]).query).items()}
        told = {"iss": issuer.url, "aud": "broker", "nonce": query["nonce"]}
        # This provider takes a code any number of times: only the state stands in the way.
        issuer.answers["/token"] = (200, {"id_token": signed(claims(**told), kid="k1")})
        path = f"auth/jwt/oidc/callback?state={query['state']}&code=c"
        with ThreadPoolExecutor(8) as pool:
            replies = list(pool.map(lambda client, path=path: client.ask("GET", path, token=""), clients))
        assert sorted(reply.status for reply in replies) == [200] + [400] * 7
    for client in clients:
        client.close()
    server.stop()


def test_a_direct_login_in_a_tenant_comes_back_to_the_tenant(api):
    server = IssuerServer()
    issuer = server.issuer
    api.done("POST", "sys/namespaces/jwt-c", {})
    where = {"namespace": "jwt-c"}
    api.done("POST", "sys/auth/oidc", {"type": "oidc"}, **where)
    config = {"oidc_discovery_url": issuer.url, "oidc_client_id": "broker", "oidc_client_secret": "s"}
    api.done("POST", "auth/oidc/config", config, **where)
    uri = f"{api.server.address}/v1/jwt-c/auth/oidc/oidc/callback"
    role = {"user_claim": "sub", "allowed_redirect_uris": uri, "callback_mode": "direct"}
    api.done("POST", "auth/oidc/role/web", role, **where)
    asked = {"role": "web", "redirect_uri": uri, "client_nonce": "cn"}
    begun = api.data("POST", "auth/oidc/oidc/auth_url", asked, token="", **where)
    query = {name: values[0] for name, values in parse_qs(urlsplit(begun["auth_url"]).query).items()}
    told = signed(claims(iss=issuer.url, aud="broker", nonce=query["nonce"]), kid="k1")
    issuer.answers["/token"] = (200, {"id_token": told})
    back = f"jwt-c/auth/oidc/oidc/callback?state={query['state']}&code=c"
    page = api.ask("GET", back, token="")
    assert page.status == 200
    assert 'action="/v1/jwt-c/auth/oidc/oidc/callback"' in page.body
    assert page.headers["x-frame-options"] == "DENY"
    assert api.ask("GET", f"{back}&confirmation=yes", token="").status == 200
    poll = {"state": begun["state"], "client_nonce": "cn"}
    assert api.ask("POST", "auth/oidc/oidc/poll", poll, token="").status in (
        400,
        403,
        404,
    )  # elsewhere: nothing
    done = api.ask("POST", "auth/oidc/oidc/poll", poll, token="", **where)
    assert done.status == 200
    assert done.body["auth"]["metadata"] == {"role": "web"}
    api.ask("DELETE", "sys/namespaces/jwt-c")
    server.stop()


def test_devices_record_neither_tokens_nor_codes(node, tmp_path):  # noqa: F811
    folder = tmp_path / "audit"
    folder.mkdir(mode=0o700)
    api = node(audit_directory=str(folder))
    device = {"type": "file", "options": {"file_path": str(folder / "audit.log")}}
    api.done("PUT", "sys/audit/main", device)
    server = IssuerServer()
    api.done("POST", "sys/auth/jwt", {"type": "jwt"})
    config = {
        "oidc_discovery_url": server.issuer.url,
        "oidc_client_id": "broker",
        "oidc_client_secret": "secret-canary",
    }
    api.done("POST", "auth/jwt/config", config)
    set_up(api)
    token = signed(claims())
    log_in(api, token)
    api.done("POST", "auth/jwt/config", config)
    api.ask("GET", "auth/jwt/oidc/callback?state=state-canary&code=code-canary", token="")
    server.stop()
    lines = "".join(found.read_text() for found in tmp_path.rglob("*.log"))
    assert "auth/jwt/oidc/callback" in lines
    assert "auth/jwt/login" in lines
    for secret in (token, token.split(".")[1], "secret-canary", "state-canary", "code-canary"):
        assert secret not in lines


def test_a_token_is_renewed_as_long_as_its_role_is_there(api):
    set_up(api, token_ttl="5m")
    token = log_in(api, signed(claims())).body["auth"]["client_token"]
    assert api.ask("POST", "auth/token/renew-self", {}, token=token).status == 200
    api.done("POST", "auth/jwt/role/app", {"role_type": "jwt", "token_ttl": "2m"})
    renewed = api.ask("POST", "auth/token/renew-self", {}, token=token)
    assert (renewed.status, renewed.body["auth"]["lease_duration"]) == (200, 120)
    api.done("DELETE", "auth/jwt/role/app")
    assert api.ask("POST", "auth/token/renew-self", {}, token=token).status in (400, 403)
