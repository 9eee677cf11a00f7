"""Which paths need ``sudo``: every path that both servers have, asked with a token that may do everything but that."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.fixtures.servers import RunningServer, dev_server
from tests.peer.client import Client, Reply
from tests.peer.harness import Pair, Side
from tests.peer.mode import SELF_CHECK
from tests.peer.script import POST, Differs, Step

ALL_BUT_SUDO = 'path "*" { capabilities = ["create", "read", "update", "patch", "delete", "list", "scan"] }'
BODIES: Mapping[str, Any] = {"auth/token/revoke-orphan": {"token": "${victim}"}}
LEFT_OUT = {
    "auth/token/revoke-self": "it ends the token that asks",
    "sys/monitor": "it streams until the caller hangs up",
    "sys/pprof": "the peer measures itself for half a minute",
    "sys/workflows": "the peer hangs up without an answer",
}
ON_PURPOSE: tuple[tuple[str, Differs], ...] = (
    (r"sys/audit-hash/", Differs("audit-hash-needs-sudo", status=403)),
    (r"sys/(generate-root|rekey)/(attempt|init|update|verify)$", Differs("ceremonies-by-token", status=403)),
    (r"sys/generate-root-token/", Differs("ceremonies-need-sudo", status=403)),
    (r"sys/rotate/(root|recovery)/", Differs("ceremonies-need-sudo", status=403)),
    (r"sys/rekey/(backup|recovery-key-backup)$", Differs("ceremonies-need-sudo", status=403)),
    (r"sys/step-down$", Differs("step-down-asks-first", status=403)),
    (r"sys/mfa/validate$", Differs("mfa-without-a-login", status=403)),
)


@pytest.fixture
def throwaway(tmp_path, word) -> Iterator[Pair]:
    """A pair of its own, for it is asked everything, sealing and stepping down included."""
    started: list[RunningServer] = []
    try:
        for name, command in (("ours", "bao" if SELF_CHECK else "broker"), ("bao-peer", "bao")):
            folder = tmp_path / name
            folder.mkdir()
            started.append(dev_server(command, folder, name))
        sides = [Side(Client(server.address), {"m": word, "root": "root"}) for server in started]
        yield Pair(*sides, word, SELF_CHECK, tuple(started))
        for side in sides:
            side.client.close()
    finally:
        for server in started:
            server.stop()


def test_the_same_paths_need_sudo(throwaway):
    throwaway.run(
        POST("sys/policies/acl/${m}", {"policy": ALL_BUT_SUDO}, 204),
        POST("auth/token/create", {"policies": ["${m}"]}, save={"app": "auth.client_token"}),
        POST("auth/token/create", {}, save={"victim": "auth.client_token"}),
    )
    asked = _shared(throwaway)
    found, allowed, denied = [], set(), set()
    for verb, path in asked:
        ours, peer = (_ask(side, verb, path) for side in (throwaway.ours, throwaway.peer))
        (denied if _denied(peer) else allowed).add(path)
        meant = not SELF_CHECK and next((d for rule, d in ON_PURPOSE if re.match(rule, path)), None)
        if meant:
            if ours.status != meant.status or _denied(peer):
                found.append(f"{verb} {path}: no longer as {meant.key} says: {ours.status}, {peer.status}")
        elif _denied(ours) != _denied(peer):
            found.append(f"{verb} {path}: ours {ours.status} {ours.body}, the peer {peer.status} {peer.body}")
    assert not found, "\n".join(found)
    assert {"sys/seal", "sys/remount", "auth/token/accessors", "auth/token/revoke-orphan"} <= denied
    assert {"auth/token/create-orphan", "sys/mounts", "sys/policies/acl"} <= allowed


def _shared(pair: Pair) -> list[tuple[str, str]]:
    """The operations of our document on paths that the peer's has as well, with a name for every parameter."""
    documents = [
        side.client.send("GET", "/v1/sys/internal/specs/openapi", {"X-Vault-Token": "root"}, None).body
        for side in (pair.ours, pair.peer)
    ]
    peers = {_named(path) for path in documents[1]["paths"]}
    return [
        (verb, _named(path))
        for path, item in documents[0]["paths"].items()
        if _named(path) in peers and not _named(path).startswith(tuple(LEFT_OUT))
        for verb in _verbs(item)
    ]


def _named(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "zz", path).strip("/")


def _verbs(item: Mapping[str, Any]) -> list[str]:
    query = {
        q["name"]: q.get("required") for q in item.get("get", {}).get("parameters", ()) if q["in"] == "query"
    }
    lists = [verb.upper() for verb in ("list", "scan") if verb in query]
    reads = ["GET"] if "get" in item and not any(query.get(verb) for verb in ("list", "scan")) else []
    return reads + lists + [method.upper() for method in ("post", "patch", "delete") if method in item]


def _ask(side: Side, verb: str, path: str) -> Reply:
    body = BODIES.get(path, {}) if verb in ("POST", "PATCH") else None
    return side.take(Step(verb, path, body, token="${app}"))[1]


def _denied(reply: Reply) -> bool:
    return reply.status == 403 or "root or sudo privileges" in str(reply.body)
