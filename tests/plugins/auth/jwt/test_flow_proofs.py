"""What a provider tells of who logged in counts only as far as it is proven."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest

from broker.plugin import PermissionDenied
from tests.fixtures.issuer import OTHER_RSA
from tests.plugins.auth.jwt.kits import said


@pytest.mark.parametrize(
    "wrong",
    [
        {"nonce": "other"},
        {"nonce": None},
        {"nonce": 5},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"aud": "other"},
        {"aud": None},
        {"aud": ["broker", "other"]},
        {"azp": "other"},
        {"exp": 1000},
        {"exp": None},
        {"iat": None},
        {"sub": None},
        {"key": OTHER_RSA},
        {"alg": "RS512"},
        {"at_hash": "AAAA"},
        {"at_hash": 5},
    ],
    ids=lambda wrong: "another key" if "key" in wrong else str(wrong),
)
async def test_an_id_token_that_does_not_prove_it_is_refused(web, wrong):
    assert said(await web.through(**wrong)).startswith("Token verification failed.")


async def test_an_id_token_without_a_signature_is_refused(web):
    for alg in ("none", "HS256"):
        _, query = await web.begin()
        web.vouch(query)
        body = web.issuer.answers["/token"][1]
        _, payload, signature = body["id_token"].split(".")
        header = base64.urlsafe_b64encode(json.dumps({"alg": alg}).encode()).rstrip(b"=").decode()
        body["id_token"] = f"{header}.{payload}.{signature}"
        assert said(await web.finish(query)).startswith("Token verification failed.")


async def test_the_access_token_s_hash_is_compared(web):
    half = hashlib.sha256(b"at-1").digest()[:16]
    good = base64.urlsafe_b64encode(half).rstrip(b"=").decode()
    assert (await web.through(at_hash=good)).alias == "bob"
    assert said(await web.through(at_hash=good, access_token="at-2")).startswith("Token verification failed.")


async def test_other_audiences_if_the_role_names_them(web):
    await web.set_flow_role(bound_audiences="api")
    assert (await web.through(aud=["api", "broker"], azp="broker")).alias == "bob"
    assert said(await web.through(aud="broker")).startswith("Token verification failed.")


async def test_who_authenticated_too_long_ago_is_refused(web):
    await web.set_flow_role(max_age="5m")
    now = int(web.clock.now)
    assert (await web.through(auth_time=now - 299)).alias == "bob"
    for when in (now - 400, None, "now", True):
        assert "too long ago" in said(await web.through(auth_time=when))


@pytest.mark.parametrize(
    "info",
    [{"sub": "eve", "org": "x"}, {"org": "x"}, [], "x", b"nonsense", {"sub": ["bob"], "org": "x"}],
    ids=str,
)
async def test_what_is_told_of_somebody_else_is_not_heard(web, info):
    await web.set_flow_role(bound_claims={"org": "x"})
    assert 'claim "org" is missing' in said(await web.through(info=info))


async def test_what_is_told_besides_cannot_change_the_token(web):
    await web.set_flow_role(claim_mappings={"iss": "issuer", "email": "mail"})
    auth = await web.through(info={"sub": "bob", "iss": "evil", "aud": "evil", "email": "e"})
    assert auth.metadata == {"issuer": web.issuer.url, "mail": "e", "role": "web"}


async def test_a_provider_that_tells_nothing_besides_is_no_obstacle(web):
    _, query = await web.begin()
    web.vouch(query)
    web.issuer.answers["/userinfo"] = (500, b"")
    assert (await web.finish(query)).alias == "bob"


async def test_bound_subject_claims_and_networks_hold_here_too(web):
    await web.set_flow_role(bound_subject="eve")
    assert "sub claim does not match" in said(await web.through())
    await web.set_flow_role(bound_claims={"a": "b"})
    assert 'claim "a" does not match' in said(await web.through(a="c"))
    await web.set_flow_role(groups_claim="groups")
    assert "failed to fetch groups" in said(await web.through())
    await web.set_flow_role(token_bound_cidrs="10.0.0.0/8")
    with pytest.raises(PermissionDenied):
        await web.through()


async def test_tokens_of_the_provider_as_metadata_if_asked_for(web):
    await web.set_flow_role(oauth2_metadata="access_token,id_token")
    auth = await web.through()
    assert auth.metadata["oauth2_access_token"] == "at-1"
    assert auth.metadata["oauth2_id_token"].count(".") == 2
    assert auth.alias_metadata == {"role": "web"}
