"""The ``approle`` method: roles, secret ids, and logins with both."""

from __future__ import annotations

import pytest

from tests.peer.script import DELETE, GET, LIST, POST, PUT, WRONG, Compute, Differs

NO_5XX = Differs("no-5xx-for-bad-input", status=400, body=False)
ENABLE = (
    Compute("r", lambda names: names["m"] + "-role"),
    POST("sys/auth/${m}", {"type": "approle"}, 204),
)
ROLE = POST("auth/${m}/role/app", {"role_id": "${r}", "token_policies": "a"}, 204)
SECRET = "auth/${m}/role/app/secret-id"
RANDOM = ("data.secret_id", "data.secret_id_accessor")


def test_a_role_is_made_read_listed_and_removed(pair):
    pair.run(
        *ENABLE,
        LIST("auth/${m}/role", 404),
        GET("auth/${m}/role/app", 404),
        POST("auth/${m}/role/App", {}, 204),
        GET("auth/${m}/role/app"),
        GET("auth/${m}/role/APP"),
        GET("auth/${m}/role/app/role-id", ignore="data.role_id"),
        LIST("auth/${m}/role"),
        POST("auth/${m}/role/two", {"bind_secret_id": False}, 500, differs=NO_5XX),
        POST("auth/${m}/role/two", {"bind_secret_id": False, "token_bound_cidrs": "127.0.0.0/8"}, 204),
        GET("auth/${m}/role/two"),
        LIST("auth/${m}/role"),
        GET("auth/${m}/role?list=true"),
        DELETE("auth/${m}/role/two", 204),
        DELETE("auth/${m}/role/two", 204),
        GET("auth/${m}/role/two", 404),
        POST("auth/${m}/role/a%20b", {}, 404),
        GET("auth/${m}/role", 405),
    )


def test_a_role_with_everything(pair):
    pair.run(
        *ENABLE,
        POST(
            "auth/${m}/role/app",
            {
                "policies": "a,b",
                "period": "1h",
                "secret_id_ttl": "10m",
                "secret_id_num_uses": 3,
                "secret_id_bound_cidrs": "127.0.0.1/32",
                "local_secret_ids": True,
                "token_num_uses": 2,
                "role_id": "${r}",
            },
            204,
        ),
        GET("auth/${m}/role/app"),
        GET("auth/${m}/role/app/role-id"),
        POST("auth/${m}/role/app", {"bound_cidr_list": "10.0.0.0/8"}, 204),
        GET("auth/${m}/role/app"),
        POST("auth/${m}/role/app", {"token_policies": "c"}, 204),
        GET("auth/${m}/role/app"),
        POST("auth/${m}/role/app", {"local_secret_ids": False}, 400),
        POST("auth/${m}/role/app", {"role_id": ""}, 400),
        POST("auth/${m}/role/app", {"secret_id_ttl": -1}, 400),
        POST("auth/${m}/role/app", {"secret_id_num_uses": -1}, 400),
        POST("auth/${m}/role/app", {"token_type": "nonsense"}, 400),
        GET("auth/${m}/role/app"),
    )


def test_the_id_of_a_role_is_its_own(pair):
    pair.run(
        *ENABLE,
        ROLE,
        POST("auth/${m}/role/two", {}, 204),
        POST("auth/${m}/role/two/role-id", {"role_id": "${r}"}, 500, differs=NO_5XX),
        POST("auth/${m}/role/two", {"role_id": "${r}"}, 500, differs=NO_5XX),
        POST("auth/${m}/role/app/role-id", {"role_id": "${r}-new"}, 204),
        GET("auth/${m}/role/app/role-id"),
        POST("auth/${m}/role/two/role-id", {"role_id": "${r}"}, 204),
        GET("auth/${m}/role/two/role-id"),
        POST("auth/${m}/role/app/role-id", {}, 400),
        GET("auth/${m}/role/none/role-id", 404),
    )


@pytest.mark.parametrize(
    ("setting", "good", "empty"),
    [
        ("policies", {"token_policies": "x"}, 400),
        ("policies", {"policies": "x"}, 400),
        ("secret-id-bound-cidrs", {"secret_id_bound_cidrs": "127.0.0.1/32"}, 204),
        ("bound-cidr-list", {"bound_cidr_list": "127.0.0.1/32"}, 204),
        ("token-bound-cidrs", {"token_bound_cidrs": "127.0.0.1/32"}, 204),
        ("secret-id-num-uses", {"secret_id_num_uses": 5}, 400),
        ("secret-id-ttl", {"secret_id_ttl": "5m"}, 400),
        ("period", {"token_period": "2h"}, 400),
        ("period", {"period": "2h"}, 400),
        ("token-num-uses", {"token_num_uses": 5}, 400),
        ("token-ttl", {"token_ttl": "5m"}, 400),
        ("token-max-ttl", {"token_max_ttl": "5m"}, 400),
    ],
)
def test_a_setting_with_a_path_of_its_own(pair, setting, good, empty):
    at = f"auth/${{m}}/role/app/{setting}"
    pair.run(
        *ENABLE,
        ROLE,
        GET(at),
        POST(at, good, 204),
        GET(at),
        GET("auth/${m}/role/app"),
        POST(at, {}, empty),
        DELETE(at, 204),
        GET(at),
        # OpenBao leaves the networks in place if they are reset by their old name.
        GET("auth/${m}/role/app", ignore="data.secret_id_bound_cidrs"),
        GET(f"auth/${{m}}/role/none/{setting}", 404),
        POST(f"auth/${{m}}/role/none/{setting}", good, 404),
        DELETE(f"auth/${{m}}/role/none/{setting}", 204),
    )


def test_settings_that_are_no_good(pair):
    pair.run(
        *ENABLE,
        ROLE,
        POST("auth/${m}/role/app/secret-id-num-uses", {"secret_id_num_uses": -1}, 400),
        POST("auth/${m}/role/app/token-bound-cidrs", {"token_bound_cidrs": "x"}, 400),
        POST("auth/${m}/role/app/secret-id-bound-cidrs", {"secret_id_bound_cidrs": "x"}, 400),
        POST("auth/${m}/role/app/secret-id-bound-cidrs", {"secret_id_bound_cidrs": "10.0.0.1"}, 400),
        POST("auth/${m}/role/app/token-ttl", {"token_ttl": "5m"}, 204),
        POST("auth/${m}/role/app/token-max-ttl", {"token_max_ttl": "1m"}, 400),
        GET("auth/${m}/role/app/local-secret-ids"),
        POST("auth/${m}/role/app/local-secret-ids", {"local_secret_ids": True}, 405, differs=WRONG),
        GET("auth/${m}/role/app"),
    )


def test_a_secret_id_is_made_looked_up_and_destroyed(pair):
    pair.run(
        *ENABLE,
        ROLE,
        LIST(SECRET, 404),
        POST(SECRET, {}, save={"s": "data.secret_id", "a": "data.secret_id_accessor"}, ignore=RANDOM),
        PUT(
            SECRET,
            {"metadata": '{"k": "v"}', "cidr_list": "127.0.0.1/32", "num_uses": 2, "ttl": "60"},
            save={"s2": "data.secret_id", "a2": "data.secret_id_accessor"},
            ignore=RANDOM,
        ),
        POST(SECRET + "/lookup", {"secret_id": "${s}"}, ignore="data.secret_id_accessor"),
        POST(SECRET + "/lookup", {"secret_id": "${s2}"}, ignore="data.secret_id_accessor"),
        POST(SECRET + "-accessor/lookup", {"secret_id_accessor": "${a2}"}, ignore="data.secret_id_accessor"),
        POST(SECRET + "/lookup", {"secret_id": "no"}, 204),
        POST(SECRET + "/lookup", {}, 400),
        POST(SECRET + "-accessor/lookup", {"secret_id_accessor": "no"}, 404),
        POST(SECRET + "-accessor/lookup", {}, 400),
        POST(SECRET + "/destroy", {"secret_id": "${s}"}, 204),
        POST(SECRET + "/destroy", {"secret_id": "${s}"}, 204),
        POST(SECRET + "/destroy", {}, 400),
        POST(SECRET + "/lookup", {"secret_id": "${s}"}, 204),
        POST(SECRET + "-accessor/destroy", {"secret_id_accessor": "${a2}"}, 204),
        POST(SECRET + "-accessor/destroy", {"secret_id_accessor": "${a2}"}, 500, differs=NO_5XX),
        POST(SECRET + "-accessor/destroy", {}, 400),
        LIST(SECRET, 404),
        POST("auth/${m}/login", {"role_id": "${r}", "secret_id": "${s2}"}, 400, token=None),
        POST("auth/${m}/tidy/secret-id", 202),
    )


def test_paths_of_a_role_that_is_not_there(pair):
    there = "auth/${m}/role/none/"
    pair.run(
        *ENABLE,
        POST(there + "secret-id", {}, 404),
        POST(there + "custom-secret-id", {"secret_id": "x"}, 404),
        LIST(there + "secret-id", 400),
        POST(there + "secret-id/lookup", {"secret_id": "x"}, 500, differs=NO_5XX),
        POST(there + "secret-id/destroy", {"secret_id": "x"}, 500, differs=NO_5XX),
        POST(there + "secret-id-accessor/lookup", {"secret_id_accessor": "x"}, 500, differs=NO_5XX),
        POST(there + "secret-id-accessor/destroy", {"secret_id_accessor": "x"}, 500, differs=NO_5XX),
    )


def test_secret_ids_keep_to_their_role(pair):
    pair.run(
        *ENABLE,
        POST(
            "auth/${m}/role/app",
            {
                "secret_id_num_uses": 3,
                "secret_id_ttl": "10m",
                "secret_id_bound_cidrs": "127.0.0.0/8",
                "token_bound_cidrs": "127.0.0.0/8",
            },
            204,
        ),
        POST(SECRET, {}, ignore=RANDOM),
        POST(SECRET, {"num_uses": 2, "ttl": "5m"}, ignore=RANDOM),
        POST(SECRET, {"num_uses": 4}, 400),
        POST(SECRET, {"num_uses": 0}, 400),
        POST(SECRET, {"num_uses": -1}, 400),
        POST(SECRET, {"ttl": "11m"}, 400),
        POST(SECRET, {"cidr_list": "10.0.0.0/8"}, 500, differs=NO_5XX),
        POST(SECRET, {"token_bound_cidrs": "10.0.0.0/8"}, 500, differs=NO_5XX),
        POST(SECRET, {"cidr_list": "x"}, 500, differs=NO_5XX),
        POST(SECRET, {"cidr_list": "127.0.0.1/32", "token_bound_cidrs": "127.0.0.1/32"}, ignore=RANDOM),
        POST(SECRET, {"metadata": "nonsense"}, 400),
        POST(SECRET, {"metadata": "k=v,x=y"}, ignore=RANDOM),
        POST("auth/${m}/role/free", {"bind_secret_id": False, "token_bound_cidrs": "127.0.0.0/8"}, 204),
        POST("auth/${m}/role/free/secret-id", {}, 400),
        LIST("auth/${m}/role/free/secret-id", 404),
    )


def test_custom_secret_ids(pair):
    custom = "auth/${m}/role/app/custom-secret-id"
    pair.run(
        *ENABLE,
        ROLE,
        POST(custom, {"secret_id": "my-own", "ttl": "1h"}, ignore="data.secret_id_accessor"),
        POST(custom, {"secret_id": "my-own"}, 500, differs=NO_5XX),
        POST(custom, {}, 400),
        POST(custom, {"secret_id": ""}, 400),
        POST("auth/${m}/login", {"role_id": "${r}", "secret_id": "my-own"}, token=None),
        POST("auth/${m}/login", {"role_id": "${r}", "secret_id": "My-Own"}, 400, token=None),
    )


def test_a_login_gives_a_token(pair):
    good = {"role_id": "${r}", "secret_id": "${s}"}
    pair.run(
        *ENABLE,
        POST(
            "auth/${m}/role/app",
            {"role_id": "${r}", "token_policies": "a", "token_ttl": "1h", "token_max_ttl": "2h"},
            204,
        ),
        POST(SECRET, {"metadata": "k=v", "num_uses": 2}, save={"s": "data.secret_id"}, ignore=RANDOM),
        POST("auth/${m}/login", good, token=None, save={"t": "auth.client_token"}),
        GET("auth/token/lookup-self", token="${t}"),
        POST(SECRET + "/lookup", {"secret_id": "${s}"}, ignore="data.secret_id_accessor"),
        PUT("auth/${m}/login", good, token=None),
        POST("auth/${m}/login", good, 400, token=None),
        POST("auth/token/renew-self", {}, token="${t}"),
        POST("auth/${m}/role/app", {"token_policies": "b", "token_ttl": "30m"}, 204),
        POST("auth/token/renew-self", {}, token="${t}"),
        DELETE("auth/${m}/role/app", 204),
        POST("auth/token/renew-self", {}, 500, token="${t}", differs=NO_5XX),
        POST("auth/${m}/role/app", {"role_id": "${r}"}, 204),
        POST("auth/${m}/login", good, 400, token=None),
    )


def test_a_login_that_is_no_good(pair):
    pair.run(
        *ENABLE,
        ROLE,
        POST(SECRET, {}, save={"s": "data.secret_id"}, ignore=RANDOM),
        POST("auth/${m}/login", {"role_id": "${r}"}, 400, token=None),
        POST("auth/${m}/login", {"role_id": "${r}", "secret_id": ""}, 400, token=None),
        POST("auth/${m}/login", {"role_id": "no", "secret_id": "${s}"}, 400, token=None),
        POST("auth/${m}/login", {"role_id": "${r}", "secret_id": "no"}, 400, token=None),
        POST("auth/${m}/login", {"secret_id": "${s}"}, 500, token=None, differs=NO_5XX),
        POST("auth/${m}/login", {}, 500, token=None, differs=NO_5XX),
        POST("auth/${m}/login", {"role_id": ["${r}"], "secret_id": "${s}"}, 500, token=None, differs=NO_5XX),
        POST("auth/${m}/login", {"role_id": {}, "secret_id": "${s}"}, 500, token=None, differs=NO_5XX),
        POST("auth/${m}/login", {"role_id": "${r}", "secret_id": 5}, 400, token=None),
        POST("auth/${m}/login", {"role_id": "${r}", "secret_id": "${s}"}, token=None),
    )


def test_networks_of_secret_ids_and_tokens(pair):
    def login(name, status=200):
        return POST("auth/${m}/login", {"role_id": "${r}", "secret_id": f"${{{name}}}"}, status, token=None)

    pair.run(
        *ENABLE,
        ROLE,
        POST(SECRET, {"cidr_list": "10.0.0.0/8"}, save={"far": "data.secret_id"}, ignore=RANDOM),
        login("far", 400),
        POST(SECRET, {"token_bound_cidrs": "10.0.0.0/8"}, save={"odd": "data.secret_id"}, ignore=RANDOM),
        POST(
            "auth/${m}/login",
            {"role_id": "${r}", "secret_id": "${odd}"},
            token=None,
            save={"t": "auth.client_token"},
        ),
        GET("auth/token/lookup-self", 403, token="${t}"),
        POST(SECRET, {}, save={"any": "data.secret_id"}, ignore=RANDOM),
        login("any"),
        POST("auth/${m}/role/app", {"secret_id_bound_cidrs": "10.0.0.0/8"}, 204),
        login("any", 400),
        POST("auth/${m}/role/app", {"secret_id_bound_cidrs": "127.0.0.0/8"}, 204),
        login("any"),
        POST(
            "auth/${m}/role/free",
            {"bind_secret_id": False, "secret_id_bound_cidrs": "127.0.0.0/8", "role_id": "${r}-free"},
            204,
        ),
        POST("auth/${m}/login", {"role_id": "${r}-free"}, token=None),
        POST("auth/${m}/role/free", {"secret_id_bound_cidrs": "10.0.0.0/8"}, 204),
        POST("auth/${m}/login", {"role_id": "${r}-free"}, 400, token=None),
    )


def test_a_secret_id_is_delivered_wrapped(pair):
    pair.run(
        *ENABLE,
        ROLE,
        POST(SECRET, {}, headers={"X-Vault-Wrap-TTL": "60"}, save={"w": "wrap_info.token"}),
        POST("sys/wrapping/unwrap", {}, token="${w}", save={"s": "data.secret_id"}, ignore=RANDOM),
        POST("auth/${m}/login", {"role_id": "${r}", "secret_id": "${s}"}, token=None),
        POST("sys/wrapping/unwrap", {}, 400, token="${w}"),
    )
