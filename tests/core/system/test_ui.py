"""What interfaces and the CLIs may know before anything else: exactly what a token reaches."""

from __future__ import annotations

import pytest

REFUSED = (
    'preflight capability check returned 403, please ensure client\'s policies grant access to path "{}"'
)


@pytest.fixture
def mounted(api):
    """Two KV mounts of this test, one of them shown to everybody."""
    shown = {"type": "kv", "description": "for all", "config": {"listing_visibility": "unauth"}}
    api.done("PUT", "sys/mounts/shown", {**shown, "options": {"version": "1"}})
    api.done("PUT", "sys/mounts/hidden", {"type": "kv", "options": {"version": "2"}})
    yield api
    for name in ("shown", "hidden"):
        api.done("DELETE", f"sys/mounts/{name}")


def test_without_a_token_only_mounts_tuned_to_it_are_listed(mounted):
    assert mounted.data("GET", "sys/internal/ui/mounts", token="") == {
        "auth": {},
        "secret": {"shown/": {"description": "for all", "options": {"version": "1"}, "type": "kv"}},
    }


def test_a_token_sees_the_mounts_that_its_policies_reach(mounted):
    token = mounted.token_with('path "hidden/data/a" { capabilities = ["read"] }')
    found = mounted.data("GET", "sys/internal/ui/mounts", token=token)
    assert (list(found["secret"]), found["auth"]) == (["hidden/"], {})
    assert found["secret"]["hidden/"]["accessor"].startswith("kv_")
    everything = mounted.data("GET", "sys/internal/ui/mounts")
    assert {"hidden/", "shown/", "sys/", "cubbyhole/"} <= set(everything["secret"])
    assert "token/" in everything["auth"]


def test_a_bad_token_is_refused_rather_than_taken_for_none(mounted):
    for path in ("mounts", "mounts/shown/a", "namespaces", "resultant-acl"):
        assert mounted.ask("GET", f"sys/internal/ui/{path}", token="hvs.wrong").status == 403


def test_the_preflight_names_the_mount_of_any_path_within_reach(mounted):
    token = mounted.token_with('path "hidden/data/a" { capabilities = ["read"] }')
    for path in ("hidden", "hidden/", "hidden/a/b/c"):
        found = mounted.data("GET", f"sys/internal/ui/mounts/{path}", token=token)
        assert (found["path"], found["type"], found["options"]) == ("hidden/", "kv", {"version": "2"})


def test_the_preflight_tells_nothing_apart_out_of_reach(mounted):
    token = mounted.token_with('path "hidden/data/a" { capabilities = ["read"] }')
    for path in ("shown", "shown/a", "never/mounted", "auth/token/create", "sys/mounts"):
        reply = mounted.ask("GET", f"sys/internal/ui/mounts/{path}", token=token)
        assert (reply.status, reply.body["errors"]) == (403, [REFUSED.format(path + "/")])
    assert mounted.ask("GET", "sys/internal/ui/mounts/shown", token="").body["errors"] == [
        "permission denied"
    ]


def test_asking_takes_no_use_of_a_limited_token(mounted):
    token = mounted.token_with('path "hidden/data/a" { capabilities = ["read"] }', num_uses=1)
    for _ in range(3):
        mounted.data("GET", "sys/internal/ui/mounts/hidden", token=token)
        mounted.data("GET", "sys/internal/ui/mounts", token=token)
    assert (
        mounted.ask("GET", "hidden/data/a", token=token).status == 404
    )  # the one use: nothing is stored there
    assert mounted.ask("GET", "hidden/data/a", token=token).status == 403


def test_a_parents_token_sees_what_it_reaches_inside_a_namespace(api):
    api.done("PUT", "sys/namespaces/ui-a")
    api.done("PUT", "sys/mounts/kv", {"type": "kv"}, namespace="ui-a")
    token = api.token_with('path "ui-a/kv/x" { capabilities = ["read"] }')
    assert list(api.data("GET", "sys/internal/ui/mounts", token=token, namespace="ui-a")["secret"]) == ["kv/"]
    assert api.data("GET", "sys/internal/ui/mounts/kv/x", token=token, namespace="ui-a")["path"] == "kv/"
    assert api.data("GET", "sys/internal/ui/namespaces", token=token) == {"keys": ["ui-a/"]}
    assert api.ask("GET", "sys/internal/ui/mounts/kv/x", token=token).status == 403
    outsider = api.token_with('path "secret/*" { capabilities = ["read"] }')
    assert api.data("GET", "sys/internal/ui/namespaces", token=outsider) == {}
    api.done("DELETE", "sys/namespaces/ui-a")


def test_the_resultant_acl_lists_the_callers_own_rules(api):
    text = """
    path "secret/data/x" { capabilities = ["update", "read"] }
    path "secret/metadata/*" { capabilities = ["list"] }
    path "secret/data/y" { capabilities = ["deny"] }
    path "sys/internal/ui/resultant-acl" { capabilities = ["read"] }
    """
    found = api.data("GET", "sys/internal/ui/resultant-acl", token=api.token_with(text))
    assert found == {
        "root": False,
        "exact_paths": {
            "secret/data/x": {"capabilities": ["read", "update"]},
            "secret/data/y": {"capabilities": ["deny"]},
            "sys/internal/ui/resultant-acl": {"capabilities": ["read"]},
        },
        "glob_paths": {"secret/metadata/": {"capabilities": ["list"]}},
    }
    assert api.data("GET", "sys/internal/ui/resultant-acl") == {"root": True}


def test_rules_with_wildcards_stand_apart_from_literal_paths(api):
    own = 'path "sys/internal/ui/resultant-acl" { capabilities = ["read"] }'
    token = api.token_with('path "a/+/b/*" { capabilities = ["read"] }\n' + own)
    found = api.data("GET", "sys/internal/ui/resultant-acl", token=token)
    assert found["wildcard_paths"] == {"a/+/b/*": {"capabilities": ["read"]}}
    assert found["glob_paths"] == {}
    assert list(found["exact_paths"]) == ["sys/internal/ui/resultant-acl"]


def test_the_counters_count_and_say_what_is_gone(api):
    inside = {"namespace": "counted"}  # where nobody else's tokens end meanwhile
    api.done("PUT", f"sys/namespaces/{inside['namespace']}")
    for made in (1, 2):
        api.done("POST", "auth/token/create", {"policies": ["default"]}, **inside)
        api.done("POST", "identity/entity", {"name": f"entity-{made}"}, **inside)
        told = {
            kind: api.data("GET", f"sys/internal/counters/{kind}", **inside)
            for kind in ("tokens", "entities")
        }
        assert told["tokens"] == {"counters": {"service_tokens": {"total": made}}}
        assert told["entities"] == {"counters": {"entities": {"total": made}}}
    api.done("DELETE", f"sys/namespaces/{inside['namespace']}")
    assert api.ask("GET", "sys/internal/counters/requests").status == 404
