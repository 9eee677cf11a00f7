"""Response wrapping: an answer handed over once."""

from __future__ import annotations

import pytest

from tests.peer.script import DELETE, GET, LIST, POST, PUT, Differs, Step

WRAP = {"X-Vault-Wrap-TTL": "2m"}


def test_wrap_look_up_unwrap_once(pair):
    pair.run(
        POST("sys/mounts/${m}", {"type": "kv"}, 204),
        POST("${m}/app", {"v": 1}, 204),
        GET("${m}/app", headers=WRAP, save={"w": "wrap_info.token"}),
        POST("sys/wrapping/lookup", {"token": "${w}"}),
        POST("sys/wrapping/lookup", {"token": "${w}"}, token=None),
        POST("sys/wrapping/unwrap", {"token": "${w}"}),
        POST("sys/wrapping/unwrap", {"token": "${w}"}, 400),
        POST("sys/wrapping/lookup", {"token": "${w}"}, 400),
        GET("${m}/app", headers=WRAP, save={"w": "wrap_info.token"}),
        POST("sys/wrapping/unwrap", {}, token="${w}"),
        POST("sys/wrapping/unwrap", {}, 400, token="${w}"),
    )


def test_wrap_rewrap_and_own_data(pair):
    pair.run(
        POST("sys/wrapping/wrap", {"mine": 1}, headers=WRAP, save={"w": "wrap_info.token"}),
        POST("sys/wrapping/rewrap", {"token": "${w}"}, save={"w2": "wrap_info.token"}),
        POST("sys/wrapping/unwrap", {"token": "${w}"}, 400),
        POST("sys/wrapping/unwrap", {"token": "${w2}"}),
        POST("sys/wrapping/wrap", {"mine": 1}, 400),
        POST("sys/wrapping/unwrap", {"token": "nothing"}, 400),
        POST("sys/wrapping/lookup", {}, 400),
    )


def test_wrapping_a_token_and_nothing(pair):
    pair.run(
        POST("auth/token/create", {"policies": ["default"]}, headers=WRAP, save={"w": "wrap_info.token"}),
        POST("sys/wrapping/unwrap", {"token": "${w}"}, save={"tok": "auth.client_token"}),
        GET("auth/token/lookup-self", token="${tok}"),
        PUT("sys/policies/acl/${m}", {"policy": 'path "a" { capabilities = ["read"] }'}, 204, headers=WRAP),
        GET("sys/policies/acl/nothing-${m}", 404, headers=WRAP),
        GET("sys/health", headers=WRAP),
        GET("auth/token/lookup-self", 400, headers={"X-Vault-Wrap-TTL": "soon"}),
        GET("auth/token/lookup-self", 400, headers={"X-Vault-Wrap-TTL": "-1s"}),
        GET("auth/token/lookup-self", 200, headers={"X-Vault-Wrap-TTL": "0"}, only="data.policies"),
    )


OTHER = 'path "other/*" { capabilities = ["read"] }'


def wrapped(name: str = "w", path: str = "cubbyhole/${m}") -> Step:
    return GET(path, headers=WRAP, save={name: "wrap_info.token"})


@pytest.fixture
def something(pair):
    pair.run(
        POST("cubbyhole/${m}", {"v": 1, "big": 12345678901234567890, "deep": {"a": [1, None, True]}}, 204)
    )
    yield pair
    pair.run(DELETE("cubbyhole/${m}", 204))


def test_whoever_shows_the_token_needs_a_token_to_unwrap_it(something):
    something.run(
        PUT("sys/policies/acl/${m}", {"policy": OTHER}, 204),
        POST(
            "auth/token/create",
            {"policies": ["${m}"], "no_default_policy": True},
            save={"poor": "auth.client_token"},
        ),
        POST("auth/token/create", {"policies": ["default"]}, save={"user": "auth.client_token"}),
        wrapped(),
        POST("sys/wrapping/unwrap", {"token": "${w}"}, 403, token=None),
        POST("sys/wrapping/unwrap", {"token": "${w}"}, 403, token="garbage"),
        POST("sys/wrapping/unwrap", {"token": "${w}"}, 403, token="${poor}"),
        POST("sys/wrapping/rewrap", {"token": "${w}"}, 403, token=None),
        POST("sys/wrapping/rewrap", {"token": "${w}"}, 403, token="${poor}"),
        POST("sys/wrapping/rewrap", {"token": "${w}"}, 403, token="${user}"),
        POST("sys/wrapping/lookup", {"token": "${w}"}, token="${poor}"),
        POST("sys/wrapping/lookup", {"token": "${w}"}, token="garbage"),
        POST("sys/wrapping/unwrap", {"token": "${w}"}, token="${user}"),
        POST("sys/wrapping/unwrap", {"token": "${w}"}, 400, token="${user}"),
        POST("sys/wrapping/unwrap", {"token": "${w}"}, 400, token=None),
    )


def test_a_wrapping_token_as_the_callers_own(something):
    something.run(
        wrapped(),
        GET("sys/wrapping/lookup", token="${w}"),
        POST("sys/wrapping/lookup", {}, token="${w}"),
        PUT("sys/wrapping/lookup", token="${w}"),
        PUT("sys/wrapping/unwrap", token="${w}"),
        PUT("sys/wrapping/unwrap", 400, token="${w}"),
        GET("sys/wrapping/lookup", 400, token="${w}"),
        wrapped(),
        GET("auth/token/lookup-self", 403, token="${w}"),
        PUT("sys/wrapping/unwrap", 400, token="${w}"),
        wrapped(),
        POST("sys/wrapping/rewrap", 403, token="${w}"),
        wrapped(),
        GET("sys/wrapping/unwrap", 403, token="${w}"),
        wrapped(),
        LIST("sys/wrapping/lookup", 403, token="${w}"),
        wrapped(),
        POST(
            "sys/wrapping/unwrap",
            {"token": "${w}"},
            500,
            token="${w}",
            differs=Differs("no-5xx-for-bad-input", status=200, body=False),
        ),
    )


def test_the_wrapping_token_seen_as_a_token(something):
    something.run(
        wrapped(),
        POST("auth/token/lookup", {"token": "${w}"}),
        POST("auth/token/renew", {"token": "${w}"}, 400),
        POST("auth/token/create", 403, token="${w}"),
        wrapped(),
        POST("auth/token/revoke", {"token": "${w}"}, 204),
        POST("sys/wrapping/unwrap", {"token": "${w}"}, 400),
        POST("auth/token/create", {"policies": ["response-wrapping"]}, 400),
        GET("sys/policies/acl/response-wrapping", only="data.name"),
        DELETE("sys/policies/acl/response-wrapping", 400),
        PUT("sys/policies/acl/response-wrapping", {"policy": 'path "a" { capabilities = ["read"] }'}, 400),
    )


@pytest.mark.parametrize("token", ["root", "nothing", "hvs.CAESINotAToken", "\u00fc", None], ids=repr)
@pytest.mark.parametrize("path", ["lookup", "unwrap", "rewrap"])
def test_what_is_no_wrapping_token(pair, path, token):
    pair.run(POST(f"sys/wrapping/{path}", {"token": token}, 400))


@pytest.mark.parametrize("path", ["lookup", "unwrap", "rewrap"])
def test_no_token_at_all(pair, path):
    pair.run(
        POST(f"sys/wrapping/{path}", {}, 403, token=None),
        POST(f"sys/wrapping/{path}", {"token": ""}, 403, token=None),
        POST(f"sys/wrapping/{path}", {"token": ""}, 403),
        POST(f"sys/wrapping/{path}", {"token": "nothing"}, 400, token=None),
    )


def test_rewrapping_never_lengthens(something):
    something.run(
        wrapped(),
        POST(
            "sys/wrapping/rewrap",
            {"token": "${w}"},
            headers={"X-Vault-Wrap-TTL": "1m"},
            save={"w": "wrap_info.token"},
        ),
        POST("sys/wrapping/lookup", {"token": "${w}"}),
        POST(
            "sys/wrapping/rewrap",
            {"token": "${w}"},
            headers={"X-Vault-Wrap-TTL": "9m"},
            save={"w": "wrap_info.token"},
        ),
        POST("sys/wrapping/lookup", {"token": "${w}"}),
        POST("sys/wrapping/unwrap", {"token": "${w}"}),
    )


def test_wrapping_what_was_unwrapped(something):
    something.run(
        wrapped(),
        POST("sys/wrapping/unwrap", {"token": "${w}"}, headers=WRAP, save={"w": "wrap_info.token"}),
        POST("sys/wrapping/lookup", {"token": "${w}"}),
        POST("sys/wrapping/unwrap", {"token": "${w}"}),
    )


@pytest.mark.parametrize(
    "body",
    [{"a": {"b": [1, "x", None]}}, {"token": "mine"}, {"ttl": "1h", "data": {}}, {"ü": "é\u0000"}],
    ids=repr,
)
def test_own_values_come_back(pair, body):
    pair.run(
        POST("sys/wrapping/wrap", body, headers=WRAP, save={"w": "wrap_info.token"}),
        POST("sys/wrapping/unwrap", {"token": "${w}"}),
    )


def test_nothing_wrapped_is_nothing_back(pair):
    pair.run(
        POST("sys/wrapping/wrap", {}, headers=WRAP, save={"w": "wrap_info.token"}),
        POST("sys/wrapping/unwrap", {"token": "${w}"}),
        GET("sys/wrapping/wrap", 405, headers=WRAP),
        POST("sys/wrapping/wrap", {"a": 1}, 400, headers={"X-Vault-Wrap-TTL": "0"}),
        POST("sys/wrapping/wrap", {"a": 1}, 403, token=None, headers=WRAP),
    )


@pytest.mark.parametrize("ttl", ["60", "1h", "90000h", "1m30s"])
def test_the_ttl_is_as_asked(something, ttl):
    something.run(
        GET("cubbyhole/${m}", headers={"X-Vault-Wrap-TTL": ttl}, save={"w": "wrap_info.token"}),
        POST("sys/wrapping/lookup", {"token": "${w}"}),
        POST("auth/token/lookup", {"token": "${w}"}),
    )


@pytest.mark.parametrize("ttl", ["soon", "-1s", "0.5", "1h-"])
def test_a_ttl_that_is_none(something, ttl):
    something.run(GET("cubbyhole/${m}", 400, headers={"X-Vault-Wrap-TTL": ttl}))


@pytest.mark.parametrize("path", ["sys/mounts", "sys/internal/ui/mounts", "auth/token/lookup-self"])
def test_any_answer_can_be_wrapped(pair, path):
    pair.run(
        wrapped(path=path),
        POST("sys/wrapping/lookup", {"token": "${w}"}),
        POST("sys/wrapping/unwrap", {"token": "${w}"}, only="wrap_info"),
        POST("sys/wrapping/unwrap", {"token": "${w}"}, 400),
    )


def test_lists_are_wrapped_and_their_absence_is_not(something):
    something.run(
        LIST("cubbyhole", headers=WRAP, save={"w": "wrap_info.token"}),
        POST("sys/wrapping/unwrap", {"token": "${w}"}, mine="data.keys"),
        LIST("cubbyhole/${m}-none", 404, headers=WRAP, ignore="errors"),
    )


LIMITED = """
path "cubbyhole/*" {
  capabilities = ["read", "update", "create"]
  min_wrapping_ttl = "1m"
  max_wrapping_ttl = "5m"
}
"""


def test_a_policy_bounds_the_wrapping_ttl(pair):
    pair.run(
        PUT("sys/policies/acl/${m}", {"policy": LIMITED}, 204),
        POST(
            "auth/token/create",
            {"policies": ["${m}"], "no_default_policy": True},
            save={"tok": "auth.client_token"},
        ),
        GET("cubbyhole/x", 403, token="${tok}"),
        GET("cubbyhole/x", 403, token="${tok}", headers={"X-Vault-Wrap-TTL": "30s"}),
        GET("cubbyhole/x", 403, token="${tok}", headers={"X-Vault-Wrap-TTL": "6m"}),
        POST("cubbyhole/x", {"a": 1}, 204, token="${tok}", headers={"X-Vault-Wrap-TTL": "2m"}),
        GET("cubbyhole/x", token="${tok}", headers={"X-Vault-Wrap-TTL": "2m"}, save={"w": "wrap_info.token"}),
        POST("sys/wrapping/unwrap", {"token": "${w}"}),
    )


def test_wrapping_inside_a_namespace(pair):
    pair.run(
        POST("sys/namespaces/${m}", only="data.path"),
        POST("sys/mounts/kv", {"type": "kv"}, 204, namespace="${m}"),
        POST("kv/a", {"v": 1}, 204, namespace="${m}"),
        GET("kv/a", namespace="${m}", headers=WRAP, save={"w": "wrap_info.token"}),
        POST("sys/wrapping/lookup", {"token": "${w}"}, namespace="${m}"),
        POST("sys/wrapping/lookup", {"token": "${w}"}, namespace="${m}", token=None),
        PUT("sys/wrapping/unwrap", token="${w}", namespace="${m}"),
        PUT("sys/wrapping/unwrap", 400, token="${w}", namespace="${m}"),
        wrapped(path="sys/mounts"),
        POST("sys/wrapping/lookup", {"token": "${w}"}, namespace="${m}"),
        POST("sys/wrapping/unwrap", {"token": "${w}"}, namespace="${m}", only="wrap_info"),
        POST("sys/wrapping/unwrap", {"token": "${w}"}, 400, namespace="${m}"),
        GET("kv/a", namespace="${m}", headers=WRAP, save={"w": "wrap_info.token"}),
        POST(
            "sys/wrapping/lookup",
            {"token": "${w}"},
            differs=Differs("namespace-wrapping", status=400, body=False),
        ),
    )


def test_the_cubbyhole_behind_a_wrapping_token(something):
    something.run(
        wrapped(),
        GET("cubbyhole/response", token="${w}", only="data", ignore="data.response"),
        GET("cubbyhole/response", 403, token="${w}"),
    )


@pytest.mark.parametrize("path", ["unwrap", "rewrap"])
def test_a_number_is_no_token(pair, path):
    pair.run(
        POST(f"sys/wrapping/{path}", {"token": 7}, 403), POST(f"sys/wrapping/{path}", {"token": {}}, 403)
    )
