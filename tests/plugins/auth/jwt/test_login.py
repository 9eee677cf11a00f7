"""Logins with tokens that a trusted key did sign: times, names, claims, and what the login gets."""

from __future__ import annotations

from datetime import timedelta

import pytest
from broker_plugins.auth.jwt.claims import claim
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.plugin import Connection, InvalidRequest, Login, PermissionDenied
from broker.plugin.names import glob
from broker.plugin.verbs import Verb
from tests.fixtures.issuer import OTHER_RSA, RSA, pem, signed

NOT_YET = "invalid not before \\(nbf\\) claim: token not yet valid"
EXPIRED = "invalid expiration time \\(exp\\) claim: token is expired"


async def test_a_login_gets_what_its_role_says(kit):
    await kit.set_role(
        token_policies="dev,ops",
        token_ttl="5m",
        token_max_ttl="1h",
        token_num_uses=3,
        claim_mappings={"email": "mail", "/org/unit": "unit", "absent": "x"},
        groups_claim="groups",
    )
    auth = await kit.log_in(email="bob@example.com", org={"unit": "a"}, groups=["x", "", "y", "x"])
    assert (auth.alias, auth.display_name) == ("bob", "bob")
    assert auth.metadata == auth.alias_metadata == {"mail": "bob@example.com", "unit": "a", "role": "app"}
    assert auth.group_aliases == ("x", "y")
    assert auth.policies == ("dev", "ops")
    assert (auth.ttl, auth.max_ttl, auth.num_uses) == (timedelta(minutes=5), timedelta(hours=1), 3)


async def test_the_role_may_be_left_to_the_mount(kit):
    with pytest.raises(InvalidRequest, match="missing role"):
        await kit.log_in(None, "")
    await kit.update("config", jwt_validation_pubkeys=pem(RSA), default_role="APP")
    assert (await kit.log_in(None, "")).metadata == {"role": "app"}
    assert (await kit.log_in(None, "APP")).metadata == {"role": "app"}


async def test_without_a_good_signature_nobody_learns_which_roles_there_are(kit):
    await kit.set_role("browser", role_type="oidc", allowed_redirect_uris="http://localhost/")
    await kit.set_role("elsewhere", token_bound_cidrs="192.0.2.0/24")
    texts = set()
    for role in ("app", "nothing", "browser", "elsewhere"):
        with pytest.raises(InvalidRequest) as caught:
            await kit.log_in(None, role, key=OTHER_RSA)
        texts.add(str(caught.value))
    assert len(texts) == 1


async def test_with_one_they_are_told_what_is_wrong(kit):
    await kit.set_role("browser", role_type="oidc", allowed_redirect_uris="http://localhost/")
    with pytest.raises(InvalidRequest, match='role "nothing" could not be found'):
        await kit.log_in(None, "nothing")
    with pytest.raises(InvalidRequest, match="role with oidc role_type is not allowed"):
        await kit.log_in(None, "browser")
    with pytest.raises(InvalidRequest, match="missing token"):
        await kit.log_in("")
    for odd in ("../app", "a b", "x" * 300, "app/", "\u212aapp", "\uff21pp"):
        with pytest.raises(InvalidRequest, match="the role could not be found"):
            await kit.log_in(None, odd)


async def test_nothing_works_before_it_is_configured(kit):
    kit.store.entries.clear()
    with pytest.raises(InvalidRequest, match="could not load configuration"):
        await kit.log_in()


async def test_a_login_must_come_from_the_role_s_networks(kit):
    await kit.set_role(token_bound_cidrs="192.0.2.0/24")
    kit.connection = Connection(remote_address="192.0.2.9")
    assert (await kit.log_in()).bound_cidrs == ("192.0.2.0/24",)
    kit.connection = Connection(remote_address="198.51.100.1")
    with pytest.raises(PermissionDenied):
        await kit.log_in()


# Times. Each row: claims relative to now, and what becomes of the token with the default leeways (150, 150, 60 seconds).
@pytest.mark.parametrize(
    ("times", "refusal"),
    [
        ({"exp": -59}, None),
        ({"exp": -61}, EXPIRED),
        ({"nbf": 59}, None),
        ({"nbf": 61}, NOT_YET),
        ({"iat": 59}, None),
        ({"iat": 61}, NOT_YET),
        ({"iat": -100_000}, None),
        ({"exp": None, "iat": -209}, None),
        ({"exp": None, "iat": -211}, EXPIRED),
        ({"exp": None, "iat": None, "nbf": -209}, None),
        ({"exp": None, "iat": None, "nbf": -211}, EXPIRED),
        ({"iat": None, "exp": 200}, None),
        ({"iat": None, "exp": 220}, NOT_YET),
        ({"exp": None, "iat": None}, "no issued at"),
    ],
)
async def test_times_with_the_default_leeway(kit, times, refusal):
    now = int(kit.clock.now)
    claims = {name: None if value is None else now + value for name, value in times.items()}
    if refusal is None:
        assert (await kit.log_in(**claims)).alias == "bob"
    else:
        with pytest.raises(InvalidRequest, match=refusal):
            await kit.log_in(**claims)


@pytest.mark.parametrize(
    ("leeways", "times", "good"),
    [
        ({"clock_skew_leeway": -1}, {"exp": 0}, True),
        ({"clock_skew_leeway": -1}, {"exp": -1}, False),
        ({"clock_skew_leeway": -1}, {"nbf": 1}, False),
        ({"clock_skew_leeway": 300}, {"exp": -299}, True),
        ({"clock_skew_leeway": 300}, {"nbf": 299}, True),
        ({"clock_skew_leeway": -1, "expiration_leeway": -1}, {"exp": None}, True),
        ({"clock_skew_leeway": -1, "expiration_leeway": -1}, {"exp": None, "iat": -1}, False),
        ({"clock_skew_leeway": -1, "expiration_leeway": 10}, {"exp": None, "iat": -10}, True),
        ({"clock_skew_leeway": -1, "not_before_leeway": 600}, {"iat": None}, True),
        ({"clock_skew_leeway": -1, "not_before_leeway": -1}, {"iat": None}, False),
    ],
)
async def test_times_with_leeways_of_the_role(kit, leeways, times, good):
    await kit.set_role(**leeways)
    now = int(kit.clock.now)
    claims = {name: None if value is None else now + value for name, value in times.items()}
    if good:
        assert (await kit.log_in(**claims)).alias == "bob"
    else:
        with pytest.raises(InvalidRequest, match="error validating token"):
            await kit.log_in(**claims)


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", ["soon", "1700000100", True, [], {}, -1, 1 << 50, 1e300], ids=repr)
async def test_a_time_that_is_none_is_refused(kit, name, value):
    with pytest.raises(InvalidRequest, match=f"invalid {name} claim"):
        await kit.log_in(_unchecked({**kit.claims(), name: value}))


@pytest.mark.parametrize(
    ("aud", "good"),
    [
        ("app", True),
        (["app"], True),
        (["other", "app"], True),
        ("other", False),
        (["other"], False),
        ([], False),
        (None, False),
        ("APP", False),
        ("app ", False),
        ("app,other", False),
        (5, False),
        ({"app": 1}, False),
        (["app", 5], False),
        ([["app"]], False),
        (True, False),
    ],
)
async def test_the_audience_must_be_bound(kit, aud, good):
    if good:
        assert (await kit.log_in(aud=aud)).alias == "bob"
    else:
        with pytest.raises(InvalidRequest, match="audience"):
            await kit.log_in(_unchecked(kit.claims(aud=aud)))


async def test_an_audience_that_no_role_is_bound_to_is_refused(kit):
    await kit.set_role(bound_audiences=None, bound_subject="bob")
    with pytest.raises(InvalidRequest, match="no audiences bound to the role"):
        await kit.log_in()
    assert (await kit.log_in(aud=None)).alias == "bob"
    assert (await kit.log_in(aud=[])).alias == "bob"


async def test_issuer_and_subject_must_be_the_bound_ones(kit):
    await kit.update("config", jwt_validation_pubkeys=pem(RSA), bound_issuer="me")
    await kit.set_role(bound_subject="bob")
    assert (await kit.log_in(iss="me")).alias == "bob"
    for iss in ("you", None, "ME", ["me"], 1):
        with pytest.raises(InvalidRequest, match="invalid issuer"):
            await kit.log_in(_unchecked(kit.claims(iss=iss)))
    for sub in ("eve", None, "Bob"):
        with pytest.raises(InvalidRequest, match="invalid subject"):
            await kit.log_in(iss="me", sub=sub)


def _unchecked(claims: dict) -> str:
    """A token whose claims the signing library would refuse."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

    from tests.fixtures.issuer import b64

    text = f"{b64({'alg': 'RS256'})}.{b64(claims)}"
    return f"{text}.{b64(RSA.sign(text.encode(), PKCS1v15(), hashes.SHA256()))}"


@pytest.mark.parametrize(
    ("bound", "value", "good"),
    [
        ("x", "x", True),
        ("x", "X", False),
        ("x", ["y", "x"], True),
        (["x", "y"], "y", True),
        (["x", "y"], ["z"], False),
        ([], "x", False),
        (5, 5, True),
        (5, 5.0, True),
        (5, 5.7, False),
        (5, "5", False),
        ("5", 5, False),
        (1, True, False),
        (True, 1, False),
        (True, True, True),
        (False, False, True),
        (0, False, False),
        ("x", {"x": 1}, False),
        ("x", None, False),
        ("x", [["x"]], False),
        ("x*", "xy", False),
    ],
)
async def test_bound_claims(kit, bound, value, good):
    await kit.set_role(bound_claims={"/deep/org": bound})
    token = signed({**kit.claims(), "deep": {"org": value}})
    if good:
        assert (await kit.log_in(token)).alias == "bob"
    else:
        with pytest.raises(InvalidRequest, match='error validating claims: claim "/deep/org"') as caught:
            await kit.log_in(token)
        assert "'x'" not in str(caught.value)


async def test_every_bound_claim_must_fit(kit):
    await kit.set_role(bound_claims={"a": "1", "b": "2"})
    assert (await kit.log_in(a="1", b="2")).alias == "bob"
    for claims in ({"a": "1"}, {"b": "2"}, {"a": "1", "b": "1"}):
        with pytest.raises(InvalidRequest, match="error validating claims"):
            await kit.log_in(**claims)


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("team-*", "team-a", True),
        ("team-*", "team-", True),
        ("team-*", "xteam-a", False),
        ("*", "", True),
        ("*", "anything/at\nall", True),
        ("*@example.com", "bob@example.com", True),
        ("*@example.com", "bob@example.com.evil", False),
        ("a*b*c", "a-b-c", True),
        ("a*b*c", "acb", False),
        ("ab*ba", "aba", False),
        ("a**b", "ab", True),
        ("a?c", "abc", False),
        ("[ab]", "a", False),
        (".*", "x", False),
        ("", "", True),
        ("", "x", False),
        ("repo:org/*:ref:*", "repo:org/app:ref:main", True),
    ],
)
async def test_globs(kit, pattern, text, fits):
    assert glob(pattern, text) is fits
    await kit.set_role(bound_claims={"g": [pattern, "never"]}, bound_claims_type="glob")
    if fits:
        assert (await kit.log_in(g=text)).alias == "bob"
    else:
        with pytest.raises(InvalidRequest, match="does not match"):
            await kit.log_in(g=text)


@given(st.lists(st.text("ab", max_size=3), min_size=1, max_size=5), st.text("ab", max_size=10))
@settings(max_examples=100)
def test_globs_agree_with_a_regular_expression(parts, text):
    import re

    expected = re.fullmatch(".*".join(map(re.escape, parts)), text, re.DOTALL) is not None
    assert glob("*".join(parts), text) is expected


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("a", {"b": ["x", {"c/d": 1, "e~f": 2}]}),
        ("/a/b/0", "x"),
        ("/a/b/1/c~1d", 1),
        ("/a/b/1/e~0f", 2),
        ("/a/b/2", None),
        ("/a/b/-1", None),
        ("/a/b/00", None),
        ("/a/b/x", None),
        ("/a/b/0/c", None),
        ("/nothing", None),
        ("a/b", "flat"),
        ("https://example.com/team", "t"),
        ("/", "empty"),
    ],
)
def test_json_pointers(where, found):
    claims = {
        "a": {"b": ["x", {"c/d": 1, "e~f": 2}]},
        "a/b": "flat",
        "https://example.com/team": "t",
        "": "empty",
    }
    assert claim(claims, where) == found


async def test_the_user_claim(kit):
    await kit.set_role(user_claim="/user/name", user_claim_json_pointer=True)
    assert (await kit.log_in(user={"name": "ann"})).alias == "ann"
    await kit.set_role(user_claim="/user/name")
    assert (await kit.log_in(signed({**kit.claims(), "/user/name": "flat"}))).alias == "flat"
    with pytest.raises(InvalidRequest, match='claim "/user/name" not found in token'):
        await kit.log_in(user={"name": "ann"})
    await kit.set_role(user_claim="n")
    for value in (5, True, ["bob"], {"a": 1}):
        with pytest.raises(InvalidRequest, match='claim "n" could not be converted to string'):
            await kit.log_in(n=value)
    for value in ("", "x" * 600, "a\nb", "a\0b"):
        with pytest.raises(InvalidRequest, match='claim "n" is no name'):
            await kit.log_in(n=value)


@pytest.mark.parametrize("value", [5, None, {"a": 1}, ["a", 5], ["a", None], [["a"]], True])
async def test_groups_of_the_wrong_kind_are_refused(kit, value):
    await kit.set_role(groups_claim="groups")
    with pytest.raises(InvalidRequest, match='"groups" claim'):
        await kit.log_in(signed({**kit.claims(), "groups": value}))


@pytest.mark.parametrize(
    ("value", "names"), [("a", ("a",)), ([], ()), ([""], ()), ("", ()), (["b", "a"], ("b", "a"))]
)
async def test_groups(kit, value, names):
    await kit.set_role(groups_claim="/in/groups")
    assert (await kit.log_in(signed({**kit.claims(), "in": {"groups": value}}))).group_aliases == names


async def test_metadata_must_be_text(kit):
    await kit.set_role(claim_mappings={"email": "mail"})
    for value in (5, True, ["a"], {}):
        with pytest.raises(InvalidRequest, match="error converting claim 'email' to string"):
            await kit.log_in(email=value)


async def test_policies_may_be_named_by_claims(kit):
    await kit.set_role(
        token_policies=["team-{{.team}}", "{{ .org.unit }}-read", "plain"],
        token_policies_template_claims=True,
    )
    auth = await kit.log_in(team="red", org={"unit": "a"})
    assert auth.policies == ("team-red", "a-read", "plain")
    for claims in (
        {},
        {"team": "red"},
        {"team": ["red"], "org": {"unit": "a"}},
        {"team": True, "org": {"unit": "a"}},
    ):
        with pytest.raises(InvalidRequest, match="failed to template policy"):
            await kit.log_in(**claims)


async def test_a_renewal_needs_the_role_and_takes_its_times(kit):
    await kit.set_role(token_ttl=60, token_period=30)
    login = Login(alias="bob", policies=(), metadata={}, internal={"role": "app"})
    ctx = kit.context(Verb.UPDATE, "", _view(kit))
    auth = await kit.engine.renew_login(ctx, login)
    assert (auth.ttl, auth.period) == (timedelta(seconds=60), timedelta(seconds=30))
    await kit.delete("role/app")
    with pytest.raises(PermissionDenied):
        await kit.engine.renew_login(kit.context(Verb.UPDATE, "", _view(kit)), login)


def _view(kit):
    from broker.plugin.testing.memory import MemoryView

    return MemoryView(kit.store.transaction())


def test_the_role_of_a_login_is_known_to_quotas(kit):
    assert kit.engine.role_of("login", {"role": "App"}) == "app"
    assert kit.engine.role_of("login", {}) == kit.engine.role_of("login", {"role": 5}) == ""
    assert kit.engine.role_of("config", {"role": "app"}) == ""
