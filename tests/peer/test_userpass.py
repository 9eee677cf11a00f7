"""The ``userpass`` method: users, and logins with a name and a password."""

from __future__ import annotations

from tests.peer.script import DELETE, GET, LIST, POST, PUT, Differs

NO_5XX = Differs("no-5xx-for-bad-input", status=400, body=False)
ROOT_POLICY = Differs("root-is-not-assigned", status=400, body=False)
ENABLE = POST("sys/auth/${m}", {"type": "userpass"}, 204)


def test_a_user_is_made_read_listed_and_removed(pair):
    pair.run(
        ENABLE,
        LIST("auth/${m}/users", 404),
        GET("auth/${m}/users/ann", 404),
        POST("auth/${m}/users/Ann", {"password": "first", "token_policies": "a,b"}, 204),
        GET("auth/${m}/users/ann"),
        GET("auth/${m}/users/ANN"),
        PUT("auth/${m}/users/bob", {"password": "other"}, 204),
        GET("auth/${m}/users/bob"),
        LIST("auth/${m}/users"),
        LIST("auth/${m}/users?after=ann"),
        LIST("auth/${m}/users?limit=0"),
        LIST("auth/${m}/users?limit=-1"),
        GET("auth/${m}/users?list=true"),
        DELETE("auth/${m}/users/bob", 204),
        DELETE("auth/${m}/users/bob", 204),
        GET("auth/${m}/users/bob", 404),
        LIST("auth/${m}/users"),
    )


def test_old_names_of_parameters_are_shown_until_the_new_one_is_given(pair):
    pair.run(
        ENABLE,
        POST(
            "auth/${m}/users/ann",
            {"password": "p", "policies": "a,b", "ttl": "1h", "max_ttl": "2h", "bound_cidrs": "127.0.0.1/32"},
            204,
        ),
        GET("auth/${m}/users/ann"),
        POST("auth/${m}/users/ann", {"policies": "a", "token_policies": "b"}, 204),
        GET("auth/${m}/users/ann"),
        POST("auth/${m}/users/ann", {"token_ttl": 60}, 204),
        GET("auth/${m}/users/ann"),
        POST("auth/${m}/users/ann/policies", {"policies": "c"}, 204),
        GET("auth/${m}/users/ann"),
        POST("auth/${m}/users/ann/policies", {}, 204),
        POST("auth/${m}/users/ann/policies", {"token_policies": ["d", "e"]}, 204),
        GET("auth/${m}/users/ann"),
    )


def test_parameters_of_tokens_are_checked(pair):
    pair.run(
        ENABLE,
        POST("auth/${m}/users/ann", {"password": "p"}, 204),
        POST("auth/${m}/users/ann", {"token_ttl": "2h", "token_max_ttl": "1h"}, 400),
        POST("auth/${m}/users/ann", {"token_type": "batch", "token_period": "1h"}, 400),
        POST("auth/${m}/users/ann", {"token_type": "batch", "token_num_uses": 1}, 400),
        POST("auth/${m}/users/ann", {"token_type": "nonsense"}, 400),
        POST("auth/${m}/users/ann", {"token_num_uses": -1}, 400),
        POST("auth/${m}/users/ann", {"token_ttl": -1}, 400),
        POST("auth/${m}/users/ann", {"token_bound_cidrs": "nonsense"}, 400),
        POST("auth/${m}/users/ann", {"token_policies": "root"}, 204, differs=ROOT_POLICY),
        GET("auth/${m}/users/ann", ignore="data.token_policies"),
        POST(
            "auth/${m}/users/ann",
            {
                "token_bound_cidrs": "10.0.0.5/8,::1/128,127.0.0.1/32",
                "token_period": "1h",
                "token_explicit_max_ttl": 7200,
                "token_no_default_policy": True,
                "token_num_uses": 3,
                "token_policies": "a",
            },
            204,
        ),
        GET("auth/${m}/users/ann"),
    )


def test_a_login_gives_a_token(pair):
    pair.run(
        ENABLE,
        POST(
            "auth/${m}/users/ann",
            {"password": "first", "token_policies": "a", "token_ttl": "1h", "token_max_ttl": "2h"},
            204,
        ),
        POST("auth/${m}/login/ann", {"password": "first"}, token=None, save={"t": "auth.client_token"}),
        GET("auth/token/lookup-self", token="${t}"),
        POST("auth/token/renew-self", {}, token="${t}"),
        POST("auth/token/renew-self", {"increment": "3h"}, token="${t}"),
        PUT("auth/${m}/login/ANN", {"password": "first"}, token=None),
        POST("auth/${m}/login/ann", {"password": "first"}),
        POST("auth/${m}/login/ann", {"password": "First"}, 400, token=None),
        POST("auth/${m}/login/nobody", {"password": "first"}, 400, token=None),
        POST("auth/${m}/login/ann", {"password": ""}, 500, token=None, differs=NO_5XX),
        POST("auth/${m}/login/ann", {}, 500, token=None, differs=NO_5XX),
        POST("auth/${m}/login/ann", {"password": ["first"]}, 500, token=None, differs=NO_5XX),
        POST("auth/${m}/login", {"password": "first"}, 404),
        POST("auth/${m}/users/ann", {"token_policies": "b"}, 204),
        POST(
            "auth/token/renew-self",
            {},
            500,
            token="${t}",
            differs=Differs("no-5xx-for-bad-input", status=400, body=False),
        ),
    )


def test_limits_of_a_users_tokens_hold(pair):
    pair.run(
        ENABLE,
        POST("auth/${m}/users/one", {"password": "p", "token_num_uses": 2}, 204),
        POST("auth/${m}/login/one", {"password": "p"}, token=None, save={"t": "auth.client_token"}),
        GET("auth/token/lookup-self", token="${t}"),
        GET("auth/token/lookup-self", token="${t}", only="data.num_uses"),
        GET("auth/token/lookup-self", 403, token="${t}"),
        POST("auth/${m}/users/per", {"password": "p", "token_period": "1h"}, 204),
        POST("auth/${m}/login/per", {"password": "p"}, token=None, save={"t": "auth.client_token"}),
        GET("auth/token/lookup-self", token="${t}"),
        POST("auth/token/renew-self", {}, token="${t}"),
        POST("auth/${m}/users/bare", {"password": "p", "token_no_default_policy": True}, 204),
        POST("auth/${m}/login/bare", {"password": "p"}, token=None),
        POST("auth/${m}/users/far", {"password": "p", "token_bound_cidrs": "10.0.0.0/8"}, 204),
        POST("auth/${m}/login/far", {"password": "p"}, 403, token=None),
        POST("auth/${m}/login/far", {"password": "wrong"}, 400, token=None),
        POST("auth/${m}/users/far", {"token_bound_cidrs": ""}, 204),
        POST("auth/${m}/login/far", {"password": "p"}, token=None),
    )


def test_a_password_is_changed(pair):
    pair.run(
        ENABLE,
        POST("auth/${m}/users/ann", {"password": "first"}, 204),
        POST("auth/${m}/users/ann/password", {"password": "second"}, 204),
        POST("auth/${m}/login/ann", {"password": "first"}, 400, token=None),
        POST("auth/${m}/login/ann", {"password": "second"}, token=None),
        POST("auth/${m}/users/ann/password", {}, 400),
        GET("auth/${m}/users/ann/password", 405),
        POST("auth/${m}/users/nobody/password", {"password": "x"}, 500, differs=NO_5XX),
        POST("auth/${m}/users/nobody/policies", {"policies": "x"}, 500, differs=NO_5XX),
        POST("auth/${m}/users/ann", {"password": "third"}, 204),
        POST("auth/${m}/login/ann", {"password": "third"}, token=None),
    )


def test_a_bcrypt_hash_is_taken_for_a_password(pair):
    hashed = "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"  # of "U*U"
    pair.run(
        ENABLE,
        POST("auth/${m}/users/ann", {"password_hash": hashed}, 204),
        POST("auth/${m}/login/ann", {"password": "U*U"}, token=None),
        POST("auth/${m}/login/ann", {"password": "U*U"}, token=None),
        POST("auth/${m}/login/ann", {"password": "U*V"}, 400, token=None),
        POST("auth/${m}/users/bob", {"password_hash": "nonsense"}, 400),
        POST("auth/${m}/users/bob", {"password": "x", "password_hash": hashed}, 400),
        POST("auth/${m}/users/ann/password", {"password": "x", "password_hash": hashed}, 400),
        POST("auth/${m}/users/ann/password", {"password_hash": hashed}, 204),
        POST("auth/${m}/login/ann", {"password": "U*U"}, token=None),
    )


def test_a_user_needs_a_password_and_a_plain_name(pair):
    pair.run(
        ENABLE,
        POST("auth/${m}/users/ann", {}, 400),
        POST("auth/${m}/users/ann", {"password": ""}, 400),
        GET("auth/${m}/users/ann", 404),
        POST("auth/${m}/users/a%20b", {"password": "x"}, 404),
        POST("auth/${m}/users/a%2Fb", {"password": "x"}, 404),
        POST("auth/${m}/users/-ab", {"password": "x"}, 404),
        POST("auth/${m}/users/ab.", {"password": "x"}, 404),
        POST("auth/${m}/users/%C3%84b", {"password": "x"}, 404),
        POST("auth/${m}/users/%E2%84%AAelvin", {"password": "x"}, 404),
        POST("auth/${m}/users/a.b-c_1", {"password": "x"}, 204),
        POST("auth/${m}/login/A.B-C_1", {"password": "x"}, token=None),
        GET("auth/${m}/users", 405),
    )
