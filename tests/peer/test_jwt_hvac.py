"""``hvac``'s own classes for JWT and OIDC, used the same way at our server and at OpenBao."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from hvac.exceptions import InvalidPath, InvalidRequest

from tests.fixtures.issuer import RSA, now, pem, signed
from tests.peer.test_hvac import both  # noqa: F401 - a fixture

BACK = "http://localhost:8250/oidc/callback"


def test_jwt(both, word):  # noqa: F811
    def jwt(client):
        return client.auth.jwt

    both.do(lambda c: c.sys.enable_auth_method("jwt", path=word).status_code)
    both.do(
        lambda c: (
            jwt(c).configure(jwt_validation_pubkeys=[pem(RSA)], bound_issuer="me", path=word).status_code
        )
    )
    both.do(lambda c: jwt(c).read_config(path=word))
    made = {
        "role_type": "jwt",
        "user_claim": "sub",
        "bound_audiences": ["app"],
        "bound_claims": {"org": "x"},
        "claim_mappings": {"email": "mail"},
        "groups_claim": "groups",
        "token_ttl": "5m",
        "token_policies": ["default"],
        "allowed_redirect_uris": [BACK],
    }
    both.do(lambda c: jwt(c).create_role("app", path=word, **made).status_code)
    both.do(lambda c: jwt(c).read_role("app", path=word))
    both.do(lambda c: jwt(c).list_roles(path=word))
    token = signed(
        {
            "iss": "me",
            "sub": "bob",
            "aud": "app",
            "org": "x",
            "groups": ["a"],
            "exp": now() + 60,
            "iat": now(),
        }
    )
    both.do(lambda c: jwt(c).jwt_login("app", token, use_token=False, path=word))
    both.fails(lambda c: jwt(c).jwt_login("app", token + "A", use_token=False, path=word), InvalidRequest)
    both.do(lambda c: jwt(c).delete_role("app", path=word).status_code)
    both.fails(lambda c: jwt(c).read_role("app", path=word), InvalidPath)


def test_oidc(both, word, issuer):  # noqa: F811
    both.do(lambda c: c.sys.enable_auth_method("oidc", path=word).status_code)
    both.do(
        lambda c: (
            c.auth.oidc.configure(
                oidc_discovery_url=issuer.url, oidc_client_id="broker", oidc_client_secret="s3cret", path=word
            ).status_code
        )
    )
    both.do(lambda c: c.auth.oidc.read_config(path=word))
    both.do(
        lambda c: c.auth.oidc.create_role("web", user_claim="sub", allowed_redirect_uris=[BACK], path=word)
    )
    both.do(lambda c: c.auth.oidc.read_role("web", path=word))
    both.do(lambda c: c.auth.oidc.list_roles(path=word))

    def browse(client):
        begun = client.auth.oidc.oidc_authorization_url_request("web", BACK, path=word)
        query = {k: v[0] for k, v in parse_qs(urlsplit(begun["data"]["auth_url"]).query).items()}
        claims = {"iss": issuer.url, "aud": "broker", "sub": "bob", "exp": now() + 60, "iat": now()}
        told = signed({**claims, "nonce": query["nonce"]}, kid="k1")
        issuer.answers["/token"] = (200, {"id_token": told, "access_token": "at", "token_type": "Bearer"})
        return client.auth.oidc.oidc_callback(query["state"], query["nonce"], "c0de", path=word)

    both.do(browse, "warnings")  # OpenBao remarks on the field "nonce" that hvac sends
