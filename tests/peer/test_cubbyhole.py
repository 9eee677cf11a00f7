"""The cubbyhole: every token's own corner."""

from __future__ import annotations

from tests.peer.script import DELETE, GET, LIST, POST, PUT, SCAN, Differs


def test_each_token_sees_only_its_own(pair):
    pair.run(
        POST("auth/token/create", {"policies": ["default"]}, save={"one": "auth.client_token"}),
        POST("auth/token/create", {"policies": ["default"]}, save={"two": "auth.client_token"}),
        GET("cubbyhole/app", 404, token="${one}"),
        POST("cubbyhole/app", {"v": 1, "ttl": "1h"}, 204, token="${one}"),
        GET("cubbyhole/app", token="${one}"),
        GET("cubbyhole/app", 404, token="${two}"),
        GET("cubbyhole/app", 403, token=None),
        PUT("cubbyhole/app", {"v": 2}, 204, token="${one}"),
        GET("cubbyhole/app", token="${one}"),
        POST("cubbyhole/deep/er", {"v": 2}, 204, token="${one}"),
        LIST("cubbyhole", token="${one}"),
        LIST("cubbyhole/", token="${one}"),
        LIST("cubbyhole/deep", token="${one}"),
        LIST("cubbyhole/", 404, token="${two}"),
        SCAN("cubbyhole/", 403, token="${one}"),
        DELETE("cubbyhole/app", 204, token="${one}"),
        GET("cubbyhole/app", 404, token="${one}"),
        DELETE("cubbyhole/app", 204, token="${one}"),
    )


def test_bad_writes(pair):
    pair.run(
        POST("auth/token/create", {"policies": ["default"]}, save={"one": "auth.client_token"}),
        POST(
            "cubbyhole/app",
            {},
            500,
            token="${one}",
            differs=Differs("no-5xx-for-bad-input", status=400, body=False),
        ),
        POST(
            "cubbyhole/app",
            500,
            token="${one}",
            differs=Differs("no-5xx-for-bad-input", status=400, body=False),
        ),
        POST("cubbyhole/app/", {"v": 1}, 400, token="${one}"),
        POST("cubbyhole/", {"v": 1}, 400, token="${one}"),
        GET(
            "cubbyhole/", 500, token="${one}", differs=Differs("no-5xx-for-bad-input", status=404, body=False)
        ),
    )
