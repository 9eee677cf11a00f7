"""Token roles: what they take, and the tokens that are made through them."""

from __future__ import annotations

import pytest

from tests.peer.script import DELETE, GET, LIST, POST, PUT, WRONG, Differs

SAVE = {"tok": "auth.client_token", "acc": "auth.accessor"}
MAKER = """
path "auth/token/create/*" { capabilities = ["update"] }
"""
SUDO = """
path "auth/token/create/*" { capabilities = ["update", "sudo"] }
"""
RULE = 'path "x/${m}" { capabilities = ["read"] }'
STRICTER = Differs("stricter-input", status=400, body=False)


@pytest.fixture
def maker(pair):
    """Three policies of this test's, and a token that may use roles but do nothing else."""
    pair.run(
        PUT("sys/policies/acl/${m}a", {"policy": RULE}, 204),
        PUT("sys/policies/acl/${m}b", {"policy": RULE}, 204),
        PUT("sys/policies/acl/${m}", {"policy": MAKER}, 204),
        PUT("sys/policies/acl/${m}s", {"policy": SUDO}, 204),
        POST("auth/token/create", {"policies": ["${m}"]}, save={"maker": "auth.client_token"}),
        POST("auth/token/create", {"policies": ["${m}s"]}, save={"sudoer": "auth.client_token"}),
    )
    yield pair
    pair.run(DELETE("auth/token/roles/${m}", 204))


@pytest.mark.parametrize(
    "role",
    [
        {},
        {"allowed_policies": ["a", "b"], "disallowed_policies": "x"},
        {"allowed_policies": "A, b ,a"},
        {"allowed_policies_glob": "p*", "disallowed_policies_glob": ["q*", "r"]},
        {"disallowed_policies": ["A", "b", "a", "root"]},
        {"orphan": True, "renewable": False},
        {"period": "1h"},
        {"token_period": "1h"},
        {"explicit_max_ttl": "2h"},
        {"token_explicit_max_ttl": 7200},
        {"bound_cidrs": "127.0.0.1/8"},
        {"token_bound_cidrs": ["10.0.0.0/8", "1.2.3.4"]},
        {"path_suffix": "sfx"},
        {"path_suffix": "a.b-c_d"},
        {"token_type": "service"},
        {"token_type": "default-service"},
        {"token_type": "default-batch"},
        {"token_type": "batch", "orphan": True, "renewable": False},
        {"token_num_uses": 3},
        {"token_no_default_policy": True},
        {"allowed_entity_aliases": ["AB", "c*"]},
    ],
    ids=repr,
)
def test_a_role_reads_as_it_was_written(maker, role):
    maker.run(POST("auth/token/roles/${m}", role, 204), GET("auth/token/roles/${m}"))


@pytest.mark.parametrize(
    "role",
    [
        {"token_period": "1h", "period": "2h"},
        {"token_explicit_max_ttl": "1h", "explicit_max_ttl": "2h"},
        {"token_bound_cidrs": "10.0.0.0/8", "bound_cidrs": "11.0.0.0/8"},
    ],
    ids=repr,
)
def test_the_new_name_of_a_parameter_wins(maker, role):
    maker.run(POST("auth/token/roles/${m}", role), GET("auth/token/roles/${m}"))


@pytest.mark.parametrize(
    "role",
    [
        {"token_type": "nonsense"},
        {"token_type": "default"},
        {"token_type": ""},
        {"token_type": "batch"},
        {"token_type": "batch", "orphan": True, "renewable": False, "period": "1h"},
        {"token_type": "batch", "orphan": True, "renewable": False, "explicit_max_ttl": "1h"},
        {"token_type": "batch", "orphan": True},
        {"path_suffix": "a/b"},
        {"path_suffix": "../x"},
        {"path_suffix": "\u00fc"},
        {"explicit_max_ttl": "-1h"},
        {"token_explicit_max_ttl": "-1h"},
        {"period": "-1h"},
        {"token_period": "soon"},
        {"token_num_uses": -1},
        {"token_num_uses": "x"},
        {"bound_cidrs": "x"},
        {"orphan": "x"},
        {"renewable": "x"},
    ],
    ids=repr,
)
def test_a_role_that_is_refused(maker, role):
    maker.run(POST("auth/token/roles/${m}", role, 400), GET("auth/token/roles/${m}", 404))


@pytest.mark.parametrize(
    "role",
    [
        {"allowed_policies": ["root"]},
        {"allowed_policies": "default,ROOT"},
        {"allowed_policies": [" root "]},
        {"path_suffix": "two words"},
        {"token_bound_cidrs": ["10.0.0.0/99"]},
        {"nonsense": 1},
    ],
    ids=repr,
)
def test_a_role_that_only_we_refuse(maker, role):
    key = "unknown-fields" if "nonsense" in role else "stricter-input"
    differs = Differs("unknown-fields", 400, body=False) if key == "unknown-fields" else STRICTER
    maker.run(POST("auth/token/roles/${m}", role, 204, differs=differs))


def test_a_role_is_changed_in_part_listed_and_deleted(maker):
    maker.run(
        GET("auth/token/roles/${m}", 404),
        DELETE("auth/token/roles/${m}", 204),
        POST("auth/token/roles/${m}", {"period": "1h", "orphan": True}, 204),
        PUT("auth/token/roles/${m}", {"allowed_policies": "a"}, 204),
        GET("auth/token/roles/${m}"),
        POST("auth/token/roles/${m}", {"token_period": "3h"}, 204),
        GET("auth/token/roles/${m}"),
        POST("auth/token/roles/${m}", {"explicit_max_ttl": "90000h"}, ignore="warnings"),
        LIST("auth/token/roles", mine="data.keys"),
        GET("auth/token/roles", 405, differs=WRONG),
        DELETE("auth/token/roles/${m}", 204),
        GET("auth/token/roles/${m}", 404),
        POST("auth/token/create/${m}", {}, 400),
        POST("auth/token/roles/-x", {}, 404),
        POST("auth/token/roles/a%2Fb", {}, 404, differs=WRONG),
    )


def test_roles_need_their_grants(maker):
    maker.run(
        POST("auth/token/roles/${m}", {}, 403, token="${maker}"),
        POST("auth/token/roles/${m}", {}, 204),
        GET("auth/token/roles/${m}", 403, token="${maker}"),
        LIST("auth/token/roles", 403, token="${maker}"),
        DELETE("auth/token/roles/${m}", 403, token="${maker}"),
        POST("auth/token/create", {}, 403, token="${maker}"),
        POST("auth/token/create/${m}", {}, token="${maker}"),
        POST("auth/token/create/${m}", {}, 403, token=None),
        POST("auth/token/create/nothing-${m}", {}, 400, token="${maker}"),
    )


ANY = [
    {},
    {"policies": ["${m}a"]},
    {"policies": ["${m}b"]},
    {"policies": ["${m}"]},
    {"policies": ["${m}a", "other"]},
    {"policies": ["default"]},
    {"policies": ["${m}a"], "no_default_policy": True},
]


@pytest.mark.parametrize(
    ("role", "statuses"),
    [
        ({}, [200, 400, 400, 200, 400, 200, 400]),
        ({"allowed_policies": ["${m}a"]}, [200, 200, 400, 400, 400, 200, 200]),
        ({"allowed_policies_glob": ["${m}*"]}, [200, 200, 200, 200, 400, 200, 200]),
        ({"allowed_policies_glob": ["*a"]}, [200, 200, 400, 400, 400, 200, 200]),
        ({"allowed_policies_glob": ["*"]}, [200, 200, 200, 200, 200, 200, 200]),
        ({"disallowed_policies": ["${m}b"]}, [200, 200, 400, 200, 200, 200, 200]),
        ({"disallowed_policies": ["default"]}, [400, 200, 200, 200, 200, 400, 200]),
        ({"disallowed_policies_glob": ["${m}*"]}, [400, 400, 400, 400, 400, 200, 400]),
        (
            {"allowed_policies": ["${m}a"], "disallowed_policies": ["${m}a"]},
            [400, 400, 400, 400, 400, 200, 400],
        ),
        (
            {"allowed_policies": ["${m}a"], "token_no_default_policy": True},
            [200, 200, 400, 400, 400, 400, 200],
        ),
        ({"token_no_default_policy": True}, [200, 400, 400, 200, 400, 200, 400]),
    ],
    ids=repr,
)
def test_the_policies_that_a_role_gives(maker, role, statuses):
    maker.run(
        POST("auth/token/roles/${m}", role, 204),
        *(
            POST("auth/token/create/${m}", wanted, status, token="${maker}")
            for wanted, status in zip(ANY, statuses, strict=True)
        ),
    )


@pytest.mark.parametrize(
    "role",
    [{}, {"allowed_policies_glob": ["*"]}, {"disallowed_policies": ["x"]}],
    ids=repr,
)
def test_only_root_makes_root_through_a_role(maker, role):
    maker.run(
        POST("auth/token/roles/${m}", role, 204),
        POST("auth/token/create/${m}", {"policies": ["root"]}, 400, token="${maker}"),
        POST("auth/token/create/${m}", {"policies": ["root"]}, 400, token="${sudoer}"),
        POST("auth/token/create/${m}", {"policies": ["ROOT"]}, 400, token="${sudoer}"),
        POST("auth/token/create/${m}", {"policies": ["root"]}),
        POST("auth/token/create/${m}", {"policies": ["response-wrapping"]}, 400),
    )


@pytest.mark.parametrize(
    ("role", "wanted"),
    [
        ({"orphan": True}, {}),
        ({}, {"no_parent": True}),
        ({"period": "1h"}, {}),
        ({"token_period": "1h"}, {"ttl": "5h"}),
        ({"token_period": "1h"}, {"explicit_max_ttl": "30m"}),
        ({"explicit_max_ttl": "2h"}, {}),
        ({"token_explicit_max_ttl": "2h"}, {"ttl": "5h"}),
        ({"token_explicit_max_ttl": "2h"}, {"ttl": "1h"}),
        ({"explicit_max_ttl": "2h"}, {"explicit_max_ttl": "1h"}),
        ({"explicit_max_ttl": "2h"}, {"explicit_max_ttl": "3h"}),
        ({"path_suffix": "sfx"}, {"display_name": "d", "meta": {"a": "b"}}),
        ({"renewable": False}, {"renewable": True}),
        ({"token_num_uses": 3}, {}),
        ({"token_num_uses": 3}, {"num_uses": 2}),
        ({"token_num_uses": 3}, {"num_uses": 9}),
        ({"token_bound_cidrs": ["127.0.0.1/32"]}, {}),
        ({"token_type": "service"}, {"type": "batch"}),
        ({"token_type": "default-batch"}, {}),
        ({"token_type": "default-batch"}, {"type": "service"}),
        ({"token_type": "default-service"}, {"type": "batch"}),
        ({"token_type": "batch", "orphan": True, "renewable": False}, {}),
        ({"token_type": "batch", "orphan": True, "renewable": False}, {"type": "service"}),
    ],
    ids=repr,
)
def test_a_token_on_a_roles_terms(maker, role, wanted):
    maker.run(
        POST("auth/token/roles/${m}", role, 204),
        POST("auth/token/create/${m}", wanted, token="${maker}", save=SAVE),
        POST("auth/token/lookup", {"token": "${tok}"}),
    )


@pytest.mark.parametrize(
    ("role", "wanted"),
    [
        ({}, {"period": "1h"}),
        ({}, {"id": "xx"}),
        ({}, {"entity_alias": "bob"}),
        ({"allowed_entity_aliases": ["bob"]}, {"entity_alias": "eve"}),
        ({"token_type": "batch", "orphan": True, "renewable": False}, {"num_uses": 1}),
        ({"token_type": "batch", "orphan": True, "renewable": False}, {"explicit_max_ttl": "1h"}),
    ],
    ids=repr,
)
def test_what_a_role_does_not_allow(maker, role, wanted):
    maker.run(
        POST("auth/token/roles/${m}", role, 204),
        POST("auth/token/create/${m}", wanted, 400, token="${maker}"),
    )


def test_a_period_asked_for_beside_the_roles(maker):
    maker.run(
        POST("auth/token/roles/${m}", {"period": "1h"}, 204),
        POST("auth/token/create/${m}", {"period": "2h"}, 400, token="${maker}"),
        POST("auth/token/create/${m}", {"period": "2h"}, token="${sudoer}"),
        POST("auth/token/create/${m}", {"period": "30m"}, token="${sudoer}", save=SAVE),
        POST("auth/token/lookup", {"token": "${tok}"}),
    )


def test_renewal_follows_the_role_as_it_is_now(maker):
    maker.run(
        POST("auth/token/roles/${m}", {"token_period": "1h"}, 204),
        POST("auth/token/create/${m}", {}, token="${maker}", save=SAVE),
        POST("auth/token/roles/${m}", {"token_period": "2h"}, 204),
        POST("auth/token/renew", {"token": "${tok}"}),
        POST("auth/token/roles/${m}", {"token_explicit_max_ttl": "30m"}, 204),
        POST("auth/token/renew", {"token": "${tok}", "increment": "5h"}),
        DELETE("auth/token/roles/${m}", 204),
        POST(
            "auth/token/renew",
            {"token": "${tok}"},
            500,
            differs=Differs("no-5xx-for-bad-input", status=400, body=False),
        ),
        POST("auth/token/lookup", {"token": "${tok}"}, only=("data.role", "data.path")),
    )


def test_a_token_bound_to_networks(maker):
    maker.run(
        POST("auth/token/roles/${m}", {"token_bound_cidrs": ["10.0.0.1/32"]}, 204),
        POST("auth/token/create/${m}", {}, token="${maker}", save=SAVE),
        GET("auth/token/lookup-self", 403, token="${tok}"),
        POST("auth/token/lookup", {"token": "${tok}"}),
        POST("auth/token/create/${m}", {"policies": ["root"]}, save=SAVE),
        GET("auth/token/lookup-self", token="${tok}"),
        POST("auth/token/roles/${m}", {"token_bound_cidrs": ["127.0.0.0/8"]}, 204),
        POST("auth/token/create/${m}", {}, token="${maker}", save=SAVE),
        GET("auth/token/lookup-self", token="${tok}"),
    )


def test_a_limited_token_of_a_role_is_used_up(maker):
    maker.run(
        POST("auth/token/roles/${m}", {"token_num_uses": 2}, 204),
        POST("auth/token/create/${m}", {}, token="${maker}", save=SAVE),
        GET("auth/token/lookup-self", token="${tok}"),
        GET("auth/token/lookup-self", token="${tok}"),
        GET("auth/token/lookup-self", 403, token="${tok}"),
    )


def test_an_entity_alias_through_a_role(maker):
    maker.run(
        POST("auth/token/roles/${m}", {"allowed_entity_aliases": ["${m}bob", "${m}j*"]}, 204),
        POST(
            "auth/token/create/${m}", {"entity_alias": "${m}bob"}, token="${maker}", ignore="auth.entity_id"
        ),
        POST(
            "auth/token/create/${m}", {"entity_alias": "${m}Jim"}, token="${maker}", ignore="auth.entity_id"
        ),
        POST("auth/token/create/${m}", {"entity_alias": "other"}, 400, token="${maker}"),
        POST("auth/token/create", {"entity_alias": "${m}bob"}, 400),
    )
