"""Auth methods as mounts, and what the CLIs ask before they read a secret."""

from __future__ import annotations

from tests.peer.script import DELETE, GET, LIST, POST, WRONG, Differs


def test_the_token_method_is_always_there(pair):
    pair.run(
        GET("sys/auth", only=("data.token/", "token/")),
        GET("sys/auth/token"),
        GET("sys/auth/token/tune"),
        GET("sys/mounts/auth/token/tune"),
        DELETE("sys/auth/token", 400),
        GET("sys/auth", 403, token=None),
        LIST("sys/auth", 404, differs=WRONG),
    )


def test_enable_refuses_nonsense(pair):
    pair.run(
        POST("sys/auth/${m}", {"type": "nonsense"}, 400),
        POST("sys/auth/${m}", {}, 400),
        POST("sys/auth/${m}", {"type": "token"}, 400),
        POST("sys/auth/token", {"type": "token"}, 400),
        GET("sys/auth/${m}", 400),
        GET("sys/auth/${m}/tune", 400),
        DELETE("sys/auth/${m}", 204),
    )


def test_tuning_the_token_method(pair):
    pair.run(
        POST("sys/auth/token/tune", {"description": "tokens"}, 204),
        GET("sys/auth/token/tune"),
        POST("sys/auth/token/tune", {"token_type": "nonsense"}, 400),
        POST("sys/auth/token/tune", {"default_lease_ttl": "soon"}, 400),
        POST("sys/mounts/auth/token/tune", {"description": "token based credentials"}, 204),
        GET("sys/mounts/auth/token/tune"),
    )


def test_the_preflight_of_the_kv_commands(pair):
    pair.run(
        POST("sys/mounts/${m}", {"type": "kv", "options": {"version": "2"}, "description": "d"}, 204),
        GET("sys/internal/ui/mounts/${m}"),
        GET("sys/internal/ui/mounts/${m}/app"),
        GET("sys/internal/ui/mounts/${m}/data/app"),
        GET("sys/internal/ui/mounts/${m}nothing", 403),
        GET("sys/internal/ui/mounts/${m}", 403, token=None),
        GET("sys/internal/ui/mounts/${m}", 403, token="wrong"),
        GET("sys/internal/ui/mounts", only=("data.secret.${m}/", "data.secret.secret/", "data.auth.token/")),
        GET("sys/internal/ui/mounts", only=("data.secret.${m}/",), token=None),
        GET("sys/internal/ui/mounts/auth/token"),
        GET("sys/internal/ui/mounts/cubbyhole/x"),
        GET("sys/internal/ui/mounts/sys/mounts"),
    )


def test_the_preflight_shows_only_what_the_token_may_touch(pair):
    pair.run(
        POST("sys/mounts/${m}", {"type": "kv", "options": {"version": "2"}}, 204),
        POST("sys/mounts/${m}b", {"type": "kv"}, 204),
        POST("sys/policies/acl/${m}", {"policy": 'path "${m}/data/app" { capabilities = ["read"] }'}, 204),
        POST("auth/token/create", {"policies": ["${m}"]}, save={"app": "auth.client_token"}),
        GET("sys/internal/ui/mounts/${m}/app", token="${app}"),
        GET("sys/internal/ui/mounts/${m}b/app", 403, token="${app}"),
        GET("sys/internal/ui/mounts", token="${app}", only=("data.secret.${m}/", "data.secret.${m}b/")),
        GET(
            "sys/internal/ui/resultant-acl",
            token="${app}",
            only=("data.root", "data.exact_paths.${m}/data/app"),
        ),
    )


def test_namespaces_of_the_token(pair):
    pair.run(
        GET("sys/internal/ui/namespaces"),
        GET(
            "sys/internal/ui/namespaces",
            500,
            token=None,
            differs=Differs("no-5xx-for-bad-input", status=403, body=False),
        ),
    )
