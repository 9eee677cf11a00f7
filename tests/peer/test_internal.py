"""What interfaces and CLIs ask of both servers: mounts within reach, rules, tools, recorded headers."""

from __future__ import annotations

import pytest

from tests.peer.script import DELETE, GET, LIST, POST, PUT, Differs

POLICY = """
path "${m}/data/a" { capabilities = ["read", "update"] }
path "${m}/metadata/*" { capabilities = ["list"] }
path "${m}/no" { capabilities = ["deny"] }
path "sys/internal/ui/resultant-acl" { capabilities = ["read"] }
"""
UI = "sys/internal/ui/"
LINT = Differs("policy-lint", status=200, body=False)


@pytest.fixture
def within_reach(pair):
    pair.run(
        PUT("sys/mounts/${m}", {"type": "kv", "description": "d", "options": {"version": "2"}}, 204),
        PUT("sys/mounts/${m}-far", {"type": "kv", "options": {"version": "1"}}, 204),
        PUT("sys/policies/acl/${m}", {"policy": POLICY}, 204, differs=LINT),
        POST(
            "auth/token/create",
            {"policies": ["${m}"], "no_default_policy": True},
            save={"app": "auth.client_token"},
        ),
    )
    return pair


def test_the_preflight(within_reach):
    within_reach.run(
        GET(UI + "mounts/${m}"),
        GET(UI + "mounts/${m}/x/y"),
        GET(UI + "mounts/${m}/", token="${app}"),
        GET(UI + "mounts/${m}/data/a", token="${app}"),
        GET(UI + "mounts/${m}-far/a", 403, token="${app}"),
        GET(UI + "mounts/${m}-none/a", 403, token="${app}"),
        GET(UI + "mounts/auth/token/create"),
        GET(UI + "mounts/auth/token/create", 403, token="${app}"),
        GET(UI + "mounts/cubbyhole/a", 403, token="${app}"),
        GET(UI + "mounts/${m}", 403, token=None),
        GET(UI + "mounts/${m}", 403, token="hvs.wrong"),
    )


def test_the_list_of_mounts(within_reach):
    within_reach.run(
        GET(UI + "mounts", token="${app}", mine=("data.secret",)),
        GET(UI + "mounts", mine=("data.secret", "data.auth")),
        GET(UI + "mounts", 403, token="hvs.wrong"),
        POST("sys/mounts/${m}/tune", {"listing_visibility": "unauth"}, 204),
        GET(UI + "mounts", token=None, mine=("data.secret", "data.auth")),
        POST("sys/mounts/${m}/tune", {"listing_visibility": "hidden"}, 204),
        GET(UI + "mounts", token=None, mine=("data.secret", "data.auth")),
    )


def test_namespaces_and_rules(within_reach):
    within_reach.run(
        GET(UI + "namespaces", token="${app}"),
        PUT("sys/namespaces/${m}-ns", {}, ignore=("data",)),
        GET(UI + "namespaces", mine=("data.keys",)),
        GET(UI + "namespaces", token="${app}"),
        GET(
            UI + "namespaces",
            500,
            token=None,
            differs=Differs("no-5xx-for-bad-input", status=403, body=False),
        ),
        GET(UI + "resultant-acl", token="${app}"),
        GET(UI + "resultant-acl"),
        GET(UI + "resultant-acl", 403, token=None),
        DELETE("sys/namespaces/${m}-ns", ignore=("data", "warnings")),
    )


def test_the_counters(pair):
    pair.run(
        GET("sys/internal/counters/tokens", only=("data.counters.service_tokens",), ignore=("data",)),
        GET("sys/internal/counters/entities", ignore=("data.counters.entities.total",)),
        GET("sys/internal/counters/requests", 404),
        GET("sys/internal/counters/activity", 404),
        GET("sys/internal/counters/tokens", 403, token=None),
        GET("sys/license/status", 404),
        LIST("sys/version-history", 403, token=None),
    )


def test_tools(pair):
    pair.run(
        PUT("sys/tools/random", {}, ignore=("data.random_bytes",)),
        PUT("sys/tools/random/16", {"format": "hex"}, ignore=("data.random_bytes",)),
        PUT("sys/tools/random/platform/16", {}, ignore=("data.random_bytes",)),
        PUT("sys/tools/random/dice/16", {}, 400),
        PUT("sys/tools/random", {"bytes": 0}, 400),
        PUT("sys/tools/random", {"bytes": 131073}, 400),
        PUT("sys/tools/random", {"format": "octal"}, 400),
        PUT("sys/tools/hash", {"input": "YWJj"}),
        PUT("sys/tools/hash", {"input": "YWJj", "algorithm": "sha2-384", "format": "base64"}),
        PUT("sys/tools/hash/sha3-512", {"input": "YWJj"}),
        PUT("sys/tools/hash", {}),
        PUT("sys/tools/hash/md5", {"input": "YWJj"}, 400),
        PUT("sys/tools/hash", {"input": "$$"}, 400),
        PUT("sys/tools/hash", {"input": "YWJj", "format": "octal"}, 400),
    )


def test_recorded_headers(pair):
    path = "sys/config/auditing/request-headers"
    pair.run(
        PUT(path + "/X-${m}", {"hmac": True}, 204),
        PUT(path + "/X-${m}-b", {}, 204),
        GET(path + "/X-${m}"),
        GET(path + "/x-${m}-b"),
        GET(path + "/x-${m}-none", 400),
        GET(path),
        DELETE(path + "/x-${m}", 204),
        DELETE(path + "/x-${m}-b", 204),
        DELETE(path + "/x-${m}-none", 204),
        GET(path),
        GET(path, 403, token=None),
    )
