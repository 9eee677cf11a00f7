"""Namespaces: addressed by header or by path, each with its own mounts, policies and tokens."""

from __future__ import annotations

import pytest

from tests.peer.script import DELETE, GET, LIST, PATCH, POST, PUT, Differs

NS = "${m}"


def test_create_read_list_delete(pair):
    pair.run(
        GET("sys/namespaces/${m}", 404),
        POST("sys/namespaces/${m}", {}),
        GET("sys/namespaces/${m}"),
        POST("sys/namespaces/${m}", {"custom_metadata": {"owner": "team"}}),
        GET("sys/namespaces/${m}"),
        PATCH("sys/namespaces/${m}", {"custom_metadata": {"owner": None, "tier": "gold"}}),
        GET("sys/namespaces/${m}"),
        LIST("sys/namespaces", mine=("data.keys", "data.key_info")),
        POST("sys/namespaces/${m}/child", {}, 400),
        DELETE("sys/namespaces/${m}"),
        DELETE("sys/namespaces/${m}nothing"),
    )


@pytest.mark.parametrize(
    "name", ["root", "sys", "auth", "cubbyhole", "identity", "audit", "a/b", "with%20space"]
)
def test_names_that_are_refused(pair, name):
    pair.run(POST(f"sys/namespaces/{name}", {}, 400))


def test_names_that_are_taken(pair):
    own = Differs("namespace-names", status=400, body=False)
    pair.run(
        POST("sys/namespaces/${m}.with_a-Dot.", {}),
        GET("sys/mounts/sys", namespace="${m}.with_a-Dot.", only="data.local"),
        POST("sys/namespaces/${m}" + "x" * 120, {}),
        POST("sys/namespaces/${m}" + "x" * 121, {}, differs=own),
        POST("sys/namespaces/${m}%C3%BC", {}, differs=own),
        POST("sys/namespaces/${m}:x", {}, differs=own),
        POST("sys/namespaces/.${m}", {}, differs=own),
        DELETE("sys/namespaces/.${m}", ignore=("data", "warnings")),
    )


def test_reserved_names_in_another_spelling(pair):
    reserved = Differs("reserved-in-any-spelling", status=400, body=False)
    pair.run(
        POST("sys/namespaces/ROOT", {}, differs=reserved),
        POST("sys/namespaces/Sys", {}, differs=reserved),
        DELETE("sys/namespaces/ROOT", ignore=("data", "warnings")),
        DELETE("sys/namespaces/Sys", ignore=("data", "warnings")),
    )


def test_data_stays_in_its_namespace(pair):
    pair.run(
        POST("sys/namespaces/${m}", {}),
        POST("sys/mounts/kv", {"type": "kv"}, 204, namespace=NS),
        POST("kv/app", {"v": "inside"}, 204, namespace=NS),
        GET("kv/app", namespace=NS),
        GET("kv/app", 404),
        GET("${m}/kv/app"),
        GET("kv/app", namespace="${m}/"),
        GET("kv/app", namespace="/${m}"),
        GET("sys/mounts", namespace=NS, only=("data.kv/", "data.secret/")),
        GET("sys/auth", namespace=NS, only=("data.token/.description", "data.token/.local")),
        GET("${m}/sys/mounts/kv", only="data"),
        GET("kv/app", 404, namespace="${m}nothing"),
        GET("auth/token/lookup-self", namespace="", only=("data.policies",)),
        LIST("sys/policies/acl", namespace=NS),
    )


def test_nested_namespaces(pair):
    pair.run(
        POST("sys/namespaces/${m}", {}),
        POST("sys/namespaces/child", {}, namespace=NS),
        GET("sys/namespaces/child", namespace=NS),
        LIST("sys/namespaces", namespace=NS),
        LIST("sys/namespaces", 404, namespace="${m}/child"),
        POST("sys/mounts/kv", {"type": "kv"}, 204, namespace="${m}/child"),
        POST("${m}/child/kv/app", {"v": 1}, 204),
        GET("child/kv/app", namespace=NS),
        GET("kv/app", namespace="${m}/child"),
        DELETE("sys/namespaces/${m}", 400),
        DELETE("sys/namespaces/child", namespace=NS),
    )


def test_a_token_of_a_namespace_works_there_and_below(pair):
    pair.run(
        POST("sys/namespaces/${m}", {}),
        POST("sys/mounts/kv", {"type": "kv"}, 204, namespace=NS),
        POST("kv/app", {"v": 1}, 204, namespace=NS),
        PUT(
            "sys/policies/acl/reader",
            {"policy": 'path "kv/*" { capabilities = ["read"] }'},
            204,
            namespace=NS,
        ),
        POST(
            "auth/token/create",
            {"policies": ["reader"]},
            namespace=NS,
            save={"tok": "auth.client_token"},
            differs=Differs("orphans-below", ignore=("auth.orphan",)),
        ),
        GET("kv/app", token="${tok}", namespace=NS),
        GET("${m}/kv/app", token="${tok}"),
        GET(
            "auth/token/lookup-self",
            token="${tok}",
            namespace=NS,
            differs=Differs("orphans-below", ignore=("data.orphan",)),
        ),
        GET("secret/data/app", 403, token="${tok}"),
        GET("sys/namespaces/${m}", 403, token="${tok}"),
        GET("sys/policies/acl/reader", 404),
        GET("sys/policies/acl/reader", namespace=NS),
    )


def test_operator_paths_belong_to_the_root_namespace(pair):
    pair.run(
        POST("sys/namespaces/${m}", {}),
        PUT("sys/rotate", 400, namespace=NS),
        GET("sys/health", 400, namespace=NS),
        GET("sys/seal-status", namespace=NS),
        PUT("sys/seal", 400, namespace=NS),
        GET("sys/audit", 400, namespace=NS),
        POST("sys/capabilities-self", {"path": "kv/x"}, namespace=NS),
    )
