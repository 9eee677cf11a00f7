"""The whole list of what is served without a token. Adding to it is a decision, made here and nowhere else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from broker.core.identity.engine import IdentityEngine
from broker.core.plugins import load_catalog
from broker.core.system.engine import SystemEngine
from broker.plugin.context import Mount
from broker.plugin.verbs import Verb
from tests.peer.client import Client

OPEN = {
    "sys/health": {Verb.READ},
    "sys/seal-status": {Verb.READ},
    "sys/leader": {Verb.READ},
    "sys/init": {Verb.READ, Verb.UPDATE},
    "sys/unseal": {Verb.UPDATE},
}
"""Served to anybody."""

PUBLIC = {
    "identity/oidc/.well-known/keys": {Verb.READ},
    "identity/oidc/.well-known/openid-configuration": {Verb.READ},
}
"""What others need to check identity tokens: public keys and where they are."""

LOGINS = {
    "auth/jwt/login": {Verb.UPDATE},
    "auth/jwt/oidc/auth_url": {Verb.UPDATE},
    "auth/jwt/oidc/callback": {Verb.READ, Verb.UPDATE},
    "auth/jwt/oidc/poll": {Verb.UPDATE},
    "auth/oidc/login": {Verb.UPDATE},
    "auth/oidc/oidc/auth_url": {Verb.UPDATE},
    "auth/oidc/oidc/callback": {Verb.READ, Verb.UPDATE},
    "auth/oidc/oidc/poll": {Verb.UPDATE},
    "auth/userpass/login/{username}": {Verb.UPDATE},
    "auth/approle/login": {Verb.UPDATE},
    "auth/apikey/login": {Verb.UPDATE},
    "auth/ldap/login/{username:path}": {Verb.UPDATE},
    "auth/cert/login": {Verb.UPDATE},
    "auth/kubernetes/login": {Verb.UPDATE},
    "sys/mfa/validate": {Verb.UPDATE},  # to complete a login that waits for a second proof
}
"""Where a token is to be had, once the method is mounted."""

WRAPPING = {
    "sys/wrapping/lookup": {Verb.READ, Verb.UPDATE},
}
"""The wrapping token is the credential: it says when and where something was wrapped."""

OPTIONAL = {
    "sys/internal/ui/mounts": {Verb.READ},  # without a token: mounts with listing_visibility=unauth
    "sys/internal/ui/mounts/{path:path}": {Verb.READ},  # 403 without a token
    "sys/internal/ui/namespaces": {Verb.READ},  # 403 without a token
    "sys/internal/specs/openapi": {Verb.READ, Verb.UPDATE},  # 403 without a token
}
"""No policy is asked, but a token says what is shown."""

ANSWERED = {
    **OPEN,
    **PUBLIC,
    **WRAPPING,
    "sys/internal/ui/mounts": {Verb.READ},
    "sys/wrapping/unwrap": {
        Verb.UPDATE
    },  # says 400 of a wrapping token that is not good, before it asks who calls
    "sys/wrapping/rewrap": {Verb.UPDATE},
}
"""What says anything but "permission denied" to a caller without a token."""

METHODS = {
    Verb.READ: "GET",
    Verb.CREATE: "POST",
    Verb.UPDATE: "PUT",
    Verb.PATCH: "PATCH",
    Verb.DELETE: "DELETE",
    Verb.LIST: "LIST",
    Verb.SCAN: "SCAN",
}


def tables() -> Iterator[tuple[str, object]]:
    """Every built-in row, with the prefix it has in a fresh server (or would have, once mounted)."""
    yield from (("sys/", row) for row in SystemEngine.PATHS)
    yield from (("identity/", row) for row in IdentityEngine.PATHS)
    catalog = load_catalog()
    for table, kinds in (("", catalog.engines), ("auth/", catalog.auth_methods)):
        for kind in kinds:
            mount = Mount(
                path="x/", type=kind.name, uuid="x", accessor="x", options={"version": kind.version}
            )
            engine = kind.build(mount, **dict.fromkeys(kind.needs))
            yield from ((f"{table}{kind.name}/", row) for row in engine.PATHS)


ROWS = list(tables())


def marked(value: object) -> dict[str, set[Verb]]:
    found: dict[str, set[Verb]] = {}
    for prefix, row in ROWS:
        verbs = {verb for verb, operation in row.operations.items() if operation.authenticated is value}
        if verbs:
            found[prefix + row.template] = verbs
    return found


def test_only_the_listed_paths_are_open_without_a_token():
    assert marked(False) == OPEN | PUBLIC | LOGINS | WRAPPING


def test_only_the_listed_paths_take_a_token_or_none():
    assert marked("optional") == OPTIONAL


def test_only_status_init_and_unseal_are_served_while_sealed():
    sealed = {
        prefix + row.template
        for prefix, row in ROWS
        for operation in row.operations.values()
        if operation.sealed
    }
    assert sealed == set(OPEN)


def other_requests() -> Iterator[tuple[str, str, dict[str, str]]]:
    """Method, path and headers of every built-in operation that a stranger gets nothing from."""
    for prefix, row in ROWS:
        path = re.sub(r"\{[a-z_]+(:path)?\}", "x", prefix + row.template).replace("kv/", "secret/")
        for verb in row.operations:
            kind = {"Content-Type": "application/merge-patch+json"} if verb is Verb.PATCH else {}
            if verb not in ANSWERED.get(prefix + row.template, ()):
                yield METHODS[verb], path, kind


def test_every_other_path_answers_403_without_a_token_and_with_a_wrong_one(broker_dev):
    client = Client(broker_dev.address)
    wrong = []
    for method, path, kind in other_requests():
        for headers in ({}, {"X-Vault-Token": "hvs.AAAAAAAAAAAAAAAAAAAAAAAA"}, {"X-Vault-Token": "x"}):
            reply = client.send(method, f"/v1/{path}", {**headers, **kind}, None)
            if (reply.status, reply.body) != (403, {"errors": ["permission denied"]}):
                wrong.append((method, path, headers, reply.status, reply.body))
    client.close()
    assert wrong == []


def test_a_node_that_is_sealed_serves_none_of_them_even_to_root(broker_server):
    client = Client(broker_server().address)
    init = json.dumps({"secret_shares": 1, "secret_threshold": 1}).encode()
    root: dict[str, str] = {}
    for state in ("not initialised", "sealed"):
        wrong = []
        for method, path, kind in other_requests():
            reply = client.send(method, f"/v1/{path}", {**root, **kind}, None)
            if path == "sys/seal" and reply.status == 204:
                continue  # sealed is what was asked for, and nothing was done
            if reply.status != 503 or list(reply.body) != ["errors"]:
                wrong.append((method, path, reply.status, reply.body))
        assert wrong == [], state
        if not root:
            made = client.send("PUT", "/v1/sys/init", {}, init)
            root = {"X-Vault-Token": made.body["root_token"]}
    client.close()


@pytest.mark.parametrize(
    "path",
    [
        "sys/metrics",
        "sys/pprof/heap",
        "sys/monitor",
        "sys/in-flight-req",
        "sys/host-info",
        "sys/config/state/sanitized",
        "sys/version-history",
        "sys/decode-token",
        "sys/replication/status",
        "sys/mfa/validate",
        "sys/raw/core/audit",
        "sys/nothing",
        "nothing/at/all",
        "sys/health?help=1",
        "sys/mounts?help=1",
        "secret/data/x?help=1",
    ],
)
def test_diagnostic_and_unknown_paths_tell_a_stranger_nothing(broker_dev, path):
    client = Client(broker_dev.address)
    for method in ("GET", "PUT", "LIST"):
        reply = client.send(
            method, f"/v1/{path}" if method == "GET" else f"/v1/{path.partition('?')[0]}", {}, None
        )
        if path.startswith("sys/health") and method != "GET":
            continue
        assert (reply.status, reply.body) == (403, {"errors": ["permission denied"]}), method
    client.close()
