"""Logins at a provider's page beside the peer: what both ask the provider for, and what they make of its answer."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from tests.fixtures.issuer import signed
from tests.peer.jwtsteps import BACK, claims, enable
from tests.peer.script import GET, POST, WRONG


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
