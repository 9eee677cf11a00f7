"""``auth/jwt`` and ``auth/oidc`` beside the peer: one issuer for both, with keys made for the test."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from tests.fixtures.issuer import ED, OTHER_RSA, P256, P384, RSA, IssuerServer, b64, jwk, now, pem, signed
from tests.peer.script import DELETE, GET, LIST, POST, PUT, WRONG, Differs

BACK = "http://localhost:8250/oidc/callback"
ROLE = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": "app"}
UNKNOWN = Differs("unknown-fields", status=400, body=False)
STRICTER = Differs("stricter-input", status=400, body=False)
CIDR_LATER = Differs("signature-first", status=400, body=False)


@pytest.fixture
def issuer():
    server = IssuerServer()
    yield server.issuer
    server.stop()


def claims(**more):
    given = {"sub": "bob", "aud": "app", "exp": now() + 600, "iat": now(), **more}
    return {name: value for name, value in given.items() if value is not None}


def enable(kind="jwt"):
    return POST("sys/auth/${m}", {"type": kind}, 204)


def static(**more):
    return POST("auth/${m}/config", {"jwt_validation_pubkeys": pem(RSA), **more}, 204)


def role(name="app", status=204, **fields):
    options = {key: fields.pop(key) for key in ("differs",) if key in fields}
    return POST(f"auth/${{m}}/role/{name}", {**ROLE, **fields}, status, **options)


def log_in(token=None, status=200, role="app", **options):
    if token is None:
        token = signed(claims())
    return POST("auth/${m}/login", {"role": role, "jwt": token}, status, token=None, **options)


def good(**more):
    """A login that works, with these claims besides the usual."""
    return log_in(signed(claims(**more)))


def bad(key=RSA, alg="RS256", kid=None, **more):
    return log_in(signed(claims(**more), key, alg, kid), 400)


def test_the_configuration(pair, issuer):
    pair.run(
        enable(),
        GET("auth/${m}/config", 404),
        log_in(status=400),
        POST("auth/${m}/config", {}, 400),
        POST("auth/${m}/config", {"jwt_validation_pubkeys": []}, 400),
        POST("auth/${m}/config", {"jwt_validation_pubkeys": "nonsense"}, 400),
        POST("auth/${m}/config", {"jwt_validation_pubkeys": pem(RSA), "jwks_url": issuer.jwks_url}, 400),
        static(),
        GET("auth/${m}/config"),
        PUT("auth/${m}/config", {"jwt_validation_pubkeys": [pem(RSA), pem(P256), pem(ED)]}, 204),
        GET("auth/${m}/config"),
        static(
            bound_issuer="me", default_role="App", namespace_in_state=False, jwt_supported_algs="RS256,ES256"
        ),
        GET("auth/${m}/config"),
        static(),
        GET("auth/${m}/config"),
        DELETE("auth/${m}/config", 405, differs=WRONG),
        LIST("auth/${m}/config", 404, differs=WRONG),
        GET("auth/${m}/config", 403, token=None),
        POST("auth/${m}/config", {"jwt_validation_pubkeys": pem(RSA)}, 403, token=None),
    )


def test_settings_that_are_refused(pair):
    key = {"jwt_validation_pubkeys": pem(RSA)}
    pair.run(
        enable(),
        POST("auth/${m}/config", {**key, "jwt_supported_algs": "HS256"}, 400),
        POST("auth/${m}/config", {**key, "jwt_supported_algs": "none"}, 400),
        POST("auth/${m}/config", {**key, "oidc_client_id": "a"}, 400),
        POST("auth/${m}/config", {**key, "oidc_client_id": "a", "oidc_client_secret": "b"}, 400),
        POST("auth/${m}/config", {**key, "oidc_response_mode": "fragment"}, 400),
        POST("auth/${m}/config", {**key, "oidc_response_types": "token"}, 400),
        POST("auth/${m}/config", {**key, "oidc_response_types": "id_token"}, 400),
        POST("auth/${m}/config", {**key, "provider_config": {"provider": "nonsense"}}, 400),
        POST("auth/${m}/config", {**key, "namespace_in_state": "perhaps"}, 400),
        POST("auth/${m}/config", {**key, "nonsense": 1}, 204, differs=UNKNOWN),
        static(oidc_response_mode="form_post", oidc_response_types="code,id_token"),
        GET("auth/${m}/config"),
    )


def test_roles(pair):
    pair.run(
        enable(),
        LIST("auth/${m}/role", 404),
        GET("auth/${m}/role/app", 404),
        role(),
        GET("auth/${m}/role/app"),
        role(
            "other",
            bound_audiences="a,b",
            token_policies="p,q",
            token_ttl="1m",
            token_max_ttl=120,
            token_num_uses=3,
        ),
        GET("auth/${m}/role/other"),
        role("OTHER", bound_subject="x"),
        GET("auth/${m}/role/Other"),
        LIST("auth/${m}/role"),
        GET("auth/${m}/role?list=true"),
        LIST("auth/${m}/role?limit=1"),
        LIST("auth/${m}/role?after=app"),
        DELETE("auth/${m}/role/app", 204),
        DELETE("auth/${m}/role/app", 204),
        GET("auth/${m}/role/app", 404),
        LIST("auth/${m}/role"),
        GET("auth/${m}/role/other", 403, token=None),
    )


def test_every_field_of_a_role(pair):
    pair.run(
        enable(),
        role(
            bound_claims={"org": "x", "n": 5, "flag": True, "many": ["a", "b"]},
            bound_claims_type="string",
            claim_mappings={"email": "mail", "/deep/er": "deep"},
            groups_claim="/realm/groups",
            user_claim="/user/name",
            user_claim_json_pointer=True,
            expiration_leeway="1m",
            not_before_leeway=-1,
            clock_skew_leeway=5,
            oidc_scopes="email,profile",
            allowed_redirect_uris=[BACK],
            oauth2_metadata="id_token",
            callback_mode="direct",
            poll_interval=3,
            max_age="1h",
            bound_subject="s",
        ),
        GET("auth/${m}/role/app"),
        role(bound_claims={"a": ["x*", "y"]}, bound_claims_type="glob"),
        GET("auth/${m}/role/app"),
        role("old", policies="a,b", ttl=10, max_ttl=20, num_uses=3, period=5, bound_cidrs="127.0.0.1"),
        GET("auth/${m}/role/old"),
        role("template", token_policies=["{{.team}}"], token_policies_template_claims=True),
        GET("auth/${m}/role/template"),
        POST("auth/${m}/role/web", {"user_claim": "sub", "allowed_redirect_uris": BACK}, 204),
        GET("auth/${m}/role/web"),
        POST("auth/${m}/role/web", {"role_type": "oidc", "oidc_scopes": "x"}, 204),
        GET("auth/${m}/role/web"),
    )


def test_roles_that_are_refused(pair):
    pair.run(
        enable(),
        POST("auth/${m}/role/app", {}, 400),
        POST("auth/${m}/role/app", {"role_type": "jwt"}, 400),
        POST("auth/${m}/role/app", {"role_type": "jwt", "user_claim": "sub"}, 400),
        POST("auth/${m}/role/app", {"user_claim": "sub"}, 400),
        POST("auth/${m}/role/app", {"user_claim": "sub", "bound_audiences": "a"}, 400),
        role(status=400, role_type="saml"),
        role(status=400, user_claim=""),
        role(status=400, bound_claims_type="regex"),
        role(status=400, bound_claims_type="glob", bound_claims={"a": 1}),
        role(status=400, claim_mappings={"a": "role"}),
        role(status=400, claim_mappings={"a": "x", "b": "x"}),
        role(status=400, callback_mode="push"),
        role(status=400, oauth2_metadata="password"),
        role(status=400, max_age=-5),
        role(status=400, token_bound_cidrs="nowhere"),
        role(status=400, token_ttl=100, token_max_ttl=10),
        role(status=400, token_type="batch", token_num_uses=2),
        role(status=204, bound_claims={"a": {"b": 1}}, differs=STRICTER),
        role(status=204, poll_interval=-3, differs=STRICTER),
        role(status=204, token_policies="root", differs=STRICTER),
        role(status=204, nonsense=1, differs=UNKNOWN),
        POST("auth/${m}/role/-a", ROLE, 404, differs=WRONG),
        POST("auth/${m}/role/a-", ROLE, 404, differs=WRONG),
    )


def test_a_login_and_its_token(pair):
    pair.run(
        enable(),
        static(),
        POST("sys/policies/acl/${m}", {"policy": 'path "secret/*" { capabilities = ["read"] }'}, 204),
        role(
            token_policies="${m}",
            token_ttl="10m",
            token_max_ttl="1h",
            claim_mappings={"email": "mail", "gone": "x"},
        ),
        log_in(signed(claims(email="b@example.com")), save={"app": "auth.client_token"}),
        GET("auth/token/lookup-self", token="${app}", ignore=("data.path", "data.display_name")),
        POST("auth/token/renew-self", {}, token="${app}"),
        POST("auth/token/renew-self", {"increment": "2m"}, token="${app}"),
        log_in(role="APP"),
        log_in(role="", status=400),
        log_in(role="nothing", status=400),
        POST("auth/${m}/login", {"role": "app"}, 400, token=None),
        POST("auth/${m}/login", {}, 400, token=None),
        GET("auth/${m}/login", 405, differs=WRONG),
        static(default_role="app"),
        log_in(role=""),
        POST("auth/${m}/role/web", {"user_claim": "sub", "allowed_redirect_uris": BACK}, 204),
        log_in(role="web", status=400),
        role("few", token_num_uses=2, token_period="5m", token_no_default_policy=True, token_policies="${m}"),
        log_in(role="few"),
    )


def test_a_renewal_needs_the_role(pair):
    pair.run(
        enable(),
        static(),
        role(token_ttl="10m"),
        log_in(save={"app": "auth.client_token"}),
        POST("auth/token/renew-self", {}, token="${app}"),
        DELETE("auth/${m}/role/app", 204),
        POST(
            "auth/token/renew-self",
            {},
            500,
            token="${app}",
            differs=Differs("no-5xx-for-bad-input", status=(400, 403), body=False),
        ),
    )


def test_times(pair):
    pair.run(
        enable(),
        static(),
        role(),
        role("strict", clock_skew_leeway=-1, expiration_leeway=-1, not_before_leeway=-1),
        role("lax", clock_skew_leeway=3600),
        good(exp=now() - 20),
        bad(exp=now() - 200),
        good(nbf=now() + 20),
        bad(nbf=now() + 200),
        good(iat=now() + 20),
        bad(iat=now() + 200),
        good(iat=now() - 100_000),
        good(exp=None),
        bad(exp=None, iat=None),
        good(exp=None, iat=None, nbf=now()),
        bad(exp=None, iat=now() - 1000),
        bad(iat=None),
        good(iat=None, exp=now() + 100),
        log_in(signed(claims(exp=now() - 20)), 400, role="strict"),
        log_in(signed(claims(nbf=now() + 60)), 400, role="strict"),
        log_in(signed(claims(exp=now() - 1800)), 200, role="lax"),
    )


def test_issuer_subject_and_audience(pair):
    pair.run(
        enable(),
        static(bound_issuer="me"),
        role(bound_subject="bob"),
        POST("auth/${m}/role/free", {"role_type": "jwt", "user_claim": "sub", "bound_subject": "bob"}, 204),
        good(iss="me"),
        bad(iss="you"),
        bad(),
        bad(iss="me", sub="eve"),
        bad(iss="me", sub=None),
        good(iss="me", aud=["x", "app"]),
        bad(iss="me", aud="x"),
        bad(iss="me", aud=["x"]),
        bad(iss="me", aud=None),
        log_in(signed(claims(iss="me")), 400, role="free"),
        log_in(signed(claims(iss="me", aud=None)), 200, role="free"),
        log_in(signed(claims(iss="me", aud=[])), 200, role="free"),
    )


def test_claims(pair):
    pair.run(
        enable(),
        static(),
        role(
            bound_claims={"org": "x", "/deep/n": 5, "flag": True, "many": ["a", "b"]}, groups_claim="groups"
        ),
        good(org="x", deep={"n": 5}, flag=True, many="b", groups=["g"]),
        good(org=["y", "x"], deep={"n": 5}, flag=True, many=["q", "a"], groups="g"),
        bad(org="y", deep={"n": 5}, flag=True, many="b", groups=[]),
        bad(org="x", deep={"n": "5"}, flag=True, many="b", groups=[]),
        bad(org="x", deep={"n": 5}, flag="true", many="b", groups=[]),
        bad(org="x", deep={"n": 5}, flag=False, many="b", groups=[]),
        bad(org="x", deep={"n": 5}, flag=True, many="c", groups=[]),
        bad(org="x", deep={"n": 5}, flag=True, groups=[]),
        bad(org={"x": 1}, deep={"n": 5}, flag=True, many="b", groups=[]),
        bad(org="x", deep={"n": 5}, flag=True, many="b"),
        bad(org="x", deep={"n": 5}, flag=True, many="b", groups=[1]),
        role(bound_claims={"ref": "refs/*/main", "any": "*"}, bound_claims_type="glob", groups_claim=""),
        good(ref="refs/heads/main", any=""),
        good(ref="refs/heads/x/main", any="a"),
        bad(ref="refs/main", any="a"),
        bad(ref=5, any="a"),
        role(
            user_claim="/who/name",
            user_claim_json_pointer=True,
            claim_mappings={"/who/mail": "mail"},
            bound_claims={},
        ),
        good(who={"name": "ann", "mail": "a@x"}),
        bad(who={"mail": "a@x"}),
        bad(who={"name": 5}),
        bad(who={"name": "ann", "mail": 5}),
        role("few", token_policies=["team-{{.team}}"], token_policies_template_claims=True),
        log_in(signed(claims(team="red")), 200, role="few"),
    )


def test_tokens_that_nobody_signed(pair):
    header, payload, signature = signed(claims()).split(".")
    none = f"{b64({'alg': 'none'})}.{payload}."
    pair.run(
        enable(),
        static(),
        role(),
        log_in("junk", 400),
        log_in("a.b.c", 400),
        log_in("..", 400),
        log_in(none, 400),
        log_in(f"{header}.{payload}.", 400),
        log_in(f"{header}.{b64(claims(sub='root'))}.{signature}", 400),
        bad(OTHER_RSA),
        bad(P256, "ES256"),
        log_in(signed(claims(), crit=["x"], x=1), 400),
        log_in(signed(claims(), jku="http://127.0.0.1:1/", kid="../../x")),
        log_in(signed(claims(), alg="PS512")),
        log_in(signed(claims(), alg="RS384")),
        static(jwt_supported_algs="PS256"),
        bad(),
        log_in(signed(claims(), alg="PS256")),
    )


def test_a_login_from_elsewhere(pair):
    pair.run(
        enable(),
        static(),
        role(token_bound_cidrs="192.0.2.0/24"),
        log_in(status=403),
        log_in(signed(claims(), OTHER_RSA), 403, differs=CIDR_LATER),
        role(token_bound_cidrs="127.0.0.0/8"),
        log_in(),
    )


def test_static_keys_of_each_kind(pair):
    keys = [pem(key) for key in (RSA, P256, P384, ED)]
    pair.run(
        enable(),
        POST("auth/${m}/config", {"jwt_validation_pubkeys": keys}, 204),
        role(),
        log_in(signed(claims(), RSA)),
        log_in(signed(claims(), P256, "ES256")),
        log_in(signed(claims(), P384, "ES384")),
        log_in(signed(claims(), ED, "EdDSA")),
        bad(OTHER_RSA),
    )


def test_a_key_set(pair, issuer):
    issuer.keys = [jwk(RSA, "k1"), jwk(P256, "k2")]
    pair.run(
        enable(),
        POST("auth/${m}/config", {"jwks_url": issuer.url + "/nothing"}, 400),
        POST("auth/${m}/config", {"jwks_url": "http://127.0.0.1:1/"}, 400),
        POST("auth/${m}/config", {"jwks_url": issuer.jwks_url, "jwks_ca_pem": "nonsense"}, 400),
        POST("auth/${m}/config", {"jwks_url": issuer.jwks_url}, 204),
        GET("auth/${m}/config"),
        role(),
        log_in(signed(claims(), kid="k1")),
        log_in(signed(claims())),
        log_in(signed(claims(), P256, "ES256", "k2")),
        bad(kid="k9"),
        bad(OTHER_RSA, kid="k1"),
    )
    issuer.keys = [jwk(OTHER_RSA, "k3")]
    pair.run(
        POST("auth/${m}/config", {"jwks_url": issuer.jwks_url}, 204),
        log_in(signed(claims(), OTHER_RSA, kid="k3")),
        bad(kid="k1"),
    )
    issuer.status = 500
    pair.run(
        log_in(signed(claims(), OTHER_RSA, kid="k3")),
        bad(kid="k7"),
        POST("auth/${m}/config", {"jwks_url": issuer.jwks_url}, 400),
        POST(
            "auth/${m}/config",
            {"jwks_url": issuer.jwks_url, "skip_jwks_validation": True},
            200,
            ignore="warnings",
        ),
        bad(OTHER_RSA, kid="k3"),
    )


def test_discovery(pair, issuer):
    pair.run(
        enable(),
        POST("auth/${m}/config", {"oidc_discovery_url": issuer.url + "/"}, 400),
        POST(
            "auth/${m}/config", {"oidc_discovery_url": issuer.url + "/.well-known/openid-configuration"}, 400
        ),
        POST("auth/${m}/config", {"oidc_discovery_url": "http://127.0.0.1:1"}, 400),
        POST("auth/${m}/config", {"oidc_discovery_url": issuer.url, "oidc_client_id": "a"}, 400),
        POST("auth/${m}/config", {"oidc_discovery_url": issuer.url}, 204),
        GET("auth/${m}/config"),
        role(),
        log_in(signed(claims(), kid="k1")),
        log_in(signed(claims(iss="anybody"), kid="k1")),
        bad(OTHER_RSA, kid="k1"),
        POST("auth/${m}/oidc/auth_url", {"role": "app", "redirect_uri": BACK}, 400, token=None),
    )


def begin(uri=BACK, status=200, **more):
    options = {"ignore": ("data.auth_url",)} if status == 200 else {}
    return POST(
        "auth/${m}/oidc/auth_url", {"role": "web", "redirect_uri": uri, **more}, status, token=None, **options
    )


def flow(issuer):
    return POST(
        "auth/${m}/config",
        {"oidc_discovery_url": issuer.url, "oidc_client_id": "broker", "oidc_client_secret": "s3cret"},
        204,
    )


def test_addresses_to_log_in_at(pair, issuer):
    web = {
        "user_claim": "sub",
        "allowed_redirect_uris": [BACK, "https://app.example/cb"],
        "oidc_scopes": "email",
    }
    pair.run(
        enable("oidc"),
        flow(issuer),
        GET("auth/${m}/config"),
        begin(status=400),
        POST("auth/${m}/role/web", {**web, "max_age": "1h"}, 204),
        begin("", 400),
        POST("auth/${m}/oidc/auth_url", {"redirect_uri": BACK}, 400, token=None),
        POST("auth/${m}/role/direct", {**web, "callback_mode": "direct", "poll_interval": 2}, 204),
        POST("auth/${m}/oidc/auth_url", {"role": "direct", "redirect_uri": BACK}, 400, token=None),
        POST("auth/${m}/oidc/callback", {"state": "x", "code": "y"}, 405, token=None, differs=WRONG),
        GET("auth/${m}/oidc/callback?state=x&code=y", 400, token=None),
        GET("auth/${m}/oidc/callback", 400, token=None),
        POST("auth/${m}/oidc/poll", {"state": "x", "client_nonce": "y"}, 400, token=None),
    )
    for uri in (
        BACK,
        "http://localhost:1/oidc/callback",
        "http://127.0.0.1:8250/oidc/callback",
        BACK + "?x=1",
        BACK + "/",
        "https://app.example/cb",
        "https://app.example/cb/",
        "https://app.example:443/cb",
        "HTTPS://app.example/cb",
        "https://app.example/cb?namespace=a/b",
    ):
        assert asked(pair.ours, uri) == asked(pair.peer, uri), uri


def asked(side, uri, role="web"):
    """What an address asks the provider for, without what is random."""
    _, reply = side.take(
        POST("auth/${m}/oidc/auth_url", {"role": role, "redirect_uri": uri, "client_nonce": "n"}, token=None)
    )
    assert reply.status == 200, reply
    parts = urlsplit(reply.body["data"]["auth_url"])
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    shapes = {
        name: (name, query.pop(name)[:2]) for name in ("state", "nonce", "code_challenge") if name in query
    }
    return parts.path, query, sorted(shapes) == sorted(("code_challenge", "nonce", "state")) or not shapes


def test_what_comes_back(pair, issuer):
    pair.run(
        enable("oidc"),
        flow(issuer),
        POST("auth/${m}/role/web", {"user_claim": "sub", "allowed_redirect_uris": BACK}, 204),
        POST(
            "auth/${m}/role/direct",
            {
                "user_claim": "sub",
                "allowed_redirect_uris": BACK,
                "callback_mode": "direct",
                "poll_interval": 2,
            },
            204,
        ),
    )
    for side in (pair.ours, pair.peer):
        _, query = _begun(side, "web")
        side.names["s1"] = query["state"]
        _, query = _begun(side, "web")
        side.names["s2"] = query["state"]
        begun, query = _begun(side, "direct")
        side.names["s3"] = begun["state"]
        assert begun["poll_interval"] == "2"
        assert begun["state"] == query["state"]
    pair.run(
        GET("auth/${m}/oidc/callback?state=${s1}&code=x&client_nonce=bad", 400, token=None),
        GET("auth/${m}/oidc/callback?state=${s1}&code=x&client_nonce=n", 400, token=None),
        GET("auth/${m}/oidc/callback?state=${s2}&error=access_denied", 400, token=None),
        GET("auth/${m}/oidc/callback?state=${s2}&code=x&client_nonce=n", 400, token=None),
        POST("auth/${m}/oidc/poll", {"state": "${s3}", "client_nonce": "n"}, 400, token=None),
        POST("auth/${m}/oidc/poll", {"state": "${s3}", "client_nonce": "bad"}, 400, token=None),
    )


def _begun(side, role):
    _, reply = side.take(
        POST("auth/${m}/oidc/auth_url", {"role": role, "redirect_uri": BACK, "client_nonce": "n"}, token=None)
    )
    data = reply.body["data"]
    return data, {k: v[0] for k, v in parse_qs(urlsplit(data["auth_url"]).query).items()}


def test_a_login_from_a_code(pair, issuer):
    pair.run(
        enable("oidc"),
        flow(issuer),
        POST(
            "auth/${m}/role/web",
            {
                "user_claim": "email",
                "allowed_redirect_uris": BACK,
                "claim_mappings": {"name": "name"},
                "bound_claims": {"org": "x"},
                "token_ttl": "5m",
            },
            204,
        ),
    )
    for wrong, status in (({}, 200), ({"nonce": "other"}, 400), ({"aud": "other"}, 400), ({"org": "y"}, 400)):
        for side in (pair.ours, pair.peer):
            _, query = _begun(side, "web")
            told = {
                "iss": issuer.url,
                "aud": "broker",
                "nonce": query["nonce"],
                "email": "b@x",
                "org": "x",
                **wrong,
            }
            issuer.answers["/token"] = (
                200,
                {"id_token": signed(claims(**told), kid="k1"), "access_token": "at", "token_type": "Bearer"},
            )
            issuer.answers["/userinfo"] = (200, {"sub": "bob", "name": "Bob"})
            side.names["state"] = query["state"]
            side.names["last"] = side.take(
                GET("auth/${m}/oidc/callback?state=${state}&code=c&client_nonce=n", token=None)
            )[1]
        ours, peer = pair.ours.names["last"], pair.peer.names["last"]
        assert (ours.status, peer.status) == (status, status), (wrong, ours, peer)
        if status == 200:
            assert (
                ours.body["auth"]["metadata"]
                == peer.body["auth"]["metadata"]
                == {"name": "Bob", "role": "web"}
            )
            assert ours.body["auth"].keys() >= peer.body["auth"].keys()
            assert ours.body["auth"]["lease_duration"] == peer.body["auth"]["lease_duration"] == 300
