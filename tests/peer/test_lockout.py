"""Lockout after failed logins: who is locked out, listing them, letting them in."""

from __future__ import annotations

from tests.peer.script import GET, POST, Compute, Differs

UNKNOWN = Differs("unknown-names-lock-too", status=403, body=False)


def _failures(name, *, count=5):
    return [POST(f"auth/${{m}}/login/{name}", {"password": "bad"}, 400, token=None) for _ in range(count)]


def test_five_failures_lock_a_user_out_until_it_is_unlocked(pair):
    pair.run(
        POST("sys/auth/${m}", {"type": "userpass"}, 204),
        GET("sys/auth/${m}", save={"a": "data.accessor"}),
        POST("auth/${m}/users/ann", {"password": "good"}, 204),
        *_failures("ann", count=4),
        POST("auth/${m}/login/ann", {"password": "good"}, token=None),
        *_failures("ANN"),
        POST("auth/${m}/login/ann", {"password": "bad"}, 403, token=None),
        POST("auth/${m}/login/ann", {"password": "good"}, 403, token=None),
        GET("sys/locked-users?mount_accessor=${a}"),
        GET("sys/locked-users", only="data.by_namespace.0.namespace_id"),
        POST("sys/locked-users/${a}/unlock/ann", 204),
        POST("auth/${m}/login/ann", {"password": "good"}, token=None),
        GET("sys/locked-users?mount_accessor=${a}"),
        POST("sys/locked-users/${a}/unlock/ann", 204),
        POST("sys/locked-users/${a}/unlock/never-seen", 204),
        POST("sys/locked-users/nonsense/unlock/ann", 204),
        GET("sys/locked-users?mount_accessor=nonsense"),
        GET("sys/locked-users", 403, token=None),
        POST("sys/locked-users/${a}/unlock/ann", 403, token=None),
        *_failures("ghost"),
        POST("auth/${m}/login/ghost", {"password": "bad"}, 400, token=None, differs=UNKNOWN),
    )


def test_lockout_is_tuned_for_a_mount(pair):
    pair.run(
        POST("sys/auth/${m}", {"type": "userpass"}, 204),
        GET("sys/auth/${m}/tune"),
        POST(
            "sys/auth/${m}/tune",
            {
                "user_lockout_config": {
                    "lockout_threshold": "2",
                    "lockout_duration": "10m",
                    "lockout_counter_reset_duration": "5m",
                }
            },
            204,
        ),
        GET("sys/auth/${m}/tune"),
        GET("sys/auth/${m}"),
        POST("auth/${m}/users/ann", {"password": "good"}, 204),
        *_failures("ann", count=2),
        POST("auth/${m}/login/ann", {"password": "good"}, 403, token=None),
        POST("sys/auth/${m}/tune", {"user_lockout_config": {"lockout_disable": True}}, 204),
        GET("sys/auth/${m}/tune"),
        POST("auth/${m}/login/ann", {"password": "good"}, token=None),
        *_failures("ann", count=3),
        POST("auth/${m}/login/ann", {"password": "good"}, token=None),
        POST("sys/auth/${m}/tune", {"user_lockout_config": {"lockout_threshold": "-1"}}, 400),
        POST("sys/auth/${m}/tune", {"user_lockout_config": {"lockout_threshold": "x"}}, 400),
        POST("sys/auth/${m}/tune", {"user_lockout_config": {"lockout_duration": "x"}}, 400),
        POST("sys/auth/token/tune", {"user_lockout_config": {"lockout_threshold": "2"}}, 400),
    )


def test_a_role_is_locked_out_after_bad_secret_ids_but_not_for_who_has_a_good_one(pair):
    bad = {"role_id": "${r}", "secret_id": "bad"}
    pair.run(
        Compute("r", lambda names: names["m"] + "-role"),
        POST("sys/auth/${m}", {"type": "approle"}, 204),
        POST("auth/${m}/role/app", {"role_id": "${r}"}, 204),
        POST("auth/${m}/role/app/secret-id", {}, save={"s": "data.secret_id"}),
        *[POST("auth/${m}/login", bad, 400, token=None) for _ in range(5)],
        POST("auth/${m}/login", bad, 403, token=None),
        POST(
            "auth/${m}/login",
            {"role_id": "${r}", "secret_id": "${s}"},
            403,
            token=None,
            differs=Differs("machines-are-let-in", status=200, body=False),
        ),
    )
