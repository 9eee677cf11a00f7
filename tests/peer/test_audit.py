"""Audit devices over the API, where the operator's configuration allows them."""

from __future__ import annotations

import pytest

from tests.peer.script import DELETE, GET, LIST, POST, PUT, WRONG
from tests.peer.test_ceremonies import UNSEAL, initialise


@pytest.fixture
def audited(sealed_pair):
    both = sealed_pair(unsafe_allow_api_audit_creation=True)
    both.run(initialise(), *UNSEAL)
    for side, server in zip((both.ours, both.peer), both.servers, strict=True):
        side.names["log"] = str(server.folder / "audit.log")
    return both


def test_enable_list_hash_disable(audited):
    path = ("data.${m}/.options.file_path", "${m}/.options.file_path")
    audited.run(
        GET("sys/audit"),
        PUT("sys/audit/${m}", {"type": "file", "description": "d", "options": {"file_path": "${log}"}}, 204),
        GET("sys/audit", ignore=path),
        POST("sys/audit-hash/${m}", {"input": "secret"}),
        POST("sys/audit-hash/${m}", {}, 400),
        POST("sys/audit-hash/nothing", {"input": "secret"}, 400),
        PUT("sys/audit/${m}", {"type": "file", "options": {"file_path": "${log}"}}, 400),
        LIST("sys/audit", 404, differs=WRONG),
        GET("sys/audit", 403, token=None),
        DELETE("sys/audit/${m}", 204),
        DELETE("sys/audit/${m}", 204),
        GET("sys/audit"),
    )


def test_enable_refuses(audited):
    audited.run(
        PUT("sys/audit/${m}", {}, 400),
        PUT("sys/audit/${m}", {"type": "nonsense"}, 400),
        PUT("sys/audit/${m}", {"type": "file"}, 400),
        PUT("sys/audit/${m}", {"type": "file", "options": {"file_path": ""}}, 400),
        PUT("sys/audit/${m}", {"type": "file", "options": {"file_path": "${log}", "mode": "x"}}, 400),
        PUT("sys/audit/${m}", {"type": "file", "options": {"file_path": "${log}", "prefix": "x"}}, 400),
        GET("sys/audit"),
    )


def test_without_the_switch_the_api_creates_none(sealed_pair):
    both = sealed_pair()
    both.run(
        initialise(),
        *UNSEAL,
        PUT("sys/audit/${m}", {"type": "file", "options": {"file_path": "/dev/null"}}, 400),
        GET("sys/audit"),
    )
