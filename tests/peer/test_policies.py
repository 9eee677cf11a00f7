"""ACL policies: both addresses of them, what is refused, and what they then allow."""

from __future__ import annotations

import pytest

from tests.peer.script import DELETE, GET, LIST, PATCH, POST, PUT, SCAN, WRONG, Differs

READ_ONLY = 'path "${m}/*" { capabilities = ["read"] }'


def test_write_read_list_delete(pair):
    pair.run(
        GET("sys/policies/acl/${m}", 404),
        PUT("sys/policies/acl/${m}", {"policy": READ_ONLY}, 204),
        GET("sys/policies/acl/${m}"),
        LIST("sys/policies/acl", mine="data.keys"),
        GET("sys/policies/acl?list=true", mine="data.keys"),
        POST("sys/policies/acl/${m}", {"policy": READ_ONLY + " # again"}, 204),
        GET("sys/policies/acl/${m}"),
        DELETE("sys/policies/acl/${m}", 204),
        GET("sys/policies/acl/${m}", 404),
        DELETE("sys/policies/acl/${m}", 204),
    )


def test_the_older_address(pair):
    pair.run(
        GET("sys/policy/${m}", 404),
        PUT("sys/policy/${m}", {"policy": READ_ONLY}, 204),
        GET("sys/policy/${m}"),
        GET("sys/policy", mine=("keys", "policies", "data.keys", "data.policies")),
        LIST("sys/policy", mine=("keys", "policies", "data.keys", "data.policies")),
        POST("sys/policy/${m}", {"rules": READ_ONLY}, 200),
        DELETE("sys/policy/${m}", 204),
        GET("sys/policy/${m}", 404),
    )


def test_the_built_in_policies(pair):
    pair.run(
        GET("sys/policies/acl/root"),
        GET("sys/policy/root"),
        PUT("sys/policies/acl/root", {"policy": READ_ONLY}, 400),
        DELETE("sys/policies/acl/root", 400),
        DELETE("sys/policies/acl/default", 400),
        GET("sys/policies/acl/default", ignore=("data.policy",)),
        GET("sys/policy/default", ignore=("data.rules", "rules", "data.policy")),
    )


def test_names_are_lower_case(pair):
    pair.run(
        PUT("sys/policies/acl/${m}MixedCase", {"policy": READ_ONLY}, 204),
        GET("sys/policies/acl/${m}mixedcase"),
        GET("sys/policies/acl/${m}MIXEDCASE"),
        LIST("sys/policies/acl", mine="data.keys"),
    )


def test_base64_and_json_policies(pair):
    pair.run(
        PUT("sys/policies/acl/${m}", {"policy": "cGF0aCAiYSIgeyBjYXBhYmlsaXRpZXMgPSBbInJlYWQiXSB9"}, 204),
        GET("sys/policies/acl/${m}"),
        PUT(
            "sys/policies/acl/${m}j", {"policy": '{"path": {"a/*": {"capabilities": ["read", "list"]}}}'}, 204
        ),
        GET("sys/policies/acl/${m}j"),
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        'path "a" {',
        'path "a" { capabilities = ["fly"] }',
        'path "a" { capabilities = "read" }',
        'path "a" { policy = "write" }',
        'path "a" { policy = "nonsense" }',
        'path "a" { unknown = 1 }',
        'unknown "a" { }',
        'path "a" { capabilities = ["read"] min_wrapping_ttl = "2h" max_wrapping_ttl = "1h" }',
        'path "a" { capabilities = ["read"] min_wrapping_ttl = "soon" }',
        'path "+*" { capabilities = ["read"] }',
        'path "a*b" { capabilities = ["read"] }',
        'path "/a" { capabilities = ["read"] }',
        '{"path": 1}',
    ],
    ids=lambda text: text[:32] or "empty",
)
def test_what_a_policy_may_say(pair, text):
    good = {
        'path "a" { policy = "write" }',
        'path "a*b" { capabilities = ["read"] }',
        'path "/a" { capabilities = ["read"] }',
    }
    lint = Differs("policy-lint", status=200, body=False) if text in good and "write" not in text else None
    pair.run(PUT("sys/policies/acl/${m}", {"policy": text}, 204 if text in good else 400, differs=lint))


def test_a_policy_body_is_checked(pair):
    pair.run(
        PUT("sys/policies/acl/${m}", {}, 400),
        PUT("sys/policies/acl/${m}", 400),
        PUT("sys/policies/acl/${m}", {"policy": 1}, 400),
        PUT("sys/policies/acl/${m}", {"policy": ["a"]}, 400),
        PUT(
            "sys/policies/acl/",
            {"policy": READ_ONLY},
            400,
            differs=WRONG,
        ),
        PUT("sys/policies/acl", {"policy": READ_ONLY}, 405),
        GET("sys/policies/nothing/${m}", 404),
    )


def _token_with(policy: str, *, name: str = "${m}", save: str = "app"):
    return (
        PUT(f"sys/policies/acl/{name}", {"policy": policy}, 204),
        POST(
            "auth/token/create",
            {"policies": [name], "no_default_policy": True},
            save={save: "auth.client_token"},
        ),
    )


@pytest.fixture
def kv1(pair):
    pair.run(
        POST("sys/mounts/${m}", {"type": "kv"}, 204),
        *(POST("${m}/" + name, {"v": name}, 204) for name in ("a", "b/c", "b/d/e", "deny/x")),
    )
    return pair


def test_capabilities_guard_the_verbs(kv1):
    kv1.run(
        *_token_with(
            'path "${m}/a" { capabilities = ["read"] } path "${m}/new" { capabilities = ["create"] }'
        ),
        GET("${m}/a", token="${app}"),
        POST("${m}/a", {"v": 2}, 403, token="${app}"),
        DELETE("${m}/a", 403, token="${app}"),
        LIST("${m}/", 403, token="${app}"),
        SCAN("${m}/", 403, token="${app}"),
        GET("${m}/b/c", 403, token="${app}"),
        POST("${m}/new", {"v": 1}, 204, token="${app}"),
        POST("${m}/new", {"v": 2}, 403, token="${app}"),
        GET("${m}/new", 403, token="${app}"),
        PATCH("${m}/a", {"v": 2}, 403, token="${app}"),
    )


def test_deny_wins_and_the_longest_match_decides(kv1):
    kv1.run(
        *_token_with(
            'path "${m}/*" { capabilities = ["read", "list"] }'
            'path "${m}/deny/*" { capabilities = ["deny"] }'
            'path "${m}/b/+" { capabilities = ["update"] }'
        ),
        GET("${m}/a", token="${app}"),
        GET("${m}/deny/x", 403, token="${app}"),
        LIST("${m}/deny/", 403, token="${app}"),
        LIST("${m}/deny", 403, token="${app}"),
        GET("${m}/b/c", 403, token="${app}"),
        POST("${m}/b/c", {"v": 2}, 204, token="${app}"),
        GET("${m}/b/d/e", token="${app}"),
        LIST("${m}/", token="${app}"),
    )


def test_two_policies_join(kv1):
    kv1.run(
        PUT("sys/policies/acl/${m}one", {"policy": 'path "${m}/a" { capabilities = ["read"] }'}, 204),
        PUT("sys/policies/acl/${m}two", {"policy": 'path "${m}/a" { capabilities = ["update"] }'}, 204),
        PUT("sys/policies/acl/${m}no", {"policy": 'path "${m}/a" { capabilities = ["deny"] }'}, 204),
        POST("auth/token/create", {"policies": ["${m}one", "${m}two"]}, save={"both": "auth.client_token"}),
        POST("auth/token/create", {"policies": ["${m}one", "${m}no"]}, save={"none": "auth.client_token"}),
        GET("${m}/a", token="${both}"),
        POST("${m}/a", {"v": 1}, 204, token="${both}"),
        GET("${m}/a", 403, token="${none}"),
    )


def test_parameters_are_guarded(kv1):
    kv1.run(
        *_token_with(
            'path "${m}/p" { capabilities = ["create", "update"]'
            ' required_parameters = ["who"] allowed_parameters = { "who" = ["a*"], "note" = [] } }'
            'path "${m}/q" { capabilities = ["create", "update"] denied_parameters = { "bad" = [], "n" = ["1"] } }'
        ),
        POST("${m}/p", {"who": "alice"}, 204, token="${app}"),
        POST("${m}/p", {"who": "alice", "note": "x"}, 204, token="${app}"),
        POST("${m}/p", {"note": "x"}, 403, token="${app}"),
        POST("${m}/p", {"who": "bob"}, 403, token="${app}"),
        POST("${m}/p", {"who": "alice", "other": 1}, 403, token="${app}"),
        POST("${m}/q", {"good": 1}, 204, token="${app}"),
        POST("${m}/q", {"bad": 1}, 403, token="${app}"),
        POST("${m}/q", {"n": "1"}, 403, token="${app}"),
        POST("${m}/q", {"n": "2"}, 204, token="${app}"),
    )


def test_root_protected_paths_need_sudo(pair):
    pair.run(
        *_token_with('path "*" { capabilities = ["create", "read", "update", "delete", "list"] }'),
        GET("sys/audit", 403, token="${app}"),
        POST("sys/rotate", 403, token="${app}"),
        POST("sys/remount", {"from": "x", "to": "y"}, 403, token="${app}"),
        LIST("auth/token/accessors", 403, token="${app}"),
        POST("auth/token/create", {"no_parent": True}, 400, token="${app}"),
        POST("sys/seal", 403, token="${app}"),
        GET("sys/mounts", token="${app}", only="data.secret/.type"),
        GET("sys/rotate/config", token="${app}", ignore="data"),
    )


def test_a_policy_change_holds_at_once(kv1):
    kv1.run(
        *_token_with('path "${m}/a" { capabilities = ["read"] }'),
        GET("${m}/a", token="${app}"),
        PUT("sys/policies/acl/${m}", {"policy": 'path "${m}/z" { capabilities = ["read"] }'}, 204),
        GET("${m}/a", 403, token="${app}"),
        DELETE("sys/policies/acl/${m}", 204),
        GET("${m}/z", 403, token="${app}"),
    )
