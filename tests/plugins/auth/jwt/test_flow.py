"""Logins at a provider's page, against a provider that can say anything."""

from __future__ import annotations

import base64
import hashlib

import pytest
from broker_plugins.auth.jwt import waiting
from broker_plugins.auth.jwt.flow import LIFETIME
from broker_plugins.auth.jwt.redirects import allowed_redirect

from broker.plugin import Connection, InvalidRequest
from tests.plugins.auth.jwt.kits import APP, BACK, forms, said


async def test_the_address_asks_for_a_code_with_pkce_state_and_nonce(web):
    await web.set_flow_role(oidc_scopes="email,openid", max_age="1h")
    answer, query = await web.begin()
    assert answer["auth_url"].startswith(web.issuer.url + "/authorize?")
    assert set(answer) == {"auth_url"}
    assert query["client_id"] == "broker"
    assert query["redirect_uri"] == BACK
    assert query["response_type"] == "code"
    assert query["scope"] == "openid email"
    assert query["max_age"] == "3600"
    assert query["code_challenge_method"] == "S256"
    assert len(query["state"]) > 24
    assert len(query["nonce"]) > 24
    _, other = await web.begin()
    assert not {query["state"], query["nonce"], query["code_challenge"]} & set(other.values())
    assert "hunter2" not in str(answer)


async def test_a_login_from_the_code(web):
    await web.set_flow_role(
        token_policies="dev",
        groups_claim="groups",
        claim_mappings={"email": "mail"},
        bound_claims={"org": "x"},
    )
    _, query = await web.begin(client_nonce="cn")
    web.vouch(query, groups=["a"], info={"sub": "bob", "email": "bob@example.com", "org": "x"})
    auth = await web.finish(query, client_nonce="cn")
    assert (auth.alias, auth.policies, auth.group_aliases) == ("bob", ("dev",), ("a",))
    assert auth.metadata == {"role": "web", "mail": "bob@example.com"}
    form = forms(web)
    assert (form["code"], form["redirect_uri"], form["grant_type"]) == ("c0de", BACK, "authorization_code")
    digest = hashlib.sha256(form["code_verifier"].encode()).digest()
    assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == query["code_challenge"]
    assert "client_secret" not in form
    sent = next(
        headers for headers in web.issuer.sent if headers.get("authorization", "").startswith("Basic")
    )
    assert base64.b64decode(sent["authorization"][6:]) == b"broker:hunter2%2Bcanary%2F%3D"


async def test_a_provider_that_wants_the_secret_in_the_form_gets_it_there(web):
    web.issuer.discovery = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    await web.set_up()
    assert (await web.through()).alias == "bob"
    assert forms(web)["client_secret"] == "hunter2+canary/="


async def test_a_state_works_once(web):
    _, query = await web.begin()
    web.vouch(query)
    assert (await web.finish(query)).alias == "bob"
    with pytest.raises(InvalidRequest, match="Expired or missing OAuth state"):
        await web.finish(query)


@pytest.mark.parametrize("fields", [{"client_nonce": "bad"}, {}, {"client_nonce": ""}])
async def test_only_the_client_that_began_can_finish_and_a_try_uses_the_state_up(web, fields):
    _, query = await web.begin(client_nonce="cn")
    web.vouch(query)
    assert said(await web.finish(query, **fields)) == "invalid client_nonce"
    assert "/token" not in web.issuer.hits
    with pytest.raises(InvalidRequest, match="Expired or missing OAuth state"):
        await web.finish(query, client_nonce="cn")


async def test_a_state_is_good_for_ten_minutes_and_then_swept(web):
    _, query = await web.begin()
    web.vouch(query)
    web.clock.advance(LIFETIME)
    with pytest.raises(InvalidRequest, match="Expired or missing OAuth state"):
        await web.finish(query)
    web.clock.advance(2 * waiting.SWEEP_SECONDS)
    assert len(await web.wake_due()) == 1
    assert not [path for path in web.store.entries if path.startswith("pending/")]


async def test_a_sweep_leaves_what_is_still_under_way(web):
    from broker.plugin.testing.memory import MemoryView
    from broker.plugin.verbs import Verb

    _, query = await web.begin()
    path = next(path for path in web.store.entries if path.startswith("pending/")).rpartition("/")[0]
    transaction = web.store.transaction()
    await web.engine.wake(web.context(Verb.UPDATE, "", MemoryView(transaction)), path)
    transaction.commit()
    web.vouch(query)
    assert (await web.finish(query)).alias == "bob"


async def test_another_configuration_ends_what_began_under_the_one_before(web):
    _, query = await web.begin()
    await web.set_up()
    web.vouch(query)
    with pytest.raises(InvalidRequest, match="Expired or missing OAuth state"):
        await web.finish(query)


@pytest.mark.parametrize("state", ["", "st_", "x" * 2000, "../config", "é", "pending/x"])
async def test_a_state_that_nobody_began_with_is_refused(web, state):
    with pytest.raises(InvalidRequest):
        await web.read("oidc/callback", state=state, code="c")


@pytest.mark.parametrize(
    ("uri", "good"),
    [
        (BACK, True),
        ("http://localhost:1/oidc/callback", True),
        ("http://localhost/oidc/callback", True),
        (APP, True),
        ("http://127.0.0.1:8250/oidc/callback", False),
        ("https://localhost:8250/oidc/callback", False),
        (BACK + "/", False),
        (BACK + "?a=b", False),
        (BACK + "#a", False),
        ("http://localhost@evil.example/oidc/callback", False),
        ("http://evil.example@localhost:8250/oidc/callback", False),
        ("http://localhost.evil.example:8250/oidc/callback", False),
        ("http://localhost:8250\\@evil.example/oidc/callback", False),
        ("http://localhost:99999/oidc/callback", False),
        ("http://localhost:8250/oidc/../oidc/callback", False),
        (APP + "/", False),
        (APP.upper(), False),
        ("https://app.example:443/ui/cb", False),
        ("https://app.example/ui/cb?x", False),
        ("https://app.example.evil.example/ui/cb", False),
        ("https://app.example/ui/c", False),
        ("javascript:alert(1)", False),
        ("//app.example/ui/cb", False),
    ],
)
async def test_redirects_must_be_listed(web, uri, good):
    assert allowed_redirect(uri, (BACK, APP)) is good
    answer, query = await web.begin(uri)
    assert bool(answer["auth_url"]) is good
    if good:
        assert query["redirect_uri"] == uri


async def test_the_namespace_travels_in_the_state(web):
    _, query = await web.begin(BACK + "?namespace=team/a")
    assert query["redirect_uri"] == BACK
    assert query["state"].endswith(",ns=team/a")
    web.vouch(query)
    assert (await web.finish(query)).alias == "bob"
    await web.set_up(namespace_in_state=False)
    answer, _ = await web.begin(BACK + "?namespace=team/a")
    assert answer["auth_url"] == ""


async def test_what_is_missing_to_begin(web):
    with pytest.raises(InvalidRequest, match="missing redirect_uri"):
        await web.update("oidc/auth_url", role="web")
    with pytest.raises(InvalidRequest, match="missing role"):
        await web.update("oidc/auth_url", redirect_uri=BACK)
    with pytest.raises(InvalidRequest, match='role "x" could not be found'):
        await web.update("oidc/auth_url", role="x", redirect_uri=BACK)
    await web.update(
        "role/machine", role_type="jwt", user_claim="sub", bound_subject="b", allowed_redirect_uris=BACK
    )
    assert await web.update("oidc/auth_url", role="machine", redirect_uri=BACK) == {"auth_url": ""}
    await web.update("config", oidc_discovery_url=web.issuer.url)
    with pytest.raises(InvalidRequest, match="OIDC login is not configured"):
        await web.begin()


@pytest.mark.parametrize(
    "answer",
    [
        (400, {"error": "invalid_grant", "error_description": "canary"}),
        (500, b"canary"),
        (200, b"canary"),
        (200, {}),
        (200, {"id_token": 5}),
        (200, {"id_token": ""}),
        (302, b""),
    ],
    ids=str,
)
async def test_a_code_that_cannot_be_exchanged(web, answer):
    _, query = await web.begin()
    web.issuer.answers["/token"] = answer
    web.issuer.headers = {"Location": web.issuer.url + "/keys"} if answer[0] == 302 else {}
    assert said(await web.finish(query)) == "Vault login failed. Error exchanging oidc code."


async def test_a_request_that_runs_again_exchanges_the_code_once(web):
    _, query = await web.begin()
    web.vouch(query)
    before = dict(web.store.entries)
    await web.finish(query)
    web.store.entries.clear()
    web.store.entries.update(before)  # as after a conflict: the same request, from the start
    assert (await web.finish(query)).alias == "bob"
    assert web.issuer.hits.count("/token") == 1


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ("access_denied", "Vault login failed. access_denied"),
        (" ACCESS_DENIED ", "Vault login failed. access_denied"),
        (
            "<script>alert(1)</script>",
            "Vault login failed. An unknown error occurred during OIDC authentication.",
        ),
        ("x\r\nSet-Cookie: a", "Vault login failed. An unknown error occurred during OIDC authentication."),
    ],
)
async def test_what_a_provider_s_error_may_say(web, error, text):
    _, query = await web.begin()
    outcome = await web.read(
        "oidc/callback",
        state=query["state"],
        error=error,
        error_description="<script>",
        error_uri="javascript:x",
    )
    assert said(outcome).startswith(text)
    assert "<script>" not in said(outcome)


async def test_nothing_came_back(web):
    _, query = await web.begin()
    assert said(await web.read("oidc/callback", state=query["state"])) == (
        "Vault login failed. No code or id_token received."
    )


async def test_what_is_stored_of_a_login_under_way_does_not_tell_its_state(web):
    _, query = await web.begin(client_nonce="cn-canary")
    paths = [path for path in web.store.entries if path.startswith("pending/")]
    assert len(paths) == 1
    assert query["state"] not in paths[0]


# Beginning a login takes no token: what it may leave is bounded


def rows(web):
    return [path for path in web.store.entries if path.startswith("pending/")]


def comes_from(web, address):
    web.connection = Connection(remote_address=address)


async def test_one_network_takes_the_places_of_one_group_however_many_logins_it_begins(web):
    for number in range(4 * waiting.PLACES):
        comes_from(web, f"2001:db8:7::{number:x}")
        await web.begin()
    assert len(rows(web)) <= waiting.PLACES
    assert len({path.split("/")[1] for path in rows(web)}) == 1
    assert len(web.scheduled) == 1


async def test_who_shares_a_group_with_a_flood_gets_in_if_he_is_not_slow(web):
    for _ in range(4 * waiting.PLACES):
        await web.begin()
    web.clock.advance(1)
    _, query = await web.begin()
    for _ in range(waiting.PLACES // 4):
        await web.begin()
    web.vouch(query)
    assert (await web.finish(query)).alias == "bob"


async def test_a_flood_from_elsewhere_pushes_nobody_out(web):
    comes_from(web, "192.0.2.7")
    _, query = await web.begin()
    for number in range(200):
        comes_from(web, f"198.51.100.{number}")
        await web.begin()
    web.vouch(query)
    comes_from(web, "192.0.2.7")
    assert (await web.finish(query)).alias == "bob"


async def test_all_groups_together_are_all_there_is(web, monkeypatch):
    monkeypatch.setattr(waiting, "GROUPS", 3)
    for number in range(40):
        comes_from(web, f"198.51.100.{number}")
        await web.begin()
    assert len({path.split("/")[1] for path in rows(web)}) == 3
    web.clock.advance(LIFETIME + 2 * waiting.SWEEP_SECONDS)
    await web.wake_due()
    assert rows(web) == []


async def test_the_state_of_a_login_that_was_pushed_out_is_not_the_state_of_the_one_in_its_place(web):
    _, query = await web.begin()
    for _ in range(8 * waiting.PLACES):
        await web.begin()
    with pytest.raises(InvalidRequest, match="Expired or missing OAuth state"):
        await web.finish(query)
    forged = query["state"][:7] + "A" * 32
    with pytest.raises(InvalidRequest, match="Expired or missing OAuth state"):
        await web.read("oidc/callback", state=forged, code="c")


async def test_a_place_is_taken_again_once_its_login_is_over(web):
    for _ in range(40):
        assert (await web.through()).alias == "bob"
    assert rows(web) == []
