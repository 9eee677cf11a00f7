"""Logins at a provider's page, against a provider that can say anything."""

from __future__ import annotations

import base64
import hashlib
import json
from urllib.parse import parse_qs, urlsplit

import pytest
from broker_plugins.auth.jwt import OidcMethod
from broker_plugins.auth.jwt.flow import LIFETIME
from broker_plugins.auth.jwt.redirects import allowed_redirect

from broker.plugin import Connection, InvalidRequest, PermissionDenied, Plain, Raw, UnsupportedOperation
from tests.fixtures.issuer import OTHER_RSA, RSA, signed
from tests.plugins.auth.jwt.conftest import Kit

BACK = "http://localhost:8250/oidc/callback"
APP = "https://app.example/ui/cb"
CLIENT = {"oidc_client_id": "broker", "oidc_client_secret": "hunter2+canary/="}


class Browser(Kit):
    """A mount with a provider, and what a client and a browser do with it."""

    issuer: object

    async def set_up(self, **fields):
        await self.update("config", oidc_discovery_url=self.issuer.url, **CLIENT, **fields)

    async def set_flow_role(self, **fields):
        await self.delete("role/web")
        given = {"user_claim": "sub", "allowed_redirect_uris": [BACK, APP], **fields}
        await self.update("role/web", **given)

    async def begin(self, redirect_uri=BACK, **fields):
        answer = await self.update("oidc/auth_url", role="web", redirect_uri=redirect_uri, **fields)
        found = {name: values[0] for name, values in parse_qs(urlsplit(answer["auth_url"]).query).items()}
        return answer, found

    def id_token(self, query, key=RSA, alg="RS256", **more):
        now = int(self.clock.now)
        claims = {
            "iss": self.issuer.url,
            "aud": "broker",
            "sub": "bob",
            "nonce": query.get("nonce"),
            "exp": now + 300,
            "iat": now,
            **more,
        }
        return signed(
            {name: value for name, value in claims.items() if value is not None}, key, alg, kid="k1"
        )

    def vouch(self, query, key=RSA, alg="RS256", access_token="at-1", info=None, **more):
        """Have the provider vouch for bob: its token endpoint and its userinfo."""
        self.issuer.answers["/token"] = (
            200,
            {
                "id_token": self.id_token(query, key, alg, **more),
                "access_token": access_token,
                "token_type": "Bearer",
            },
        )
        self.issuer.answers["/userinfo"] = (200, {"sub": "bob"} if info is None else info)

    async def finish(self, query, **fields):
        return await self.read("oidc/callback", state=query["state"], code="c0de", **fields)

    async def through(self, **fields):
        """The whole way, with a token that says ``fields``."""
        _, query = await self.begin()
        self.vouch(query, **fields)
        return await self.finish(query)


@pytest.fixture
async def web(issuer):
    kit = Browser(OidcMethod)
    kit.issuer = issuer
    kit.connection = Connection(remote_address="192.0.2.7")
    await kit.set_up()
    await kit.set_flow_role()
    return kit


def said(outcome) -> str:
    assert isinstance(outcome, Plain), outcome
    assert outcome.status == 400
    return outcome.body["errors"][0]


def forms(kit):
    return {name: value for form in kit.issuer.forms for name, value in form.items()}


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
    assert len(await web.wake_due()) == 1
    assert not [path for path in web.store.entries if path.startswith("pending/")]


async def test_a_sweep_leaves_what_is_still_under_way(web):
    from broker.plugin.testing.memory import MemoryView
    from broker.plugin.verbs import Verb

    _, query = await web.begin()
    path = next(path for path in web.store.entries if path.startswith("pending/"))
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


async def test_what_is_stored_of_a_login_under_way_does_not_tell_its_state(web):
    _, query = await web.begin(client_nonce="cn-canary")
    paths = [path for path in web.store.entries if path.startswith("pending/")]
    assert len(paths) == 1
    assert query["state"] not in paths[0]
