"""Policies of the server's own, where somebody assigns them: kept like any name, and refused when a token is made."""

from __future__ import annotations

import pytest

from tests.peer.script import DELETE, GET, POST, Differs

WRAPPING = [["response-wrapping"], ["default", "response-wrapping"], ["Response-Wrapping "]]
NO_ROOT = Differs("root-is-not-assigned", status=400, body=False)
PLAIN = [["control-group"], ["default"]]


@pytest.fixture
def methods(pair):
    """A user and a role to assign policies to."""
    pair.run(
        POST("sys/auth/${m}u", {"type": "userpass"}, 204),
        POST("sys/auth/${m}a", {"type": "approle"}, 204),
        POST("auth/${m}a/role/app", {"bind_secret_id": True}, 204),
        GET("auth/${m}a/role/app/role-id", save={"role_id": "data.role_id"}),
    )
    yield pair
    pair.run(
        DELETE("sys/auth/${m}u", 204),
        DELETE("sys/auth/${m}a", 204),
        DELETE("identity/entity/name/${m}", 204),
        DELETE("identity/group/name/${m}", 204),
        DELETE("auth/token/roles/${m}", 204),
    )


@pytest.mark.parametrize("policies", WRAPPING, ids=repr)
def test_nobody_logs_in_to_the_policy_of_wrapping_tokens(methods, policies):
    methods.run(
        POST("auth/${m}u/users/ann", {"password": "p", "token_policies": policies}, 204),
        POST("auth/${m}u/login/ann", {"password": "p"}, 400, token=None),
        POST("auth/${m}u/users/ann/policies", {"token_policies": ["default"]}, 204),
        POST("auth/${m}u/login/ann", {"password": "p"}, token=None, only=("auth.policies",)),
        POST("auth/${m}a/role/app", {"token_policies": policies}, 204),
        POST("auth/${m}a/role/app/secret-id", {}, save={"secret": "data.secret_id"}),
        POST("auth/${m}a/login", {"role_id": "${role_id}", "secret_id": "${secret}"}, 400, token=None),
    )


@pytest.mark.parametrize("policies", WRAPPING, ids=repr)
def test_a_token_role_gives_nobody_the_policy_of_wrapping_tokens(methods, policies):
    methods.run(
        POST("auth/token/roles/${m}", {"allowed_policies": policies}, 204),
        POST("auth/token/create/${m}", {}, 400),
        POST("auth/token/create/${m}", {"policies": policies}, 400),
        POST("auth/token/create", {"policies": policies}, 400),
    )


@pytest.fixture
def ann(methods):
    """A person and a group to assign policies to."""
    methods.run(
        POST("auth/${m}u/users/ann", {"password": "p"}, 204),
        POST("auth/${m}u/login/ann", {"password": "p"}, token=None, save={"entity": "auth.entity_id"}),
        POST("identity/entity/id/${entity}", {"name": "${m}"}, 204),
        POST("identity/group", {"name": "${m}", "member_entity_ids": ["${entity}"]}),
    )
    return methods


@pytest.mark.parametrize("kind", ["entity", "group"])
@pytest.mark.parametrize("policies", WRAPPING[:2], ids=repr)
def test_an_entity_and_a_group_take_it_and_then_nobody_of_them_logs_in(ann, kind, policies):
    ann.run(
        POST("auth/${m}u/login/ann", {"password": "p"}, token=None, save={"before": "auth.client_token"}),
        POST(f"identity/{kind}/name/${{m}}", {"policies": policies}, 204),
        GET(f"identity/{kind}/name/${{m}}", only=("data.policies",)),
        POST("auth/${m}u/login/ann", {"password": "p"}, 400, token=None),
        GET("auth/token/lookup-self", token="${before}", only=("data.policies",)),
        POST(f"identity/{kind}/name/${{m}}", {"policies": ["default"]}, 204),
        POST("auth/${m}u/login/ann", {"password": "p"}, token=None, only=("auth.policies",)),
    )


@pytest.mark.parametrize("policies", PLAIN, ids=repr)
def test_other_names_are_names_like_any(ann, policies):
    ann.run(
        POST("identity/entity/name/${m}", {"policies": policies}, 204),
        POST("auth/${m}u/login/ann", {"password": "p"}, token=None, only=("auth.policies",)),
    )


@pytest.mark.parametrize("policies", [["root"], ["default", "ROOT"]], ids=repr)
def test_root_is_assigned_to_nobody(methods, policies):
    methods.run(
        POST("auth/${m}u/users/ann", {"password": "p"}, 204),
        POST("auth/${m}u/users/ann", {"token_policies": policies}, 204, differs=NO_ROOT),
        POST("auth/${m}a/role/app", {"token_policies": policies}, 204, differs=NO_ROOT),
        POST("identity/entity", {"name": "${m}", "policies": policies}, 400),
        POST("identity/group", {"name": "${m}", "policies": policies}, 400),
    )
