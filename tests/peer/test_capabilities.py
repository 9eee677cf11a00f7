"""Asking what a token may do."""

from __future__ import annotations

import pytest

from tests.peer.script import GET, POST, PUT, Differs

POLICY = """
path "${m}/*" { capabilities = ["read", "list"] }
path "${m}/w" { capabilities = ["create", "update", "patch", "delete", "sudo"] }
path "${m}/no" { capabilities = ["deny", "read"] }
path "${m}/+/x" { capabilities = ["scan"] }
"""
LINT = Differs("policy-lint", status=200, body=False)


@pytest.fixture
def token(pair):
    pair.run(
        PUT("sys/policies/acl/${m}", {"policy": POLICY}, 204, differs=LINT),
        POST(
            "auth/token/create",
            {"policies": ["${m}"]},
            save={"app": "auth.client_token", "accessor": "auth.accessor"},
        ),
    )
    return pair


def test_of_oneself(token):
    token.run(
        POST("sys/capabilities-self", {"path": "${m}/a"}, token="${app}"),
        POST(
            "sys/capabilities-self",
            {"paths": ["${m}/a", "${m}/w", "${m}/no", "${m}/k/x", "other"]},
            token="${app}",
        ),
        POST("sys/capabilities-self", {"paths": "${m}/a,${m}/w"}, token="${app}"),
        POST("sys/capabilities-self", {"path": ["${m}/a", "${m}/w"]}, token="${app}"),
        POST("sys/capabilities-self", {"paths": ["${m}/a"]}),
        POST("sys/capabilities-self", {}, 400, token="${app}"),
        POST("sys/capabilities-self", {"paths": []}, 400, token="${app}"),
        POST("sys/capabilities-self", {"path": "/${m}/a"}, token="${app}"),
        POST("sys/capabilities-self", {"path": "${m}/a"}, 403, token=None),
        POST("sys/capabilities-self", {"path": "${m}/a"}, 403, token="wrong"),
        GET("sys/capabilities-self", 405),
        PUT("sys/capabilities-self", {"path": "sys/mounts"}, token="${app}"),
    )


def test_of_another_token(token):
    token.run(
        POST("sys/capabilities", {"token": "${app}", "paths": ["${m}/a", "${m}/w"]}),
        POST("sys/capabilities", {"token": "${app}", "path": "${m}/a"}),
        POST("sys/capabilities", {"token": "nonsense", "path": "${m}/a"}, 400),
        POST(
            "sys/capabilities",
            {"path": "${m}/a"},
            500,
            differs=Differs("no-5xx-for-bad-input", status=400, body=False),
        ),
        POST("sys/capabilities", {"token": "${app}"}, 400),
        POST("sys/capabilities", {"token": "root", "path": "${m}/a"}, 403, token="${app}"),
    )


def test_by_accessor(token):
    token.run(
        POST("sys/capabilities-accessor", {"accessor": "${accessor}", "paths": ["${m}/a", "${m}/no"]}),
        POST("sys/capabilities-accessor", {"accessor": "nonsense", "path": "${m}/a"}, 400),
        POST("sys/capabilities-accessor", {"path": "${m}/a"}, 400),
        POST("sys/capabilities-accessor", {"accessor": "${accessor}"}, 400),
    )
