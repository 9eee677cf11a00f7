"""Logins in which the client polls (direct, device), or the provider has the browser post its answer."""

from __future__ import annotations

import pytest

from broker.plugin import Connection, InvalidRequest, PermissionDenied, Raw, UnsupportedOperation
from tests.plugins.auth.jwt.kits import forms, said

# Direct: the browser brings the answer here, and the client polls.


@pytest.fixture
async def direct(web):
    await web.set_flow_role(callback_mode="direct", poll_interval=2)
    return web


async def test_a_direct_login_is_confirmed_and_polled(direct):
    with pytest.raises(InvalidRequest, match="missing client_nonce"):
        await direct.begin()
    answer, query = await direct.begin(client_nonce="cn")
    assert answer["state"] == query["state"]
    assert answer["poll_interval"] == "2"
    poll = {"state": answer["state"], "client_nonce": "cn"}
    with pytest.raises(InvalidRequest, match=r"^authorization_pending$"):
        await direct.update("oidc/poll", **poll)
    direct.vouch(query)
    page = await direct.finish(query)
    assert isinstance(page, Raw)
    assert page.status == 200
    assert b"192.0.2.7" in page.body
    assert b"<b>web</b>" in page.body
    assert "/token" not in direct.issuer.hits
    done = await direct.finish(query, confirmation="yes")
    assert (done.status, done.content_type) == (200, "text/html; charset=utf-8")
    with pytest.raises(InvalidRequest, match="Expired or missing"):
        await direct.finish(query, confirmation="yes")
    assert (await direct.update("oidc/poll", **poll)).alias == "bob"
    with pytest.raises(InvalidRequest, match="Expired or missing"):
        await direct.update("oidc/poll", **poll)


@pytest.mark.parametrize("nonce", [None, "", "CN", "other"])
async def test_only_the_client_that_began_gets_the_token_and_others_cannot_spoil_it(direct, nonce):
    answer, query = await direct.begin(client_nonce="cn")
    direct.vouch(query)
    await direct.finish(query, confirmation="yes")
    given = {} if nonce is None else {"client_nonce": nonce}
    with pytest.raises(InvalidRequest, match="invalid client_nonce"):
        await direct.update("oidc/poll", state=answer["state"], **given)
    assert (await direct.update("oidc/poll", state=answer["state"], client_nonce="cn")).alias == "bob"


async def test_the_confirmation_page_shows_what_it_was_given_as_text(direct):
    _, query = await direct.begin(client_nonce="cn")
    evil = '"><script>alert(1)</script>'
    page = await direct.read("oidc/callback", state=query["state"], code=evil, error=evil)
    assert b"<script>" not in page.body
    assert b"&lt;script&gt;" in page.body
    assert b"default-src &#x27;none&#x27;" in page.body or b"default-src 'none'" in page.body
    failed = await direct.read("oidc/callback", state=query["state"], error=evil, confirmation="yes")
    assert failed.status == 400
    assert b"<script>" not in failed.body
    with pytest.raises(InvalidRequest, match="Expired or missing"):
        await direct.update("oidc/poll", state=query["state"], client_nonce="cn")


async def test_a_role_can_do_without_the_confirmation(direct):
    await direct.set_flow_role(callback_mode="direct", oidc_disable_confirmation=True)
    answer, query = await direct.begin(client_nonce="cn")
    direct.vouch(query)
    assert b"signed in" in (await direct.finish(query)).body
    assert (await direct.update("oidc/poll", state=answer["state"], client_nonce="cn")).alias == "bob"


async def test_a_role_that_is_gone_gives_no_token(direct):
    answer, query = await direct.begin(client_nonce="cn")
    direct.vouch(query)
    await direct.finish(query, confirmation="yes")
    await direct.delete("role/web")
    with pytest.raises(InvalidRequest, match="Role could not be found"):
        await direct.update("oidc/poll", state=answer["state"], client_nonce="cn")


async def test_the_polling_client_must_come_from_the_role_s_networks(direct):
    await direct.set_flow_role(callback_mode="direct", token_bound_cidrs="192.0.2.0/24")
    answer, query = await direct.begin(client_nonce="cn")
    direct.vouch(query)
    await direct.finish(query, confirmation="yes")
    direct.connection = Connection(remote_address="198.51.100.1")
    with pytest.raises(PermissionDenied):
        await direct.update("oidc/poll", state=answer["state"], client_nonce="cn")


# Form post: the provider has the browser post its answer here.


async def test_a_posted_answer_is_kept_and_then_taken(web):
    await web.set_up(oidc_response_mode="form_post")
    _, query = await web.begin()
    assert query["response_mode"] == "form_post"
    web.vouch(query)
    page = await web.update("oidc/callback", state=query["state"], code="c0de", session_state="x")
    assert b"/ui/vault/auth/test/oidc/callback?code=no_code&amp;state=" in page.body
    assert "/token" not in web.issuer.hits
    again = await web.update("oidc/callback", state=query["state"], code="other")
    assert again.status == 400  # the first answer stands
    assert (await web.read("oidc/callback", state=query["state"], code="no_code")).alias == "bob"
    assert forms(web)["code"] == "c0de"


async def test_a_posted_token_is_verified_as_any(web):
    await web.set_up(oidc_response_mode="form_post", oidc_response_types="id_token")
    for wrong, good in (({"nonce": "other"}, False), ({}, True)):
        _, query = await web.begin()
        assert query["response_type"] == "id_token"
        assert "code_challenge" not in query
        await web.update("oidc/callback", state=query["state"], id_token=web.id_token(query, **wrong))
        outcome = await web.read("oidc/callback", state=query["state"])
        if good:
            assert outcome.alias == "bob"
        else:
            assert said(outcome).startswith("Token verification failed.")


async def test_posting_is_off_unless_configured(web):
    _, query = await web.begin()
    with pytest.raises(UnsupportedOperation):
        await web.update("oidc/callback", state=query["state"], code="c")
    await web.set_up(oidc_response_mode="form_post")
    assert (await web.update("oidc/callback", state="nobody's", code="c")).status == 400


# Device: the client polls, and we ask the provider.


async def test_a_device_login(web):
    await web.set_flow_role(callback_mode="device", oidc_scopes="email")
    device = {
        "device_code": "dc-canary",
        "user_code": "ABCD",
        "verification_uri": "https://idp.example/d",
        "interval": 7,
    }
    web.issuer.answers["/device"] = (200, device)
    answer = await web.update("oidc/auth_url", role="web", client_nonce="cn")
    assert answer["auth_url"] == "https://idp.example/d"
    assert (answer["user_code"], answer["poll_interval"]) == ("ABCD", "7")
    assert "canary" not in str(answer)
    poll = {"state": answer["state"], "client_nonce": "cn"}
    for word in ("authorization_pending", "slow_down"):
        web.issuer.answers["/token"] = (400, {"error": word})
        with pytest.raises(InvalidRequest, match=f"^{word}$"):
            await web.update("oidc/poll", **poll)
    with pytest.raises(InvalidRequest, match="invalid client_nonce"):
        await web.update("oidc/poll", state=answer["state"], client_nonce="other")
    web.vouch({})
    assert (await web.update("oidc/poll", **poll)).alias == "bob"
    assert forms(web)["device_code"] == "dc-canary"
    with pytest.raises(InvalidRequest, match="Expired or missing"):
        await web.update("oidc/poll", **poll)


async def test_a_device_login_that_the_user_refuses(web):
    await web.set_flow_role(callback_mode="device")
    web.issuer.answers["/device"] = (
        200,
        {"device_code": "d", "verification_uri_complete": "https://idp.example/d?c"},
    )
    answer = await web.update("oidc/auth_url", role="web", client_nonce="cn")
    assert answer["auth_url"] == "https://idp.example/d?c"
    assert "user_code" not in answer
    web.issuer.answers["/token"] = (400, {"error": "access_denied", "error_description": "canary"})
    assert (
        said(await web.update("oidc/poll", state=answer["state"], client_nonce="cn"))
        == "authorization failed"
    )
    with pytest.raises(InvalidRequest, match="Expired or missing"):
        await web.update("oidc/poll", state=answer["state"], client_nonce="cn")
    with pytest.raises(InvalidRequest, match="Expired or missing"):
        await web.read("oidc/callback", state=answer["state"], code="c")


async def test_a_provider_without_devices(web):
    await web.set_flow_role(callback_mode="device")
    web.issuer.discovery = {"device_authorization_endpoint": ""}
    await web.set_up()
    with pytest.raises(InvalidRequest, match="no device auth endpoint"):
        await web.update("oidc/auth_url", role="web", client_nonce="cn")
