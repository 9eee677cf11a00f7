"""Logins with signed tokens beside the peer: one issuer for both, with keys made for the test."""

from __future__ import annotations

from tests.fixtures.issuer import ED, OTHER_RSA, P256, P384, RSA, b64, jwk, now, pem, signed
from tests.peer.jwtsteps import BACK, bad, claims, enable, good, log_in, role, static
from tests.peer.script import DELETE, GET, POST, WRONG, Differs

CIDR_LATER = Differs("signature-first", status=400, body=False)


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
