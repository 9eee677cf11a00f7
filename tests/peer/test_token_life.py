"""Tokens: look up, renew, revoke, by themselves, by others and by accessor; use counts; roles."""

from __future__ import annotations

import pytest

from tests.peer.script import DELETE, GET, LIST, POST, PUT, WRONG

# The dev server's root token is made in another way here and there.
DEV_ROOT = ("data.path", "data.meta", "data.orphan", "data.display_name")


@pytest.fixture
def token(pair):
    pair.run(
        POST(
            "auth/token/create",
            {"policies": ["default"], "ttl": "1h", "meta": {"a": "b"}, "display_name": "app"},
            save={"tok": "auth.client_token", "acc": "auth.accessor"},
        )
    )
    return pair


def test_looking_up(token):
    token.run(
        POST("auth/token/lookup", {"token": "${tok}"}),
        POST("auth/token/lookup", {"token": "nothing"}, 403),
        POST("auth/token/lookup", {}, 200, ignore=DEV_ROOT),
        POST("auth/token/lookup", {"token": ""}, 200, ignore=DEV_ROOT),
        GET("auth/token/lookup", 200, ignore=DEV_ROOT),
        GET("auth/token/lookup-self", token="${tok}"),
        POST("auth/token/lookup-self", {}, 403, token="${tok}"),
        GET("auth/token/lookup-self", 403, token=None),
        GET("auth/token/lookup-self", 403, token="nothing"),
        POST("auth/token/lookup", {"token": "${tok}"}, 403, token="${tok}"),
        GET("auth/token/lookup/${tok}", 404),
    )


def test_looking_up_by_accessor(token):
    token.run(
        POST("auth/token/lookup-accessor", {"accessor": "${acc}"}),
        POST("auth/token/lookup-accessor", {"accessor": "nothing"}, 400),
        POST("auth/token/lookup-accessor", {}, 400),
        POST("auth/token/lookup-accessor", {"accessor": "${acc}"}, 403, token="${tok}"),
        GET("auth/token/lookup-accessor", 405),
    )


def test_the_root_token(token):
    token.run(
        GET(
            "auth/token/lookup-self",
            ignore=DEV_ROOT,
        ),
        POST("auth/token/renew-self", {}, 400),
        POST("auth/token/create", {"policies": ["root"]}, save={"second": "auth.client_token"}),
        GET("auth/token/lookup-self", token="${second}"),
        POST("auth/token/create", {"policies": ["root"], "ttl": "1h"}),
        POST("auth/token/create", {"policies": ["root", "default"]}),
        POST("auth/token/revoke-self", {}, 204, token="${second}"),
    )


def test_renewing(token):
    token.run(
        POST("auth/token/renew-self", {}, token="${tok}"),
        POST("auth/token/renew-self", {"increment": "30m"}, token="${tok}"),
        POST("auth/token/renew-self", {"increment": 120}, token="${tok}"),
        PUT("auth/token/renew-self", {"increment": "0"}, token="${tok}"),
        POST("auth/token/renew-self", {"increment": "99999h"}, token="${tok}"),
        POST("auth/token/renew-self", {"increment": "soon"}, 400, token="${tok}"),
        POST("auth/token/renew-self", token="${tok}"),
        POST("auth/token/renew", {"token": "${tok}", "increment": "10m"}),
        POST("auth/token/renew", {"token": "nothing"}, 400),
        POST("auth/token/renew", {}, 400),
        POST("auth/token/renew-accessor", {"accessor": "${acc}", "increment": "20m"}),
        POST("auth/token/renew-accessor", {"accessor": "nothing"}, 400),
        POST("auth/token/renew-accessor", {}, 400),
        GET("auth/token/lookup-self", token="${tok}"),
    )


def test_renewing_what_cannot_be_renewed(pair):
    pair.run(
        POST("auth/token/create", {"ttl": "1h", "renewable": False}, save={"tok": "auth.client_token"}),
        POST("auth/token/renew-self", {}, 400, token="${tok}"),
        POST(
            "auth/token/create",
            {"ttl": "1h", "explicit_max_ttl": "90m", "policies": ["default"]},
            save={"max": "auth.client_token"},
        ),
        POST("auth/token/renew-self", {"increment": "5h"}, token="${max}"),
        POST(
            "auth/token/create", {"period": "10m", "policies": ["default"]}, save={"per": "auth.client_token"}
        ),
        POST("auth/token/renew-self", {"increment": "5h"}, token="${per}"),
        GET("auth/token/lookup-self", token="${per}"),
    )


def test_revoking(token):
    token.run(
        POST("auth/token/revoke", {"token": "${tok}"}, 204),
        GET("auth/token/lookup-self", 403, token="${tok}"),
        POST("auth/token/revoke", {"token": "${tok}"}, 204),
        POST("auth/token/revoke", {"token": "nothing"}, 204),
        POST("auth/token/revoke", {}, 400),
        POST("auth/token/lookup-accessor", {"accessor": "${acc}"}, 400),
        POST("auth/token/revoke-self", {}, 403, token="${tok}"),
        POST("auth/token/revoke-self", {}, 403, token=None),
    )


def test_revoking_oneself_and_by_accessor(token):
    token.run(
        POST("auth/token/revoke-accessor", {"accessor": "${acc}"}, 204),
        GET("auth/token/lookup-self", 403, token="${tok}"),
        POST("auth/token/revoke-accessor", {"accessor": "${acc}"}, 200),
        POST("auth/token/revoke-accessor", {}, 400),
        POST("auth/token/create", {"policies": ["default"]}, save={"second": "auth.client_token"}),
        PUT("auth/token/revoke-self", 204, token="${second}"),
        GET("auth/token/lookup-self", 403, token="${second}"),
    )


def test_children_go_with_their_parent(pair):
    pair.run(
        PUT(
            "sys/policies/acl/${m}", {"policy": 'path "auth/token/create" { capabilities = ["update"] }'}, 204
        ),
        POST("auth/token/create", {"policies": ["${m}"]}, save={"parent": "auth.client_token"}),
        POST("auth/token/create", {}, token="${parent}", save={"child": "auth.client_token"}),
        POST("auth/token/create", {}, token="${child}", save={"grandchild": "auth.client_token"}),
        POST("auth/token/create-orphan", {"policies": ["default"]}, save={"other": "auth.client_token"}),
        GET("auth/token/lookup-self", token="${grandchild}"),
        POST("auth/token/revoke", {"token": "${parent}"}, 204),
        GET("auth/token/lookup-self", 403, token="${child}"),
        GET("auth/token/lookup-self", 403, token="${grandchild}"),
        GET("auth/token/lookup-self", token="${other}"),
    )


def test_children_are_left_as_orphans(pair):
    pair.run(
        PUT(
            "sys/policies/acl/${m}", {"policy": 'path "auth/token/create" { capabilities = ["update"] }'}, 204
        ),
        POST("auth/token/create", {"policies": ["${m}"]}, save={"parent": "auth.client_token"}),
        POST("auth/token/create", {}, token="${parent}", save={"child": "auth.client_token"}),
        POST("auth/token/revoke-orphan", {"token": "${parent}"}, 403, token="${child}"),
        POST("auth/token/revoke-orphan", {"token": "${parent}"}, 204),
        GET("auth/token/lookup-self", 403, token="${parent}"),
        GET("auth/token/lookup-self", token="${child}", only=("data.orphan", "data.policies")),
        POST("auth/token/revoke-orphan", {"token": "nothing"}, 400),
        POST("auth/token/revoke-orphan", {}, 400),
    )


def test_a_token_with_two_uses(pair):
    pair.run(
        POST(
            "auth/token/create", {"policies": ["default"], "num_uses": 2}, save={"tok": "auth.client_token"}
        ),
        GET("auth/token/lookup-self", token="${tok}", only=("data.num_uses",)),
        GET("auth/token/lookup-self", token="${tok}", only=("data.num_uses",)),
        GET("auth/token/lookup-self", 403, token="${tok}"),
    )


def test_accessors_can_be_listed_by_an_operator(token):
    token.run(
        LIST("auth/token/accessors", ignore=("data.keys",)),
        LIST("auth/token/accessors/", ignore=("data.keys",)),
        LIST("auth/token/accessors", 403, token="${tok}"),
        GET("auth/token/accessors", 405),
    )


def test_a_token_can_be_sent_as_bearer(token):
    token.run(
        GET("auth/token/lookup-self", token=None, headers={"Authorization": "Bearer ${tok}"}),
        GET("auth/token/lookup-self", 403, token=None, headers={"Authorization": "Bearer nothing"}),
        GET("auth/token/lookup-self", 403, token=None, headers={"Authorization": "Basic ${tok}"}),
        GET("auth/token/lookup-self", 403, token=None, headers={"Authorization": "${tok}"}),
    )


def test_roles(pair):
    pair.run(
        GET("auth/token/roles/${m}", 404),
        POST(
            "auth/token/roles/${m}",
            {"allowed_policies": ["default"], "orphan": True, "token_period": "1h"},
            204,
        ),
        GET("auth/token/roles/${m}"),
        LIST("auth/token/roles", mine="data.keys"),
        POST("auth/token/create/${m}", {"policies": ["default"]}, save={"tok": "auth.client_token"}),
        GET("auth/token/lookup-self", token="${tok}"),
        POST("auth/token/create/${m}", {"policies": ["other"]}, 400),
        POST("auth/token/create/${m}nothing", {}, 400),
        DELETE("auth/token/roles/${m}", 204),
        GET("auth/token/roles/${m}", 404),
    )


def test_paths_that_the_token_method_does_not_have(pair):
    pair.run(
        GET("auth/token/tidy", 405, differs=WRONG),
        GET("auth/token/nothing", 404),
        GET("auth/token", 404),
        GET("auth/token/", 404),
    )


def test_tidy(pair):
    pair.run(POST("auth/token/tidy", {}, 202, ignore="warnings"))
