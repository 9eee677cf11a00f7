"""A service account's token opens a role if the cluster says so, and what it says agrees."""

import base64
import json
import time

import pytest
from cryptography.hazmat.primitives import hashes, hmac
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.plugin import InvalidRequest, Login, PermissionDenied, Secret, Verb
from broker.plugin.testing.memory import MemoryView

from ..cert.authority import authority, ip, make
from .cluster import AUDIENCE, EC_KEY, KEY, REVIEWER, Cluster, public_pem, serve, stop


async def refused(kit, token, text="permission denied", role="app"):
    with pytest.raises(PermissionDenied) as refusal:
        await kit.log_in(token, role)
    assert str(refusal.value) == text


def parts(header, payload, signature=b""):
    def encode(raw):
        data = raw if isinstance(raw, bytes) else json.dumps(raw).encode()
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    return ".".join((encode(header), encode(payload), encode(signature)))


def claims_of(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


async def test_the_cluster_is_asked_about_the_token_by_the_reviewer(kit, cluster):
    token = cluster.token()
    auth = await kit.log_in(token)
    (asked,) = cluster.seen
    assert asked["path"] == "/apis/authentication.k8s.io/v1/tokenreviews"
    assert asked["bearer"] == f"Bearer {REVIEWER}"
    assert asked["body"] == {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token, "audiences": [AUDIENCE]},
    }
    assert auth.alias == "uid-of-app"
    assert auth.policies == ("p",)
    assert auth.metadata == {
        "role": "app",
        "service_account_name": "app",
        "service_account_namespace": "prod",
        "service_account_secret_name": "",
        "service_account_uid": "uid-of-app",
    }


async def test_what_need_not_be_asked_is_not_asked(kit, cluster):
    for token, text in (
        (cluster.token(name="other"), "service account name not authorized"),
        (cluster.token(namespace="dev"), "namespace not authorized"),
        (cluster.token(exp=int(time.time()) - 120), "invalid expiration time (exp) claim: token is expired"),
        (cluster.token(nbf=int(time.time()) + 120), "invalid not before (nbf) claim: token not yet valid"),
        (
            cluster.token(iat=int(time.time()) + 120),
            "invalid issued at (iat) claim: token issued in the future",
        ),
    ):
        await refused(kit, token, text)
    assert cluster.seen == []


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "NONE"},
        {"alg": "HS256"},
        {"alg": "PS256"},
        {"alg": "RS256", "crit": ["exp"]},
        {"alg": "RS256", "b64": False},
        {"alg": None},
        {},
    ],
)
async def test_a_token_with_an_odd_header_is_not_sent_on(kit, cluster, header):
    await refused(kit, parts(header, claims_of(cluster.token()), b"x" * 256))
    assert cluster.seen == []


@pytest.mark.parametrize(
    "claims",
    [
        [],
        "text",
        {},
        {"kubernetes.io": "x"},
        {"kubernetes.io": {"namespace": "prod", "serviceaccount": "app"}},
        {"kubernetes.io": {"namespace": "prod", "serviceaccount": {"name": "app"}}},
        {"kubernetes.io": {"namespace": "prod", "serviceaccount": {"name": "app", "uid": ""}}},
        {"kubernetes.io": {"namespace": "../x", "serviceaccount": {"name": "app", "uid": "u"}}},
        {"kubernetes.io": {"namespace": "prod", "serviceaccount": {"name": "app\n", "uid": "u"}}},
        {"kubernetes.io": {"namespace": "prod", "serviceaccount": {"name": ["app"], "uid": "u"}}},
    ],
)
async def test_claims_that_name_no_account_are_not_sent_on(kit, cluster, claims):
    await kit.role(bound_service_account_names="*", bound_service_account_namespaces="*")
    await refused(kit, parts({"alg": "RS256"}, claims, b"x" * 256))
    assert cluster.seen == []


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("exp", "soon"),
        ("exp", True),
        ("exp", [1]),
        ("nbf", {}),
        ("aud", 5),
        ("aud", [AUDIENCE, 5]),
        ("aud", {"a": 1}),
        ("aud", ["x"] * 100),
    ],
)
async def test_claims_of_the_wrong_type_are_refused(kit, cluster, claim, value):
    await refused(kit, parts({"alg": "RS256"}, {**claims_of(cluster.token()), claim: value}, b"x" * 256))


@pytest.mark.parametrize(
    "payload",
    [b'{"exp":1,"exp":9999999999}', b'{"exp":Infinity}', b'{"exp":NaN}', b"[" * 5000, b"\xff\xfe", b""],
)
async def test_claims_that_are_no_strict_json_are_refused(kit, payload):
    await refused(kit, parts({"alg": "RS256"}, payload, b"x" * 256))


@settings(max_examples=60, deadline=None)
@given(
    st.text(max_size=200) | st.tuples(st.binary(max_size=40), st.binary(max_size=80)).map(lambda p: parts(*p))
)
async def test_junk_is_refused_and_nothing_else(text):
    from .conftest import Kit

    kit = Kit()
    await kit.configure("http://127.0.0.1:9")
    await kit.role(bound_service_account_names="*", bound_service_account_namespaces="*")
    with pytest.raises((PermissionDenied, InvalidRequest)):
        await kit.log_in(text)


async def test_an_oversized_token_is_refused_by_its_length(kit):
    with pytest.raises(InvalidRequest, match="at most 16384"):
        await kit.log_in("x" * 20_000)


async def test_a_token_of_the_old_kind_needs_no_audience(kit, cluster):
    auth = await kit.log_in(cluster.legacy_token())
    assert auth.metadata["service_account_secret_name"] == "app-token-x1"
    assert "audiences" not in cluster.seen[0]["body"]["spec"]


async def test_the_audience_of_the_role_is_asked_for_and_must_be_confirmed(kit, cluster):
    await kit.role(audience="broker")
    await refused(
        kit,
        cluster.token(),
        "invalid audience (aud) claim: audience claim does not match any expected audience",
    )
    assert (await kit.log_in(cluster.token(audiences=("other", "broker")))).alias == "uid-of-app"
    assert cluster.seen[-1]["body"]["spec"]["audiences"] == ["broker"]
    assert (await kit.log_in(cluster.token(audiences="broker"))).alias == "uid-of-app"
    cluster.audience_aware = False  # an API server that knows nothing of audiences confirms none
    await refused(kit, cluster.token(audiences=("broker",)))


async def test_a_token_the_cluster_does_not_know_is_refused(kit, cluster):
    await refused(kit, cluster.token(issued=False))
    deleted = cluster.token()
    del cluster.live[deleted]
    await refused(kit, deleted)


@pytest.mark.parametrize("field", ["name", "namespace", "uid"])
async def test_what_the_cluster_says_must_agree_with_the_token(kit, cluster, field):
    token = cluster.token()
    cluster.live[token] = {**cluster.live[token], field: "another"}
    await refused(kit, token)


USER = {"username": "system:serviceaccount:prod:app", "uid": "uid-of-app"}


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        "yes",
        {"status": None},
        {"status": {"authenticated": "true", "user": USER, "audiences": [AUDIENCE]}},
        {"status": {"authenticated": 1, "user": USER, "audiences": [AUDIENCE]}},
        {"status": {"user": USER, "audiences": [AUDIENCE]}},
        {"status": {"authenticated": True, "error": "but no", "user": USER, "audiences": [AUDIENCE]}},
        {"status": {"authenticated": True, "user": USER}},
        {"status": {"authenticated": True, "user": USER, "audiences": AUDIENCE}},
        {"status": {"authenticated": True, "user": None, "audiences": [AUDIENCE]}},
        {"status": {"authenticated": True, "audiences": [AUDIENCE]}},
        {
            "status": {
                "authenticated": True,
                "user": {**USER, "username": "system:serviceaccount:prod:app:x"},
                "audiences": [AUDIENCE],
            }
        },
        {
            "status": {
                "authenticated": True,
                "user": {**USER, "username": "app"},
                "audiences": [AUDIENCE],
            }
        },
        {"kind": "Status", "status": "Success"},
    ],
)
async def test_anything_but_a_clear_yes_is_a_no(kit, cluster, answer):
    cluster.mood, cluster.answer = "odd", answer
    await refused(kit, cluster.token())
    good = {"status": {"authenticated": True, "user": USER, "audiences": [AUDIENCE]}}
    cluster.answer = good
    assert (await kit.log_in(cluster.token())).alias == "uid-of-app"


@pytest.mark.parametrize("mood", ["redirect", "huge", "html", "broken"])
async def test_a_cluster_that_misbehaves_lets_nobody_in(kit, cluster, mood):
    cluster.mood = mood
    await refused(kit, cluster.token())
    assert {request["path"] for request in cluster.seen} == {"/apis/authentication.k8s.io/v1/tokenreviews"}


async def test_a_slow_cluster_is_given_up_on(kit, cluster, monkeypatch):
    monkeypatch.setattr("broker_plugins.auth.kubernetes.cluster.TIMEOUT_SECONDS", 0.05)
    cluster.mood = "slow"
    await refused(kit, cluster.token())


async def test_a_cluster_that_is_away_lets_nobody_in_and_no_secret_out(kit, cluster, caplog):
    token = cluster.token()
    await kit.configure("http://127.0.0.1:9")
    await refused(kit, token)
    await kit.configure(cluster.address, token_reviewer_jwt="not the reviewer's")
    await refused(kit, token)
    assert token not in caplog.text
    assert "reviewer's" not in caplog.text


async def test_over_tls_only_the_configured_authority_counts(kit, tmp_path):
    root = authority("Cluster")
    files = make("api", issuer=root, names=ip("127.0.0.1")).files(tmp_path, "api")
    cluster = Cluster()
    server = serve(cluster, files)
    try:
        await kit.configure(cluster.address, kubernetes_ca_cert=root.pem)
        assert (await kit.log_in(cluster.token())).alias == "uid-of-app"
        await kit.configure(cluster.address, kubernetes_ca_cert=authority("Cluster").pem)
        await refused(kit, cluster.token())
    finally:
        stop(server)


# Keys of the cluster


async def test_with_keys_the_signature_is_checked_before_the_cluster_is_asked(kit, cluster):
    await kit.configure(cluster.address, pem_keys=[public_pem(KEY)])
    assert (await kit.log_in(cluster.token())).alias == "uid-of-app"
    cluster.seen.clear()
    good = cluster.token()
    for forged in (
        cluster.token(key=EC_KEY, algorithm="ES256"),
        good[:-8] + "AAAAAAAA",
        good.rpartition(".")[0] + ".",
        parts({"alg": "none"}, claims_of(good)),
        _keyed_with_the_public_key(good),
    ):
        cluster.live[forged] = cluster.live[good]
        await refused(kit, forged)
    assert cluster.seen == []


def _keyed_with_the_public_key(token):
    signed = parts({"alg": "HS256"}, claims_of(token)).rpartition(".")[0]
    mac = hmac.HMAC(public_pem(KEY).encode(), hashes.SHA256())
    mac.update(signed.encode())
    return signed + "." + base64.urlsafe_b64encode(mac.finalize()).rstrip(b"=").decode()


async def test_a_key_may_come_in_a_certificate_and_be_one_of_several(kit, cluster):
    holder = make("signer", key=KEY)
    await kit.configure(cluster.address, pem_keys=[public_pem(EC_KEY), holder.pem])
    for token in (cluster.token(), cluster.token(key=EC_KEY, algorithm="ES256")):
        assert (await kit.log_in(token)).alias == "uid-of-app"


# Bounds


async def test_labels_of_the_namespace_can_stand_for_its_name(kit, cluster):
    await kit.role(
        bound_service_account_namespaces=[],
        bound_service_account_namespace_selector="matchLabels:\n  env: prod\n",
    )
    assert (await kit.log_in(cluster.token())).alias == "uid-of-app"
    await refused(kit, cluster.token(namespace="dev"), "namespace not authorized")
    await refused(kit, cluster.token(namespace="nowhere"))
    cluster.seen.clear()
    await refused(kit, cluster.token(issued=False))
    assert [request["path"] for request in cluster.seen] == ["/apis/authentication.k8s.io/v1/tokenreviews"]


async def test_a_namespace_that_is_named_needs_no_labels(kit, cluster):
    await kit.role(bound_service_account_namespace_selector='{"matchLabels":{"env":"dev"}}')
    assert (await kit.log_in(cluster.token())).alias == "uid-of-app"
    assert (await kit.log_in(cluster.token(namespace="dev"))).alias == "uid-of-app"


async def test_labels_are_looked_up_by_the_reviewer_only(kit, cluster):
    await kit.configure(cluster.address, token_reviewer_jwt="")
    await kit.role(
        bound_service_account_namespaces=[],
        bound_service_account_namespace_selector='{"matchLabels":{"env":"prod"}}',
    )
    with pytest.raises(PermissionDenied, match="needs to be configured"):
        await kit.log_in(cluster.token())


@pytest.mark.parametrize(
    ("bound", "name", "good"),
    [
        ("*", "x", True),
        ("app-*", "app-1", True),
        ("app-*", "my-app-1", False),
        ("a,b*", "b2", True),
        ("", "x", None),
    ],
)
async def test_names_match_with_stars(kit, cluster, bound, name, good):
    if good is None:
        with pytest.raises(InvalidRequest, match="can not be empty"):
            await kit.role(bound_service_account_names=bound)
        return
    await kit.role(bound_service_account_names=bound)
    token = cluster.token(name=name)
    if good:
        assert (await kit.log_in(token)).metadata["service_account_name"] == name
    else:
        await refused(kit, token, "service account name not authorized")


@pytest.mark.parametrize(
    "selector",
    [
        "junk",
        "{}",
        "[]",
        '{"matchLabels":{}}',
        '{"matchLabels":{"a":1}}',
        '{"matchLabels":{"a":"b"},"other":1}',
        '{"matchExpressions":[]}',
        "a: &a [x]\nb: [*a, *a]",
        "!!python/object/apply:os.system [id]",
        "[" * 3000,
    ],
)
async def test_a_selector_that_selects_nothing_in_particular_is_refused(kit, selector):
    with pytest.raises(InvalidRequest, match="namespace_selector"):
        await kit.role(bound_service_account_namespace_selector=selector)


async def test_the_issuer_counts_where_it_is_asked_for(kit, cluster):
    await kit.configure(cluster.address, disable_iss_validation=False)
    await refused(kit, cluster.token(), "invalid issuer (iss) claim")
    assert (await kit.log_in(cluster.legacy_token())).alias == "uid-of-app"
    await kit.configure(cluster.address, disable_iss_validation=False, issuer=AUDIENCE)
    assert (await kit.log_in(cluster.token())).alias == "uid-of-app"


async def test_the_alias_can_be_the_name(kit, cluster):
    await kit.role(alias_name_source="serviceaccount_name")
    assert (await kit.log_in(cluster.token())).alias == "prod/app"


async def test_a_network_that_is_not_bound_is_refused_before_the_cluster_is_asked(kit, cluster):
    await kit.role(token_bound_cidrs="10.0.0.0/8")
    await refused(kit, cluster.token())
    assert cluster.seen == []


async def test_without_a_reviewer_the_token_reviews_itself(kit, cluster):
    await kit.configure(cluster.address, token_reviewer_jwt="")
    token = cluster.token()
    assert (await kit.log_in(token)).alias == "uid-of-app"
    assert cluster.seen[-1]["bearer"] == f"Bearer {token}"


async def test_in_a_pod_its_own_token_and_authority_are_used_and_read_anew(
    kit, cluster, tmp_path, monkeypatch
):
    monkeypatch.setattr("broker_plugins.auth.kubernetes.local.FOLDER", tmp_path)
    with pytest.raises(InvalidRequest, match="does not run in a pod"):
        await kit.configure(cluster.address, kubernetes_ca_cert="")
    (tmp_path / "ca.crt").write_text(authority("Pod").pem)
    (tmp_path / "token").write_text(REVIEWER + "\n")
    await kit.configure(cluster.address, kubernetes_ca_cert="", token_reviewer_jwt="")
    assert (await kit.log_in(cluster.token())).alias == "uid-of-app"
    assert cluster.seen[-1]["bearer"] == f"Bearer {REVIEWER}"
    (tmp_path / "token").write_text("renewed")
    await refused(kit, cluster.token())
    assert cluster.seen[-1]["bearer"] == "Bearer renewed"
    (tmp_path / "ca.crt").unlink()
    await refused(kit, cluster.token())


# Configuration


async def test_the_reviewers_token_is_never_read_back(kit):
    shown = await kit.read("config")
    assert shown["token_reviewer_jwt_set"] is True
    assert REVIEWER not in repr(shown)
    from broker_plugins.auth.kubernetes.records import Config

    assert REVIEWER not in repr(Config(host="h", token_reviewer_jwt=REVIEWER))


@pytest.mark.parametrize(
    "bad",
    [
        {"kubernetes_host": ""},
        {"kubernetes_host": "ftp://x"},
        {"kubernetes_host": "https://user:pass@x"},
        {"kubernetes_host": "https://x y"},
        {"kubernetes_ca_cert": "", "disable_local_ca_jwt": True},
        {"kubernetes_ca_cert": "junk"},
        {"pem_keys": ["junk"]},
        {"token_reviewer_jwt": "two\nlines"},
        {"token_reviewer_jwt": "snow☃"},
    ],
)
async def test_a_configuration_that_cannot_work_is_refused_and_the_old_one_stays(kit, cluster, bad):
    before = dict(kit.store.entries)
    with pytest.raises(InvalidRequest) as refusal:
        await kit.configure(cluster.address, **bad)
    assert "pass@" not in str(refusal.value)
    assert kit.store.entries == before


@pytest.mark.parametrize("spelling", ["root", "ROOT", " root", "root\u200b", "default,root"])
async def test_no_spelling_of_root_is_given_out(kit, spelling):
    with pytest.raises(InvalidRequest):
        await kit.role(token_policies=[spelling])


async def test_a_renewal_takes_the_roles_times_while_it_is_there(kit):
    login = Login("uid-of-app", ("p",), {}, {"role": "app"})
    context = kit.context(Verb.UPDATE, "", MemoryView(kit.store.transaction()))
    assert (await kit.engine.renew_login(context, login)).ttl.total_seconds() == 600
    await kit.delete("role/app")
    context = kit.context(Verb.UPDATE, "", MemoryView(kit.store.transaction()))
    with pytest.raises(InvalidRequest, match="does not exist during renewal"):
        await kit.engine.renew_login(context, login)


def test_the_role_of_a_login_is_what_it_names():
    from .conftest import Kit

    engine = Kit().engine
    assert engine.role_of("login", {"role": "App", "jwt": Secret("x")}) == "app"
    assert engine.role_of("login", {}) == engine.role_of("role/x", {"role": "app"}) == ""
