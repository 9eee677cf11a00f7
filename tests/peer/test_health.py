"""What a node says of itself: health codes, seal status, leader, key status."""

from __future__ import annotations

import pytest

from tests.peer.script import DELETE, GET, HEAD, LIST, POST, PUT, WRONG, Differs

OWN = ("cluster_name", "cluster_id")


def test_health_of_an_unsealed_node(pair):
    pair.run(
        GET("sys/health", token=None),
        HEAD("sys/health", token=None),
        GET("sys/health"),
        POST("sys/health", {}, 405),
        LIST("sys/health", 405, differs=WRONG),
    )


@pytest.mark.parametrize(
    "query",
    ["standbyok=true", "activecode=299", "sealedcode=200", "uninitcode=200", "activecode=x"],
)
def test_health_codes_can_be_overridden(pair, query):
    status = {"activecode=299": 299, "activecode=x": 400}.get(query, 200)
    pair.run(GET(f"sys/health?{query}", status, token=None))


def test_seal_status_and_leader_need_no_token(pair):
    pair.run(
        GET("sys/seal-status", token=None),
        GET("sys/seal-status", token="wrong"),
        POST("sys/seal-status", {}, 405),
        GET("sys/leader", token=None, only="ha_enabled"),
        POST("sys/leader", {}, 405),
        GET("sys/init", token=None),
        DELETE("sys/init", 405),
    )


def test_initialising_twice_is_refused(pair):
    pair.run(
        PUT("sys/init", {"secret_shares": 1, "secret_threshold": 1}, 400, token=None),
        POST("sys/init", {"secret_shares": 1, "secret_threshold": 1}, 400),
        PUT("sys/unseal", {"key": "00"}, 400, token=None),
    )


def test_key_status_and_rotation(pair):
    pair.run(
        GET("sys/key-status", 403, token=None),
        GET("sys/key-status", ignore=("term", "data.term", "encryptions", "data.encryptions")),
        PUT("sys/rotate", 204),
        POST("sys/rotate", 204),
        POST("sys/rotate/keyring", 204),
        GET("sys/rotate", 405),
        POST("sys/rotate", 403, token=None),
        GET(
            "sys/rotate/config",
            differs=Differs("rotation-by-default", ignore=("data.interval", "data.max_operations")),
        ),
        POST("sys/rotate/config", {"max_operations": 2000000000, "interval": "8760h"}, 204),
        GET(
            "sys/rotate/config",
            differs=Differs("rotation-by-default", ignore=("data.interval", "data.max_operations")),
        ),
        POST("sys/rotate/config", {"max_operations": 1}, 400),
        POST("sys/rotate/config", {"interval": "1s"}, 400),
        POST("sys/rotate/config", {"enabled": False}, 204),
        GET("sys/rotate/config"),
        POST("sys/rotate/config", {"enabled": True, "interval": 0, "max_operations": 3865470566}, 204),
        GET("sys/rotate/keyring/config"),
    )


def test_step_down_on_a_single_node(pair):
    pair.run(
        PUT("sys/step-down", 204),
        GET("sys/health"),
    )


def test_operator_paths_need_a_token(pair):
    pair.run(
        PUT("sys/seal", 403, token=None),
        PUT("sys/seal", 403, token="wrong"),
        GET("sys/host-info", 403, token=None),
        GET("sys/rotate/root/init", 403, token=None),
        GET("sys/generate-root-token/attempt", 403, token=None),
        GET(
            "sys/rekey/init", 405, token=None, differs=Differs("ceremonies-by-token", status=403, body=False)
        ),
        GET(
            "sys/generate-root/attempt",
            405,
            token=None,
            differs=Differs("ceremonies-by-token", status=403, body=False),
        ),
        GET("sys/health"),
    )
