"""Batch tokens: what they can do, what they cannot, and when they end."""

from __future__ import annotations

import string

import pytest

from tests.peer.script import DELETE, GET, LIST, POST, PUT, Compute, Differs

MAKER = """
path "auth/token/*" { capabilities = ["create", "read", "update", "list"] }
path "${m}/*" { capabilities = ["create", "read", "update", "list", "delete"] }
path "cubbyhole/*" { capabilities = ["create", "read", "update", "list", "delete"] }
"""
BATCH = {"type": "batch", "ttl": "1h"}
SAVE = {"bat": "auth.client_token"}
BASE64URL = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


@pytest.fixture
def batch(pair):
    """A service token that may much, and a batch token made by it."""
    pair.run(
        PUT("sys/policies/acl/${m}", {"policy": MAKER}, 204),
        POST("auth/token/create", {"policies": ["${m}"], "ttl": "2h"}, save={"maker": "auth.client_token"}),
        POST("auth/token/create", BATCH, token="${maker}", save=SAVE),
    )
    return pair


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"ttl": "30m"},
        {"ttl": "5h"},
        {"ttl": "90000h"},
        {"ttl": "0s"},
        {"renewable": True},
        {"renewable": False},
        {"policies": ["default"]},
        {"policies": ["${m}"], "no_default_policy": True},
        {"meta": {"a": "b"}, "display_name": "my job"},
    ],
    ids=repr,
)
def test_create_and_look_up(batch, options):
    batch.run(
        POST("auth/token/create", {"type": "batch", **options}, token="${maker}", save=SAVE),
        GET("auth/token/lookup-self", token="${bat}"),
        POST("auth/token/lookup", {"token": "${bat}"}),
    )


@pytest.mark.parametrize(
    "options",
    [
        {"num_uses": 3},
        {"period": "1h"},
        {"explicit_max_ttl": "1h"},
        {"policies": ["root"]},
        {"policies": ["other"]},
        {"no_parent": True},
        {"ttl": "soon"},
        {"ttl": "-1s"},
    ],
    ids=repr,
)
def test_what_a_batch_token_cannot_be(batch, options):
    batch.run(POST("auth/token/create", {"type": "batch", **options}, 400, token="${maker}"))


def test_root_makes_none_of_its_own_kind(batch):
    batch.run(
        POST("auth/token/create", {"type": "batch"}, 400),
        POST("auth/token/create", {"type": "batch", "policies": ["default"]}),
        POST("auth/token/create", {"type": "batch", "policies": ["default"], "no_parent": True}),
        POST("auth/token/create-orphan", {"type": "batch", "policies": ["default"]}),
    )


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "auth/token/create", {}),
        ("POST", "auth/token/create", {"type": "batch"}),
        ("POST", "auth/token/renew-self", {}),
        ("POST", "auth/token/renew", {"token": "${bat}"}),
        ("POST", "auth/token/revoke-self", None),
        ("POST", "auth/token/revoke", {"token": "${bat}"}),
        ("PUT", "cubbyhole/x", {"a": 1}),
        ("GET", "cubbyhole/x", None),
        ("LIST", "cubbyhole", None),
        ("DELETE", "cubbyhole/x", None),
    ],
    ids=repr,
)
def test_what_a_batch_token_may_not(batch, method, path, body):
    verb = {"POST": POST, "PUT": PUT, "GET": GET, "LIST": LIST, "DELETE": DELETE}[method]
    batch.run(verb(path, body, 400, token="${bat}") if body is not None else verb(path, 400, token="${bat}"))


def test_others_cannot_renew_or_revoke_it_either(batch):
    batch.run(
        POST("auth/token/renew", {"token": "${bat}"}, 400),
        POST("auth/token/revoke", {"token": "${bat}"}, 400),
        POST("auth/token/revoke-orphan", {"token": "${bat}"}, 400),
        POST("sys/wrapping/lookup", {"token": "${bat}"}, 400),
        POST("sys/wrapping/unwrap", {"token": "${bat}"}, 400),
        GET("auth/token/lookup-self", token="${bat}"),
    )


def test_it_reads_and_writes(batch):
    batch.run(
        POST("sys/mounts/${m}", {"type": "kv"}, 204),
        POST("${m}/a", {"v": 1}, 204, token="${bat}"),
        GET("${m}/a", token="${bat}"),
        LIST("${m}", token="${bat}"),
        DELETE("${m}/a", 204, token="${bat}"),
        GET("sys/mounts", 403, token="${bat}"),
        POST("sys/capabilities", {"token": "${bat}", "path": "${m}/a"}),
        POST("sys/capabilities-self", {"path": "${m}/a"}, token="${bat}"),
        GET("${m}/none", 404, token="${bat}", headers={"X-Vault-Wrap-TTL": "1m"}),
        POST("sys/wrapping/wrap", {"a": 1}, token="${bat}", headers={"X-Vault-Wrap-TTL": "1m"}),
    )


def test_it_dies_with_its_parent(batch):
    batch.run(
        GET("auth/token/lookup-self", token="${bat}"),
        POST("auth/token/revoke", {"token": "${maker}"}, 204),
        GET("auth/token/lookup-self", 403, token="${bat}"),
        POST("auth/token/lookup", {"token": "${bat}"}, 403),
    )


def test_an_orphan_outlives_its_maker(batch):
    batch.run(
        POST("auth/token/roles/${m}", {"orphan": True}, 204),
        POST("auth/token/create/${m}", BATCH, token="${maker}", save=SAVE),
        POST("auth/token/revoke", {"token": "${maker}"}, 204),
        GET("auth/token/lookup-self", token="${bat}"),
        DELETE("auth/token/roles/${m}", 204),
    )


@pytest.mark.parametrize("place", [5, 30, -10, -1])
def test_a_changed_character_is_no_token(batch, place):
    def changed(names):
        # The upper half of what a character stands for: at the end, some of its lower bits may mean nothing.
        text = names["bat"]
        other = BASE64URL[(BASE64URL.index(text[place]) + 32) % 64]
        return text[:place] + other + (text[place:][1:])

    batch.run(
        Compute("bad", changed),
        GET("auth/token/lookup-self", 403, token="${bad}"),
        POST("auth/token/lookup", {"token": "${bad}"}, 403),
    )


def test_in_namespaces(batch):
    batch.run(
        POST("sys/namespaces/${m}", only="data.path"),
        POST(
            "auth/token/create",
            {"type": "batch", "policies": ["default"]},
            namespace="${m}",
            save=SAVE,
            differs=Differs("orphans-below", ignore=("auth.orphan",)),
        ),
        GET("auth/token/lookup-self", token="${bat}", namespace="${m}", only="data.type"),
    )


TUNES = ["default-service", "default-batch", "service", "batch"]
USERS = [{}, {"token_type": "service"}, {"token_type": "batch"}, {"token_type": "default"}]


@pytest.mark.parametrize("tuned", TUNES)
@pytest.mark.parametrize("user", USERS, ids=repr)
def test_the_kind_of_token_that_a_login_gets(pair, tuned, user):
    pair.run(
        POST("sys/auth/${m}", {"type": "userpass", "config": {"token_type": tuned}}, 204),
        POST("auth/${m}/users/ann", {"password": "a-long-password", **user}, 204),
        POST(
            "auth/${m}/login/ann",
            {"password": "a-long-password"},
            token=None,
            only=("auth.token_type", "auth.renewable", "auth.orphan", "auth.policies", "auth.lease_duration"),
            save=SAVE,
        ),
        GET("auth/token/lookup-self", token="${bat}", only=("data.type", "data.orphan", "data.path")),
    )


def test_a_batch_login_that_cannot_be_limited(pair):
    pair.run(
        POST("sys/auth/${m}", {"type": "userpass", "config": {"token_type": "batch"}}, 204),
        POST("auth/${m}/users/ann", {"password": "a-long-password", "token_num_uses": 2}, 204),
        POST(
            "auth/${m}/login/ann",
            {"password": "a-long-password"},
            token=None,
            differs=Differs("stricter-input", status=400, body=False),
        ),
    )
