"""``sys/config``, ``sys/loggers`` and the diagnostics of a node as the peer has them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.peer.harness import Pair
from tests.peer.script import DELETE, GET, LIST, POST, WRONG, Differs

CORS, UI, AUDITED = "sys/config/cors", "sys/config/ui/headers", "sys/config/auditing/request-headers"
FIVE = Differs("no-5xx-for-bad-input", status=400, body=False)
STRICTER = Differs("stricter-input", status=400, body=False)
PAGE = {"Origin": "http://a.example"}
ASKS = {**PAGE, "Access-Control-Request-Method": "PUT"}
GIVEN = ("access-control-allow-origin", "access-control-max-age", "vary")


@pytest.fixture
def without_cors(pair: Pair) -> Iterator[Pair]:
    yield pair
    pair.run(DELETE(CORS, 204))


def test_cors_is_off_until_it_is_configured(without_cors: Pair):
    without_cors.run(
        GET(CORS),
        POST(CORS, {}, 500, differs=FIVE),
        POST(CORS, {"allowed_origins": ["*", "http://b.example"]}, 500, differs=FIVE),
        GET(CORS),
        POST(CORS, {"allowed_origins": "http://a.example"}, 204),
        GET(CORS),
        POST(
            CORS,
            {"allowed_origins": ["http://a.example", "http://b.example"], "allowed_headers": ["X-Own"]},
            204,
        ),
        GET(CORS),
        POST(CORS, {"allowed_origins": "*"}, 204),
        GET(CORS),
        POST(CORS, {"allowed_origins": "x y"}, 204, differs=STRICTER),
        DELETE(CORS, 204),
        GET(CORS),
    )


def test_pages_of_listed_origins_may_call_and_others_may_not(without_cors: Pair):
    without_cors.run(
        POST(CORS, {"allowed_origins": ["http://a.example"], "allowed_headers": ["X-Own"]}, 204),
        GET("sys/mounts", 200, headers=PAGE, only="data.none"),
        GET("sys/mounts", 403, headers={"Origin": "http://x.example"}),
        GET("sys/health", 403, headers={"Origin": "http://a.example.evil"}),
        GET("sys/mounts", 200, only="data.none"),
    )
    for method, headers in (
        ("OPTIONS", ASKS),
        ("GET", PAGE),
        ("OPTIONS", {**ASKS, "Access-Control-Request-Method": "BOGUS"}),
    ):
        replies = [
            side.client.send(method, "/v1/auth/token/lookup-self", {"X-Vault-Token": "root", **headers}, None)
            for side in (without_cors.ours, without_cors.peer)
        ]
        assert replies[0].status == replies[1].status
        if replies[1].status == 405:
            continue
        assert [replies[0].headers.get(name) for name in GIVEN] == [
            replies[1].headers.get(name) for name in GIVEN
        ]
    offered = [
        side.client.send("OPTIONS", "/v1/sys/mounts", ASKS, None).headers
        for side in (without_cors.ours, without_cors.peer)
    ]
    for name in ("access-control-allow-headers", "access-control-allow-methods"):
        ours, peer = (set(one[name].split(",")) for one in offered)
        assert peer <= ours


def test_headers_of_the_ui(pair: Pair):
    pair.run(
        GET(f"{UI}/X-${{m}}", 404),
        POST(f"{UI}/X-${{m}}", {}, 400),
        POST(f"{UI}/X-${{m}}", {"values": ["a", "b"]}, 200),
        GET(f"{UI}/X-${{m}}"),
        GET(f"{UI}/x-${{m}}"),
        GET(f"{UI}/X-${{m}}?multivalue=true"),
        POST(f"{UI}/X-${{m}}", {"values": ["c"], "multivalue": True}, 200),
        GET(f"{UI}/X-${{m}}"),
        POST(f"{UI}/X-Vault-Foo", {"values": ["a"]}, 400),
        POST(f"{UI}/Bad%20Name", {"values": ["a"]}, 404, differs=WRONG),
        POST(f"{UI}/X-${{m}}", {"values": ["a\r\nb: c"]}, 200, differs=STRICTER),
        POST(f"{UI}/Content-Security-Policy", {"values": ["default-src 'none'"]}, 200),
        GET(f"{UI}/Content-Security-Policy"),
        DELETE(f"{UI}/Content-Security-Policy", 204),
        GET(UI, 405, differs=WRONG),
        DELETE(f"{UI}/X-${{m}}", 204),
        DELETE(f"{UI}/X-${{m}}", 204),
        GET(f"{UI}/X-${{m}}", 404),
        LIST(UI, 404),
    )


def test_headers_that_are_audited(pair: Pair):
    pair.run(
        GET(f"{AUDITED}/x-${{m}}", 400),
        POST(f"{AUDITED}/X-${{m}}", {"hmac": True}, 204),
        GET(f"{AUDITED}/x-${{m}}"),
        POST(f"{AUDITED}/x-${{m}}", {"hmac": False}, 204),
        GET(f"{AUDITED}/x-${{m}}"),
        DELETE(f"{AUDITED}/x-${{m}}", 204),
        GET(f"{AUDITED}/x-${{m}}", 400),
        DELETE(f"{AUDITED}/x-${{m}}", 204),
    )


def test_log_levels(pair: Pair):
    pair.run(
        GET("sys/loggers", only=("data.core", "data.audit")),
        GET("sys/loggers/core", only="data"),
        GET("sys/loggers/nobody", only="data"),
        LIST("sys/loggers", 405, differs=WRONG),
        POST("sys/loggers/core", {"level": "error"}, 204),
        GET("sys/loggers/core", only="data"),
        POST("sys/loggers/core", {"level": "WARN"}, 204),
        GET("sys/loggers/core", only="data"),
        POST("sys/loggers/core", {"level": "notice"}, 204),
        GET("sys/loggers/core", only="data"),
        POST("sys/loggers/core", {"level": "bogus"}, 400),
        POST("sys/loggers/nobody", {"level": "info"}, 400),
        POST("sys/loggers/core", {}, 400),
        DELETE("sys/loggers/core", 204),
        GET("sys/loggers/core", only="data"),
        DELETE("sys/loggers/nobody", 400),
        POST("sys/loggers", {"level": "debug"}, 204),
        GET("sys/loggers/core", only="data"),
        POST("sys/loggers", {}, 400),
        POST("sys/loggers", {"level": "bogus"}, 400),
        DELETE("sys/loggers", 204),
        GET("sys/loggers/core", only="data"),
    )


def test_the_node(pair: Pair):
    pair.run(
        GET(
            "sys/host-info",
            only=("data.host.hostname", "data.host.kernelVersion", "data.memory.total", "data.disk.0.path"),
        ),
        GET(
            "sys/config/state/sanitized",
            only=("data.storage.type", "data.seals", "data.listeners.0.type", "data.cluster_name"),
        ),
        GET("sys/monitor?log_level=bogus", 400),
        GET("sys/monitor?log_format=bogus", 400),
        GET("sys/version-history", 405, differs=WRONG),
        LIST("sys/version-history", only="data.none"),
    )
    shown = [
        side.client.send("GET", "/v1/sys/in-flight-req", {"X-Vault-Token": "root"}, None).body
        for side in (pair.ours, pair.peer)
    ]
    ours, peer = (
        next(one for one in body.values() if one["request_path"].endswith("in-flight-req")) for body in shown
    )
    assert ours.keys() == peer.keys()
    assert (ours["request_method"], ours["request_path"]) == (peer["request_method"], peer["request_path"])


NODES = [
    "sys/loggers",
    "sys/host-info",
    "sys/in-flight-req",
    "sys/config/state/sanitized",
    CORS,
    f"{UI}/x",
    AUDITED,
]


def test_who_may(pair: Pair):
    policy = 'path "sys/*" { capabilities = ["read", "list"] }'
    pair.run(
        POST("sys/policies/acl/${m}", {"policy": policy}, 204),
        POST(
            "auth/token/create",
            {"policies": ["${m}"], "ttl": "1h"},
            save={"weak": "auth.client_token"},
            only="data",
        ),
        POST("sys/namespaces/${m}n", {}),
        *[
            GET(path, status, token="${weak}", only="data.none")
            for path, status in zip(NODES, [200] * 4 + [403] * 3, strict=True)
        ],
        *[GET(path, 403, token=None) for path in NODES],
        *[GET(path, 400, namespace="${m}n") for path in NODES],
        LIST(UI, 403, token="${weak}"),
        GET("sys/monitor", 403, token=None),
    )
