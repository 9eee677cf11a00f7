"""Requests that are wrong in their bytes, their verb, their path or their token."""

from __future__ import annotations

import pytest

from tests.peer.script import DELETE, GET, HEAD, LIST, PATCH, POST, PUT, WRONG, Differs, Step

UNKNOWN = Differs("unknown-fields", status=400, body=False)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nonsense",
        b'{"a": }',
        b'{"a": 1} extra',
        b"[1]",
        b'"text"',
        b"1",
        b"{'a': 1}",
        b'{"a": 01}',
        b'{"data": {"a": tru}}',
    ],
    ids=lambda body: body.decode(),
)
def test_a_body_that_is_not_a_json_object(pair, body):
    pair.run(POST("secret/data/${m}", body, 400), GET("secret/data/${m}", 404))


@pytest.mark.parametrize(
    "target", ["auth/token/create", "sys/mounts/${m}", "sys/policies/acl/${m}", "sys/capabilities-self"]
)
def test_broken_json_is_refused_everywhere(pair, target):
    pair.run(POST(target, b'{"a": ', 400))


def test_a_null_or_missing_body(pair):
    pair.run(
        POST("secret/data/${m}", b"null", 400),
        POST("auth/token/create", b"null", 200),
        POST("auth/token/create", b"", 200),
        POST("auth/token/create", 200),
        POST("auth/token/create", b"", 200, headers={"Content-Type": "application/x-www-form-urlencoded"}),
        POST("auth/token/create", b"", 200, headers={"Content-Type": "application/octet-stream"}),
        POST("auth/token/create", b'{"ttl": "1h"}', 200, headers={"Content-Type": "text/plain"}),
    )


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def test_json_is_taken_under_the_type_that_curl_gives_it(pair):
    pair.run(POST("auth/token/create", b'{"ttl": "1h"}', headers=FORM))


def test_forms(pair):
    pair.run(POST("auth/token/create", b"ttl=1h&display_name=form", headers=FORM))


@pytest.mark.parametrize(
    "path",
    [
        "nothing",
        "nothing/at/all",
        "sys/nothing",
        "sys/",
        "auth",
        "auth/",
        "auth/nothing/login",
        "",
    ],
)
def test_paths_that_do_not_exist(pair, path):
    pair.run(GET(path, 404))


def test_mounts_without_a_path(pair):
    pair.run(
        GET("sys", 307, differs=Differs("no-redirects", status=404, body=False)),
        GET("cubbyhole", 500, differs=Differs("no-5xx-for-bad-input", status=404, body=False)),
    )


def test_paths_outside_the_api(pair):
    pair.run(
        GET("/nothing", 404),
        GET("/v2/sys/health", 404),
        GET("/V1/sys/health", 404),
        GET("/v1", 404),
        POST("/nothing", {}, 404),
    )


def test_verbs_that_a_path_does_not_have(pair):
    pair.run(
        DELETE("sys/health", 405),
        PATCH("sys/mounts/${m}", {"a": 1}, 405),
        POST("sys/auth", {"a": 1}, 405),
        DELETE("sys/mounts", 405),
        DELETE("sys/policies/acl", 405),
        LIST("sys/capabilities-self", 404, differs=WRONG),
        DELETE("auth/token/lookup-self", 405),
        GET("auth/token/renew-self", 405),
        Step("OPTIONS", "sys/mounts", status=400, differs=WRONG),
        Step("TRACE", "sys/mounts", status=405),
        Step("NONSENSE", "sys/mounts", status=405),
        HEAD("sys/mounts", 405),
    )


def test_missing_and_wrong_tokens(pair):
    pair.run(
        GET("secret/data/app", 403, token=None),
        GET("secret/data/app", 403, token=""),
        GET("secret/data/app", 403, token="nothing"),
        GET("secret/data/app", 403, token="hvs." + "A" * 24),
        GET("secret/data/app", 403, token="s." + "A" * 24),
        GET("secret/data/app", 403, token="hvb." + "A" * 100),
        GET("secret/data/app", 403, token=" root"[1:] + "x"),
        GET("secret/data/app", 403, token="x" * 5000),
        GET("nothing/at/all", 403, token=None),
        GET("nothing/at/all", 403, token="nothing"),
        POST("sys/mounts/${m}", {"type": "kv"}, 403, token=None),
        LIST("secret/metadata", 403, token=None),
    )


def test_ways_to_ask_for_a_list(pair):
    pair.run(
        POST("secret/data/${m}/a", {"data": {"v": 1}}),
        LIST("secret/metadata/${m}"),
        LIST("secret/metadata/${m}/"),
        GET("secret/metadata/${m}?list=true"),
        GET("secret/metadata/${m}/?list=true"),
        GET("secret/metadata/${m}?list=1"),
        GET("secret/metadata/${m}?list=True"),
        GET("secret/metadata/${m}?list=TRUE"),
        GET("secret/metadata/${m}?list=t"),
        GET("secret/metadata/${m}?list=false", 404),
        GET("secret/metadata/${m}?list=", 404),
        LIST("secret/metadata/${m}?list=false", ignore="warnings"),
        POST("secret/metadata/${m}?list=true", {}, 204),
    )


def test_trailing_slashes(pair):
    pair.run(
        POST("secret/data/${m}", {"data": {"v": 1}}),
        GET("secret/data/${m}/", 500, differs=Differs("no-5xx-for-bad-input", status=404, body=False)),
        DELETE("secret/data/${m}/", 204),
        POST("secret/data/${m}/", {"data": {"v": 1}}, 400),
        GET("sys/health/", 404),
        GET("sys/policies/acl/default/", ignore=("data.policy",)),
        GET("auth/token/lookup-self/", 404),
        GET("sys/mounts/secret/"),
    )


def test_doubled_slashes(pair):
    refused = Differs("no-redirects", status=400, body=False)
    pair.run(
        GET("secret/data/a//b", 307, differs=refused),
        POST("secret/data/${m}//b", {"data": {"v": 1}}, 307, differs=refused),
        LIST("secret/metadata//${m}", 307, differs=refused),
        GET("/v1//sys/health", 307, differs=refused),
        LIST("secret/metadata/${m}//", 307, differs=Differs("no-redirects", status=404, body=False)),
        GET("//v1/sys/health", 404),
        PUT("sys/namespaces/${m}", {}, ignore="data"),
        PUT("sys/namespaces/below", {}, namespace="${m}", ignore="data"),
        GET("sys/mounts/sys", namespace="${m}//below", only="data.local"),
        GET("sys/mounts/sys", namespace="//${m}///below//", only="data.local"),
        GET("sys/mounts/sys", 404, namespace="${m}//other"),
        DELETE("sys/namespaces/below", namespace="${m}", ignore="data"),
    )


def test_relative_segments_are_refused(pair):
    pair.run(
        GET("secret/data/../data/x", 307, differs=Differs("no-redirects", status=400, body=False)),
        GET("secret/data/%2e%2e/x", 400),
        POST("secret/data/a..b", {"data": {"v": 1}}),
        GET("secret/data/a..b"),
        GET("secret/data/.../x", 404),
    )


def test_unknown_fields(pair):
    pair.run(
        POST("secret/data/${m}", {"data": {"v": 1}, "unknown": True}, differs=UNKNOWN),
        POST("auth/token/create", {"unknown": True}, differs=UNKNOWN),
        POST("secret/data/${m}", {"data": {"v": 1}}, ignore="data.version"),
        GET("secret/data/${m}?unknown=1", differs=UNKNOWN),
    )


def test_unknown_options_of_a_kv_write(pair):
    pair.run(
        POST("secret/data/${m}", {"data": {"v": 1}, "options": {"cas": 0}}),
        POST("secret/data/${m}", {"data": {"v": 2}, "options": {"casx": 7}}, differs=UNKNOWN),
        PATCH("secret/data/${m}", {"data": {"w": 2}, "options": {"CAS": 7, "cas": 2}}, differs=UNKNOWN),
        GET("secret/data/${m}", ignore=("data.data", "data.metadata.version")),
    )


def test_unknown_fields_of_mounts(pair):
    pair.run(
        POST("sys/mounts/${m}", {"type": "kv", "config": {"max_lease_ttlx": "1h"}}, 204, differs=UNKNOWN),
        POST(
            "sys/auth/${m}",
            {"type": "userpass", "config": {"user_lockout_config": {"thresholdx": 3}}},
            204,
            differs=UNKNOWN,
        ),
        POST("sys/auth/${m}-b", {"type": "userpass"}, 204),
        POST("sys/auth/${m}-b/tune", {"user_lockout_config": {"thresholdx": 3}}, 204, differs=UNKNOWN),
    )


def test_doubled_json_keys(pair):
    pair.run(
        POST(
            "secret/data/${m}",
            b'{"data": {"a": 1, "a": 2}}',
            differs=Differs("strict-json", status=400, body=False),
        )
    )


@pytest.mark.parametrize(
    "number", [b"NaN", b"Infinity", b"-Infinity", b"0x10", b"1_000", b"+1", b".5", b"1."]
)
def test_numbers_that_json_does_not_have(pair, number):
    pair.run(POST("secret/data/${m}", b'{"data": {"v": ' + number + b"}}", 400))


def test_a_number_beyond_any_float(pair):
    pair.run(POST("secret/data/${m}", b'{"data": {"v": 1e400}}', 400))


def test_bytes_that_are_not_utf_8(pair):
    pair.run(
        POST(
            "secret/data/${m}",
            b'{"data": {"v": "\xff"}}',
            differs=Differs("strict-json", status=400, body=False),
        ),
        GET("secret/data/%ff%fe", 404, differs=Differs("strict-paths", status=400, body=False)),
    )


def test_deep_json(pair):
    deep = b'{"data": {"a": ' + b"[" * 400 + b"]" * 400 + b"}}"
    pair.run(POST("secret/data/${m}", deep, differs=Differs("strict-json", status=400, body=False)))


def test_put_and_post_are_alike(pair):
    pair.run(
        PUT("secret/data/${m}", {"data": {"v": 1}}),
        POST("secret/data/${m}", {"data": {"v": 2}}),
        PUT("auth/token/create", {}),
        PUT("sys/mounts/${m}", {"type": "kv"}, 204),
        PUT("sys/mounts/${m}/tune", {"description": "x"}, 204),
        POST("sys/policies/acl/${m}", {"policy": 'path "a" { capabilities = ["read"] }'}, 204),
        PUT("secret/delete/${m}", {"versions": [1]}, 204),
    )


def test_headers_that_clients_send(pair):
    pair.run(
        GET("sys/mounts/secret", headers={"X-Vault-Request": "true"}, only="data.type"),
        GET("sys/mounts/secret", namespace="", only="data.type"),
        GET("sys/mounts/secret", namespace="root", only="data.type"),
        GET("sys/mounts/secret", namespace="/", only="data.type"),
        GET("sys/mounts/secret", headers={"Accept": "text/html"}, only="data.type"),
        GET("sys/mounts/secret", headers={"X-Vault-Policy-Override": "true"}, only="data.type"),
    )
