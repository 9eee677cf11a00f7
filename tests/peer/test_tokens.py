"""Tokens: creating them with every option, and what is refused."""

from __future__ import annotations

import pytest

from tests.peer.script import DELETE, GET, LIST, POST, PUT, WRONG, Differs

SAVE = {"tok": "auth.client_token", "acc": "auth.accessor"}


@pytest.fixture
def policy(pair):
    pair.run(PUT("sys/policies/acl/${m}", {"policy": 'path "${m}/*" { capabilities = ["read"] }'}, 204))
    return pair


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"policies": ["default"]},
        {"policies": ["${m}"]},
        {"policies": ["${m}", "default", "${m}"]},
        {"policies": ["${m}"], "no_default_policy": True},
        {"policies": ["Unknown-Policy"]},
        {"ttl": "1h"},
        {"ttl": 3600},
        {"ttl": "90m", "explicit_max_ttl": "2h"},
        {"ttl": "3h", "explicit_max_ttl": "2h"},
        {"explicit_max_ttl": "2h"},
        {"ttl": "90000h"},
        {"period": "30m"},
        {"period": "30m", "explicit_max_ttl": "1h"},
        {"lease": "1h"},
        {"num_uses": 5},
        {"renewable": False, "ttl": "1h"},
        {"display_name": "my app"},
        {"display_name": "Über/app!"},
        {"meta": {"team": "a", "n": "1"}},
        {"no_parent": True},
        {"type": "service"},
        {"policies": ["default"], "ttl": "0s"},
    ],
    ids=repr,
)
def test_create_and_look_up(policy, options):
    policy.run(
        POST("auth/token/create", options, save=SAVE),
        POST("auth/token/lookup", {"token": "${tok}"}),
    )


@pytest.mark.parametrize(
    "options",
    [
        {"ttl": "soon"},
        {"ttl": "-1s"},
        {"explicit_max_ttl": "soon"},
        {"explicit_max_ttl": "-1s"},
        {"period": "soon"},
        {"period": "-1s"},
        {"num_uses": -1},
        {"num_uses": "x"},
        {"type": "nonsense"},
        {"meta": "x"},
        {"meta": {"a": {"b": 1}}},
        {"id": "s.custom"},
        {"id": "has.dot"},
        {"entity_alias": "someone"},
        {"renewable": "x"},
    ],
    ids=repr,
)
def test_create_refuses(policy, options):
    policy.run(POST("auth/token/create", options, 400))


def test_a_number_is_no_policy(policy):
    policy.run(
        POST("auth/token/create", {"policies": 1}, differs=Differs("stricter-input", status=400, body=False))
    )


def test_create_needs_a_token_itself(policy):
    policy.run(
        POST("auth/token/create", {}, 403, token=None),
        POST("auth/token/create", {}, 403, token="s.nothing"),
        POST("auth/token/create", {}, 403, token="hvs.CAESINotAToken"),
        POST("auth/token/create", {}, 403, token="\u00fc".encode().decode("latin-1")),
        GET("auth/token/create", 405),
        LIST("auth/token/create", 404, differs=WRONG),
        DELETE("auth/token/create", 405),
    )


def test_an_orphan_has_no_parent(policy):
    policy.run(
        POST("auth/token/create-orphan", {"policies": ["${m}"], "ttl": "1h"}, save=SAVE),
        GET("auth/token/lookup-self", token="${tok}"),
        POST("auth/token/create-orphan", {}, 403, token="${tok}"),
    )


def test_an_orphan_takes_no_sudo_but_what_goes_beyond_its_maker_does(policy):
    may = 'path "auth/token/create-orphan" { capabilities = ["create", "update"] }'
    policy.run(
        PUT("sys/policies/acl/${m}-may", {"policy": may}, 204),
        POST("auth/token/create", {"policies": ["${m}-may"]}, save=SAVE),
        POST("auth/token/create-orphan", {}, token="${tok}"),
        POST("auth/token/create-orphan", {"policies": ["${m}"]}, 400, token="${tok}"),
        POST("auth/token/create-orphan", {"period": "1h"}, 400, token="${tok}"),
        POST("auth/token/create-orphan", {"id": "${m}-chosen"}, 400, token="${tok}"),
    )


def test_a_fixed_id_is_used(policy):
    policy.run(
        POST(
            "auth/token/create",
            {"id": "${m}-fixed", "policies": ["default"]},
            only=("auth.client_token",),
        ),
        GET("auth/token/lookup-self", token="${m}-fixed", ignore=("data.id",)),
        POST("auth/token/create", {"id": "${m}-fixed"}, 400),
        POST("auth/token/revoke-self", 204, token="${m}-fixed"),
    )


CREATOR = """
path "auth/token/create" { capabilities = ["create", "update"] }
path "auth/token/lookup" { capabilities = ["create", "update"] }
"""


@pytest.fixture
def creator(pair):
    pair.run(
        PUT("sys/policies/acl/${m}", {"policy": CREATOR}, 204),
        POST("auth/token/create", {"policies": ["${m}"], "ttl": "1h"}, save={"maker": "auth.client_token"}),
    )
    return pair


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({}, 200),
        ({"policies": ["default"]}, 200),
        ({"policies": ["${m}"]}, 200),
        ({"policies": ["other"]}, 400),
        ({"policies": ["root"]}, 400),
        ({"policies": ["${m}", "other"]}, 400),
        ({"no_parent": True}, 400),
        ({"period": "1h"}, 400),
        ({"id": "my-own"}, 400),
        ({"ttl": "9h"}, 200),
        ({"ttl": "10s"}, 200),
        ({"num_uses": 2}, 200),
        ({"no_default_policy": True}, 200),
        ({"display_name": "kid"}, 200),
    ],
    ids=repr,
)
def test_a_child_gets_no_more_than_its_parent_has(creator, options, status):
    creator.run(POST("auth/token/create", options, status, token="${maker}"))


def test_batch_tokens(creator):
    creator.run(
        POST(
            "auth/token/create",
            {"type": "batch", "policies": ["${m}"], "ttl": "1h"},
            save={"bat": "auth.client_token"},
        ),
        GET("auth/token/lookup-self", token="${bat}"),
        POST("auth/token/create", {}, 400, token="${bat}"),
        POST("auth/token/renew-self", {}, 400, token="${bat}"),
        POST("auth/token/revoke-self", 400, token="${bat}"),
        POST("auth/token/revoke", {"token": "${bat}"}, 400),
        PUT("cubbyhole/x", {"a": 1}, 400, token="${bat}"),
        POST("auth/token/create", {"type": "batch", "num_uses": 3}, 400),
        POST("auth/token/create", {"type": "batch", "period": "1h"}, 400),
        POST("auth/token/create", {"type": "batch", "explicit_max_ttl": "1h"}, 400),
        POST("auth/token/create", {"type": "batch", "renewable": True}, 400),
        POST("auth/token/create", {"type": "batch", "policies": ["root"]}, 400),
    )
