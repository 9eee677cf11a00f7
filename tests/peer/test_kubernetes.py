"""The kubernetes auth method: one small cluster, which both servers ask."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator

import pytest

from tests.peer.script import DELETE, GET, LIST, POST, Differs
from tests.plugins.auth.kubernetes.cluster import EC_KEY, KEY, REVIEWER, Cluster, public_pem, serve, stop

from ..plugins.auth.cert.authority import authority

CA = authority().pem
ROLE = {"bound_service_account_names": "app", "bound_service_account_namespaces": "prod"}
STRICTER = Differs("stricter-input", status=400, body=False)
NOT_500 = Differs("no-5xx-for-bad-input", status=400, body=False)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    made = Cluster(labels={"prod": {"env": "prod"}, "dev": {"env": "dev"}})
    server = serve(made)
    yield made
    stop(server)


@pytest.fixture
def kube(pair, cluster):
    """Both mounts look at the same cluster."""
    cluster.mood, cluster.audience_aware = "", True
    for side in (pair.ours, pair.peer):
        side.names |= {"host": cluster.address, "ca": CA}
    pair.run(
        POST("sys/auth/${m}", {"type": "kubernetes"}, 204),
        POST(
            "auth/${m}/config",
            {"kubernetes_host": "${host}", "kubernetes_ca_cert": "${ca}", "token_reviewer_jwt": REVIEWER},
            204,
        ),
    )
    return pair


def log_in(token, status=200, role="app", **more):
    return POST("auth/${m}/login", {"role": role, "jwt": token}, status, token=None, **more)


def test_configuration(pair, cluster):
    for side in (pair.ours, pair.peer):
        side.names |= {"host": cluster.address, "ca": CA, "key": public_pem(KEY)}
    complete = {"kubernetes_host": "${host}", "kubernetes_ca_cert": "${ca}"}
    pair.run(
        POST("sys/auth/${m}", {"type": "kubernetes"}, 204),
        GET("auth/${m}/config", 404),
        POST("auth/${m}/config", {}, 400),
        POST("auth/${m}/config", {"kubernetes_host": "${host}"}, 400),
        POST("auth/${m}/config", {"kubernetes_host": "${host}", "disable_local_ca_jwt": True}, 400),
        POST("auth/${m}/config", {**complete, "pem_keys": ["junk"]}, 400),
        POST("auth/${m}/config", {**complete, "disable_iss_validation": "maybe"}, 400),
        POST("auth/${m}/config", {**complete, "kubernetes_ca_cert": "junk"}, 204, differs=STRICTER),
        POST("auth/${m}/config", {**complete, "kubernetes_host": "no host"}, 204, differs=STRICTER),
        POST("auth/${m}/config", complete, 204),
        GET("auth/${m}/config"),
        POST(
            "auth/${m}/config",
            {**complete, "token_reviewer_jwt": "t", "pem_keys": ["${key}"], "issuer": "me"},
            204,
        ),
        GET("auth/${m}/config"),
        POST(
            "auth/${m}/config",
            {**complete, "disable_iss_validation": False, "disable_local_ca_jwt": True},
            204,
        ),
        GET("auth/${m}/config"),
        GET("auth/${m}/config", 403, token=None),
        DELETE("auth/${m}/config", 405),
    )


def test_roles(kube):
    names, namespaces = "bound_service_account_names", "bound_service_account_namespaces"
    selector = "bound_service_account_namespace_selector"
    kube.run(
        LIST("auth/${m}/role", 404),
        POST("auth/${m}/role/app", {}, 400),
        POST("auth/${m}/role/app", {names: "app"}, 400),
        POST("auth/${m}/role/app", {namespaces: "prod"}, 400),
        POST("auth/${m}/role/app", {names: "*,app", namespaces: "*"}, 400),
        POST("auth/${m}/role/app", {names: "app", namespaces: "*,prod"}, 400),
        POST("auth/${m}/role/app", {names: "app", selector: "junk"}, 400),
        POST("auth/${m}/role/app", {names: "app", selector: '{"matchExpressions":[{"key":"a"}]}'}, 400),
        POST("auth/${m}/role/app", {names: "app", selector: "{}"}, 204, differs=STRICTER),
        POST("auth/${m}/role/app", {**ROLE, "alias_name_source": "name"}, 400),
        POST("auth/${m}/role/app", {**ROLE, "token_ttl": "2h", "token_max_ttl": "1h"}, 400),
        POST("auth/${m}/role/app", {**ROLE, "token_num_uses": -1}, 400),
        DELETE("auth/${m}/role/app", 204),
        POST("auth/${m}/role/app", ROLE, 204),
        GET("auth/${m}/role/app"),
        GET("auth/${m}/role/APP"),
        POST("auth/${m}/role/app", {"token_policies": ["a", "b"], "token_ttl": "5m"}, 204),
        GET("auth/${m}/role/app"),
        POST(
            "auth/${m}/role/Old",
            {
                names: ["app", "b-*"],
                selector: '{"matchLabels":{"env":"prod"}}',
                "audience": "vault",
                "policies": "p",
                "ttl": 60,
                "max_ttl": "2h",
                "num_uses": 3,
                "bound_cidrs": "127.0.0.0/8",
                "alias_name_source": "serviceaccount_name",
            },
            204,
        ),
        GET("auth/${m}/role/old"),
        POST("auth/${m}/role/old", {namespaces: "prod", "period": "10m"}, 204),
        GET("auth/${m}/role/old"),
        LIST("auth/${m}/role"),
        LIST("auth/${m}/role?after=app&limit=1"),
        DELETE("auth/${m}/role/app", 204),
        GET("auth/${m}/role/app", 404),
        POST("auth/${m}/role/a%20b", ROLE, 404),
    )


def test_logins(kube, cluster):
    kube.run(
        POST("auth/${m}/role/app", {**ROLE, "token_policies": "p", "token_ttl": "10m"}, 204),
        log_in(cluster.token(), save={"app": "auth.client_token"}),
        GET("auth/token/lookup-self", token="${app}"),
        log_in(cluster.legacy_token()),
        POST("auth/${m}/login", {}, 400, token=None),
        POST("auth/${m}/login", {"role": "app"}, 400, token=None),
        log_in(cluster.token(), 400, role="nothing"),
        log_in("junk", 403),
        log_in("a.b.c", 403),
        log_in(cluster.token(issued=False), 403),
        log_in(cluster.token(name="other"), 403),
        log_in(cluster.token(namespace="dev"), 403),
        log_in(cluster.token(exp=1), 403),
        log_in(cluster.token(exp=int(time.time()) - 30), 200),
        log_in(cluster.token(nbf=int(time.time()) + 600), 403),
        log_in(cluster.token(iat=int(time.time()) + 600), 403),
        log_in(cluster.token(key="k" * 32, algorithm="HS256"), 403),
        GET(
            "auth/${m}/login", 405, token=None, differs=Differs("wrong-path-or-verb", status=403, body=False)
        ),
    )


def test_a_login_under_another_name_of_its_role(kube, cluster):
    kube.run(
        POST("auth/${m}/role/app", {**ROLE, "alias_name_source": "serviceaccount_name"}, 204),
        log_in(cluster.token(), role="APP", save={"entity": "auth.entity_id"}),
        GET("identity/entity/id/${entity}", only=("data.aliases.0.name", "data.aliases.0.metadata")),
    )


def test_names_and_namespaces_with_stars(kube, cluster):
    bound = {"bound_service_account_names": "app-*,job", "bound_service_account_namespaces": "team-*-prod"}
    kube.run(
        POST("auth/${m}/role/app", bound, 204),
        log_in(cluster.token("app-one", "team-a-prod")),
        log_in(cluster.token("job", "team-b-prod")),
        log_in(cluster.token("my-app-one", "team-a-prod"), 403),
        log_in(cluster.token("app-one", "team-a-dev"), 403),
        POST("auth/${m}/role/all", dict.fromkeys(bound, "*"), 204),
        log_in(cluster.token("anyone", "anywhere"), role="all"),
    )


def test_audiences(kube, cluster):
    kube.run(
        POST("auth/${m}/role/app", {**ROLE, "audience": "vault"}, 204),
        log_in(cluster.token(), 403),
        log_in(cluster.token(audiences=("vault", "other"))),
        log_in(cluster.legacy_token(), 403),
    )
    cluster.audience_aware = False
    kube.run(log_in(cluster.token(audiences=("vault",)), 403))


def test_labels_of_namespaces(kube, cluster):
    wanted = {"bound_service_account_namespace_selector": '{"matchLabels":{"env":"prod"}}'}
    kube.run(
        POST("auth/${m}/role/app", {"bound_service_account_names": "app", **wanted}, 204),
        log_in(cluster.token()),
        log_in(cluster.token(namespace="dev"), 403),
        log_in(cluster.token(namespace="nowhere"), 403, differs=Differs("kubernetes-tells-less", body=False)),
    )


def test_keys_of_the_cluster(kube, cluster):
    settings = {"kubernetes_host": "${host}", "kubernetes_ca_cert": "${ca}", "token_reviewer_jwt": REVIEWER}
    good = cluster.token()
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    kube.run(
        POST("auth/${m}/role/app", ROLE, 204),
        POST("auth/${m}/config", {**settings, "pem_keys": [public_pem(KEY), public_pem(EC_KEY)]}, 204),
        log_in(good),
        log_in(cluster.token(key=EC_KEY, algorithm="ES256")),
        log_in(good[:-8] + "AAAAAAAA", 403),
        log_in(f"{none}.{good.split('.')[1]}.", 403),
        POST("auth/${m}/config", {**settings, "pem_keys": [public_pem(EC_KEY)]}, 204),
        log_in(good, 403),
        POST("auth/${m}/config", {**settings, "disable_iss_validation": False, "issuer": "me"}, 204),
        log_in(good, 403),
        log_in(cluster.token(iss="me")),
    )


@pytest.mark.parametrize("mood", ["redirect", "huge", "html", "broken", "slow"])
def test_a_cluster_that_misbehaves_lets_nobody_in(kube, cluster, mood):
    kube.run(POST("auth/${m}/role/app", ROLE, 204))
    cluster.mood = mood
    kube.run(log_in(cluster.token(), 403))


def test_without_a_reviewer_the_token_reviews_itself(kube, cluster):
    kube.run(
        POST("auth/${m}/role/app", ROLE, 204),
        POST("auth/${m}/config", {"kubernetes_host": "${host}", "kubernetes_ca_cert": "${ca}"}, 204),
        log_in(cluster.token()),
        log_in(cluster.token(issued=False), 403),
    )


def test_the_network_of_a_login(kube, cluster):
    kube.run(
        POST("auth/${m}/role/app", {**ROLE, "token_bound_cidrs": "10.0.0.0/8"}, 204),
        log_in(cluster.token(), 403),
    )


def test_a_login_before_there_is_a_configuration(pair, cluster):
    pair.run(
        POST("sys/auth/${m}", {"type": "kubernetes"}, 204),
        POST("auth/${m}/role/app", ROLE, 204),
        log_in(cluster.token(), 500, differs=NOT_500),
    )


def test_hvac(kube, cluster):
    import hvac

    token = cluster.token()
    seen = []
    for server in kube.servers:
        client = hvac.Client(url=server.address, token="root")
        kubernetes = client.auth.kubernetes
        kubernetes.configure(
            cluster.address, kubernetes_ca_cert=CA, token_reviewer_jwt=REVIEWER, mount_point=kube.word
        )
        kubernetes.create_role("app", ["app"], ["prod"], policies=["p"], ttl="1h", mount_point=kube.word)
        role = kubernetes.read_role("app", mount_point=kube.word)
        listed = kubernetes.list_roles(mount_point=kube.word)
        answer = kubernetes.login("app", token, mount_point=kube.word)
        assert client.is_authenticated()
        seen.append((role, listed, answer["auth"]["policies"], answer["auth"]["metadata"]))
        client.adapter.close()
    assert seen[0] == seen[1]


def test_a_renewal_as_long_as_there_is_the_role(kube, cluster):
    kube.run(
        POST("auth/${m}/role/app", {**ROLE, "token_ttl": "10m"}, 204),
        log_in(cluster.token(), save={"app": "auth.client_token"}),
        POST("auth/${m}/role/app", {"token_ttl": "5m"}, 204),
        POST("auth/token/renew-self", {}, token="${app}"),
        DELETE("auth/${m}/role/app", 204),
        POST("auth/token/renew-self", {}, 500, token="${app}", differs=NOT_500),
    )


def test_times_beyond_the_mounts(kube):
    kube.run(
        POST("auth/${m}/role/app", {**ROLE, "token_period": "9000h"}, 400),
        POST("auth/${m}/role/app", {**ROLE, "token_max_ttl": "9000h"}, 200),
        POST("auth/${m}/role/app", {**ROLE, "token_max_ttl": "1h", "token_period": "1h"}, 204),
    )
