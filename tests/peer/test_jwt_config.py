"""The configuration and the roles of ``auth/jwt`` and ``auth/oidc`` beside the peer."""

from __future__ import annotations

from tests.fixtures.issuer import ED, P256, RSA, pem
from tests.peer.jwtsteps import BACK, ROLE, enable, log_in, role, static
from tests.peer.script import DELETE, GET, LIST, POST, PUT, WRONG, Differs

UNKNOWN = Differs("unknown-fields", status=400, body=False)
STRICTER = Differs("stricter-input", status=400, body=False)


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
