"""Response wrapping: an answer handed over once."""

from __future__ import annotations

from tests.peer.mode import not_yet
from tests.peer.script import GET, POST, PUT

WRAP = {"X-Vault-Wrap-TTL": "2m"}


@not_yet("response wrapping")
def test_wrap_look_up_unwrap_once(pair):
    pair.run(
        POST("sys/mounts/${m}", {"type": "kv"}, 204),
        POST("${m}/app", {"v": 1}, 204),
        GET("${m}/app", headers=WRAP, save={"w": "wrap_info.token"}),
        POST("sys/wrapping/lookup", {"token": "${w}"}),
        POST("sys/wrapping/lookup", {"token": "${w}"}, token=None),
        POST("sys/wrapping/unwrap", {"token": "${w}"}),
        POST("sys/wrapping/unwrap", {"token": "${w}"}, 400),
        POST("sys/wrapping/lookup", {"token": "${w}"}, 400),
        GET("${m}/app", headers=WRAP, save={"w": "wrap_info.token"}),
        POST("sys/wrapping/unwrap", {}, token="${w}"),
        POST("sys/wrapping/unwrap", {}, 400, token="${w}"),
    )


@not_yet("response wrapping")
def test_wrap_rewrap_and_own_data(pair):
    pair.run(
        POST("sys/wrapping/wrap", {"mine": 1}, headers=WRAP, save={"w": "wrap_info.token"}),
        POST("sys/wrapping/rewrap", {"token": "${w}"}, save={"w2": "wrap_info.token"}),
        POST("sys/wrapping/unwrap", {"token": "${w}"}, 400),
        POST("sys/wrapping/unwrap", {"token": "${w2}"}),
        POST("sys/wrapping/wrap", {"mine": 1}, 400),
        POST("sys/wrapping/unwrap", {"token": "nothing"}, 400),
        POST("sys/wrapping/lookup", {}, 400),
    )


@not_yet("response wrapping")
def test_wrapping_a_token_and_nothing(pair):
    pair.run(
        POST("auth/token/create", {"policies": ["default"]}, headers=WRAP, save={"w": "wrap_info.token"}),
        POST("sys/wrapping/unwrap", {"token": "${w}"}, save={"tok": "auth.client_token"}),
        GET("auth/token/lookup-self", token="${tok}"),
        PUT("sys/policies/acl/${m}", {"policy": 'path "a" { capabilities = ["read"] }'}, 204, headers=WRAP),
        GET("sys/policies/acl/nothing-${m}", 404, headers=WRAP),
        GET("sys/health", headers=WRAP),
        GET("auth/token/lookup-self", 400, headers={"X-Vault-Wrap-TTL": "soon"}),
        GET("auth/token/lookup-self", 400, headers={"X-Vault-Wrap-TTL": "-1s"}),
        GET("auth/token/lookup-self", 200, headers={"X-Vault-Wrap-TTL": "0"}, only="data.policies"),
    )
