"""Secrets engines: enable, read, list, tune, move, disable."""

from __future__ import annotations

import pytest

from tests.peer.script import DELETE, GET, LIST, POST, PUT, WRONG, Differs

OURS = "data.${m}/"


def test_enable_read_and_disable(pair):
    pair.run(
        GET("sys/mounts/${m}", 400),
        POST("sys/mounts/${m}", {"type": "kv", "description": "first"}, 204),
        GET("sys/mounts/${m}"),
        GET("sys/mounts/${m}/", 200),
        GET("sys/mounts", only=(OURS, "${m}/")),
        GET("sys/mounts/", 404, differs=WRONG),
        POST("${m}/app", {"a": 1}, 204),
        DELETE("sys/mounts/${m}", 204),
        GET("sys/mounts/${m}", 400),
        GET("${m}/app", 404),
        DELETE("sys/mounts/${m}", 204),
        POST("sys/mounts/${m}", {"type": "kv"}, 204),
        GET("${m}/app", 404),
    )


def test_the_default_mounts(pair):
    pair.run(
        GET(
            "sys/mounts",
            only=("data.sys/", "data.cubbyhole/", "data.secret/", "secret/"),
            ignore="data.secret/.options",
        ),
        GET("sys/mounts/secret", ignore=()),
        GET("sys/mounts/cubbyhole"),
        GET("sys/mounts/sys"),
        GET("sys/mounts", 403, token=None),
        GET("sys/mounts", 403, token="wrong"),
        LIST("sys/mounts", 404, differs=WRONG),
    )


def test_enable_with_options_and_config(pair):
    pair.run(
        POST(
            "sys/mounts/${m}",
            {
                "type": "kv",
                "options": {"version": "2"},
                "config": {"default_lease_ttl": "1h", "max_lease_ttl": "24h", "listing_visibility": "unauth"},
                "local": True,
                "seal_wrap": False,
            },
            204,
        ),
        GET("sys/mounts/${m}"),
        GET("sys/mounts/${m}/tune"),
        GET("sys/internal/ui/mounts", only="data.secret.${m}/", token=None),
    )


def test_enable_wants_a_known_type_and_a_free_path(pair):
    pair.run(
        POST("sys/mounts/${m}", {"type": "nonsense"}, 400),
        POST("sys/mounts/${m}", {}, 400),
        POST("sys/mounts/${m}", 400),
        POST("sys/mounts/${m}", {"type": "kv"}, 204),
        POST("sys/mounts/${m}", {"type": "kv"}, 400),
        POST("sys/mounts/${m}/", {"type": "kv"}, 400, ignore="errors"),
        POST("sys/mounts/${m}/below", {"type": "kv"}, 400),
        POST("sys/mounts/sys", {"type": "kv"}, 400),
        POST("sys/mounts/sys/below", {"type": "kv"}, 400),
        POST("sys/mounts/auth", {"type": "kv"}, 400),
        POST("sys/mounts/auth/below", {"type": "kv"}, 400),
        POST("sys/mounts/cubbyhole", {"type": "kv"}, 400),
        POST("sys/mounts/identity/x", {"type": "kv"}, 400),
        POST("sys/mounts/${m}x", {"type": "cubbyhole"}, 400),
        POST("sys/mounts/${m}x", {"type": "kv", "config": {"default_lease_ttl": "soon"}}, 400),
        POST(
            "sys/mounts/${m}x",
            {"type": "kv", "config": {"default_lease_ttl": "2h", "max_lease_ttl": "1h"}},
            400,
        ),
        POST("sys/mounts/${m}x", {"type": "kv", "config": {"listing_visibility": "loud"}}, 400),
        POST("sys/mounts/${m}x", {"type": "kv", "options": {"version": "9"}}, 400),
    )


def test_nested_paths(pair):
    pair.run(
        POST("sys/mounts/${m}/team/kv", {"type": "kv"}, 204),
        GET("sys/mounts/${m}/team/kv"),
        POST("${m}/team/kv/app", {"a": 1}, 204),
        GET("${m}/team/kv/app"),
        GET("${m}/team/other", 404),
        POST("sys/mounts/${m}", {"type": "kv"}, 400),
        DELETE("sys/mounts/${m}/team/kv", 204),
    )


def test_a_default_lifetime_beyond_the_longest(pair):
    late = {"default_lease_ttl": "9000h"}
    pair.run(
        PUT("sys/mounts/${m}", {"type": "kv", "config": late}, 400),
        PUT("sys/mounts/${m}", {"type": "kv"}, 204),
        POST(
            "sys/mounts/${m}/tune", late, 204, differs=Differs("default-within-max", status=400, body=False)
        ),
        POST("sys/mounts/${m}/tune", {"default_lease_ttl": "2h", "max_lease_ttl": "1h"}, 400),
    )


def test_tune(pair):
    pair.run(
        GET("sys/mounts/${m}/tune", 400),
        POST("sys/mounts/${m}/tune", {"max_lease_ttl": "1h"}, 400),
        POST("sys/mounts/${m}", {"type": "kv", "options": {"version": "2"}}, 204),
        GET("sys/mounts/${m}/tune"),
        POST("sys/mounts/${m}/tune", {"default_lease_ttl": "30m", "max_lease_ttl": "2h"}, 204),
        GET("sys/mounts/${m}/tune"),
        PUT("sys/mounts/${m}/tune", {"description": "tuned", "listing_visibility": "unauth"}, 204),
        GET("sys/mounts/${m}/tune"),
        POST(
            "sys/mounts/${m}/tune",
            {"audit_non_hmac_request_keys": ["a", "b"], "audit_non_hmac_response_keys": "c"},
            204,
        ),
        GET("sys/mounts/${m}/tune"),
        POST(
            "sys/mounts/${m}/tune",
            {"passthrough_request_headers": ["X-Custom"], "allowed_response_headers": ["X-Out"]},
            204,
        ),
        GET("sys/mounts/${m}/tune"),
        POST("sys/mounts/${m}/tune", {"default_lease_ttl": "system", "max_lease_ttl": "system"}, 204),
        GET("sys/mounts/${m}/tune"),
        POST("sys/mounts/${m}/tune", {}, 204),
        GET("sys/mounts/${m}"),
    )


def test_tune_refuses_nonsense(pair):
    pair.run(
        POST("sys/mounts/${m}", {"type": "kv", "options": {"version": "2"}}, 204),
        POST("sys/mounts/${m}/tune", {"default_lease_ttl": "soon"}, 400),
        POST("sys/mounts/${m}/tune", {"default_lease_ttl": "3h", "max_lease_ttl": "2h"}, 400),
        POST(
            "sys/mounts/${m}/tune",
            {"default_lease_ttl": "-1s"},
            204,
            differs=Differs("stricter-input", status=400, body=False),
        ),
        POST("sys/mounts/${m}/tune", {"listing_visibility": "loud"}, 400),
        POST("sys/mounts/${m}/tune", {"options": {"version": "1"}}, 400),
        POST("sys/mounts/${m}/tune", {"options": {"version": "x"}}, 400),
        POST("sys/mounts/${m}/tune", {"token_type": "batch"}, 400),
        GET(
            "sys/mounts/${m}/tune",
            differs=Differs("stricter-input", ignore=("default_lease_ttl", "data.default_lease_ttl")),
        ),
    )


@pytest.mark.parametrize("mount", ["sys", "cubbyhole", "secret"])
def test_tune_of_default_mounts_can_be_read(pair, mount):
    pair.run(GET(f"sys/mounts/{mount}/tune"))


def test_move(pair):
    pair.run(
        POST("sys/mounts/${m}", {"type": "kv", "options": {"version": "2"}}, 204),
        POST("${m}/data/app", {"data": {"a": 1}}),
        POST("sys/remount", {"from": "${m}", "to": "${m}new"}, save={"job": "migration_id"}),
        GET("sys/remount/status/${job}", ignore=("migration_info.status", "data.migration_info.status")),
        GET("sys/remount/status/nonsense", 404),
    )


def test_move_refuses_what_it_cannot_do(pair):
    pair.run(
        POST("sys/mounts/${m}", {"type": "kv"}, 204),
        POST("sys/mounts/${m}b", {"type": "kv"}, 204),
        POST("sys/remount", {}, 400),
        POST("sys/remount", {"from": "${m}"}, 400),
        POST("sys/remount", {"from": "${m}nothing", "to": "${m}new"}, 400),
        POST("sys/remount", {"from": "${m}", "to": "${m}b"}, 400),
        POST("sys/remount", {"from": "sys", "to": "${m}new"}, 400),
        POST("sys/remount", {"from": "${m}", "to": "sys"}, 400),
        POST("sys/remount", {"from": "${m}", "to": "auth/${m}"}, 400),
        POST("sys/remount", {"from": "cubbyhole", "to": "${m}new"}, 400),
        POST(
            "sys/remount",
            {"from": "${m}", "to": "../${m}"},
            differs=Differs("stricter-input", status=400, body=False),
        ),
    )


def test_a_mount_of_a_namespace_is_moved_from_above_but_not_out_of_it(pair):
    elsewhere = Differs("moves-stay-in-their-namespace", status=400, body=False)
    pair.run(
        POST("sys/namespaces/${m}", {}),
        POST("sys/namespaces/${m}/below", {}, 400),
        POST("sys/namespaces/below", {}, namespace="${m}"),
        POST("sys/mounts/kv", {"type": "kv"}, 204, namespace="${m}"),
        POST("sys/mounts/deep", {"type": "kv"}, 204, namespace="${m}/below"),
        POST("sys/remount", {"from": "${m}/kv", "to": "${m}/kv9"}, save={"job": "migration_id"}),
        GET("sys/remount/status/${job}", ignore=("migration_info.status", "data.migration_info.status")),
        POST("sys/remount", {"from": "below/deep", "to": "below/deeper"}, namespace="${m}"),
        POST("sys/remount", {"from": "${m}/nothing", "to": "${m}/new"}, 400),
        POST("sys/remount", {"from": "${m}/sys", "to": "${m}/new"}, 400),
        POST("sys/mounts/own", {"type": "kv"}, 204, namespace="${m}"),
        POST("sys/remount", {"from": "${m}/own", "to": "${m}new"}, differs=elsewhere),
        POST("sys/remount", {"from": "${m}/below/gone", "to": "${m}/new"}, 400),
    )


def test_default_mounts_cannot_be_disabled(pair):
    pair.run(
        DELETE("sys/mounts/sys", 400),
        DELETE("sys/mounts/cubbyhole", 400),
        DELETE("sys/mounts/${m}nothing", 204),
        GET("sys/mounts/sys"),
    )
