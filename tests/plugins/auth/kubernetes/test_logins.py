"""A service account's token opens a role if the cluster says so, and what it says agrees."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.plugin import InvalidRequest, PermissionDenied

from ..cert.authority import authority, ip, make
from .asking import claims_of, parts, refused
from .cluster import AUDIENCE, REVIEWER, Cluster, serve, stop


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
