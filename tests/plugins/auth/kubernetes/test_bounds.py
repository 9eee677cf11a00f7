"""Keys, bounds and settings: what an operator says of the cluster and of the accounts it takes."""

import base64

import pytest
from cryptography.hazmat.primitives import hashes, hmac

from broker.plugin import InvalidRequest, Login, PermissionDenied, Secret, Verb
from broker.plugin.testing.memory import MemoryView

from ..cert.authority import authority, make
from .asking import claims_of, parts, refused
from .cluster import AUDIENCE, EC_KEY, KEY, REVIEWER, public_pem

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
