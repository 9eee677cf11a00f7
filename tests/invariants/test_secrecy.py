"""Invariant: no secret, token or key in clear in a log, audit record, error text, process argument or file."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import sqlite3
from pathlib import Path

import pytest

from broker.client import Client
from broker.plugin.secret import Secret
from tests.fixtures.servers import BIN, RunningServer, free_port
from tests.invariants.node import LOST, Node, eventually, exchange

MARK = "CaNaRy"
"""Opens every planted value, so that one search finds them all."""


def canary(name: str) -> str:
    return f"{MARK}{name}{os.urandom(6).hex()}"


def findings(text: bytes, planted: dict[str, str]) -> list[str]:
    """Which planted values stand in a text: as they are, hex, base64 or percent-encoded."""
    low = text.lower()
    found = []
    for name, value in planted.items():
        raw = value.encode()
        forms = {raw.lower(), raw.hex().encode(), base64.b64encode(raw)[:-4].lower()}
        if any(form in low for form in forms):
            found.append(name)
    return found


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """A node that was given a canary in every place and provoked into every kind of error. Yields what to search."""
    folder = tmp_path_factory.mktemp("secrecy")
    temporary = folder / "tmp"
    temporary.mkdir()
    os.environ["TMPDIR"] = str(temporary)
    try:
        node = Node.begin(folder, "broker", log_level="trace", workers=2)
    finally:
        del os.environ["TMPDIR"]
    planted = {"root token": node.token, "unseal share": node.share}
    replies: list[tuple[str, bytes]] = []
    try:
        plant(node, planted)
        provoke(node, planted, replies)
        yield node, planted, replies
    finally:
        node.end()


def plant(node, planted: dict[str, str]) -> None:
    """Store secrets where they belong."""
    node.kv("secret")
    node.kv("plain", version=1)
    for name in (
        "kv value",
        "nested value",
        "plain value",
        "cubbyhole value",
        "custom token",
        "patched value",
    ):
        planted[name] = canary(name.replace(" ", ""))
    node.ok(
        "POST",
        "secret/data/a",
        {"data": {"password": planted["kv value"], "n": [planted["nested value"]]}},
    )
    node.ok("POST", "plain/a", {"password": planted["plain value"]})
    node.ok("POST", "cubbyhole/a", {"password": planted["cubbyhole value"]})
    patch = ("Content-Type", "application/merge-patch+json")
    node.ok("PATCH", "secret/data/a", {"data": {"p": planted["patched value"]}}, headers=[patch])
    node.ok("POST", "auth/token/create", {"id": planted["custom token"], "policies": ["default"]})
    node.ok("GET", "auth/token/lookup-self", token=planted["custom token"])
    planted["service token"] = node.mint("default")
    for path in ("secret/data/a", "plain/a", "cubbyhole/a"):
        node.ok("GET", path)


def provoke(node, planted: dict[str, str], replies: list[tuple[str, bytes]]) -> None:
    """Send secrets where they do not belong, and keep every answer."""

    def send(name: str, method: str, path: str, body: object = None, **more) -> None:
        try:
            reply = node.call(method, path, body, **more)
        except LOST:
            return
        assert 400 <= reply.status < 500, f"{name}: {reply}"
        replies.append((name, reply.raw))

    def value(name: str) -> str:
        return planted.setdefault(name, canary(re.sub(r"\W", "", name)))

    send("bad token", "GET", "secret/data/a", token=value("bad token"))
    send(
        "bad bearer",
        "GET",
        "secret/data/a",
        token="",
        headers=[("Authorization", "Bearer " + value("bearer"))],
    )
    send("odd header", "GET", "nowhere/a", headers=[("X-Own-Password", value("header"))])
    send("query", "GET", f"nowhere/a?password={value('query')}")
    send("unknown query field", "GET", f"sys/mounts?x={value('query value')}")
    send("broken json", "POST", "secret/data/a", raw=b'{"data": {"p": "%s' % value("broken body").encode())
    send("not an object", "POST", "secret/data/a", raw=json.dumps([value("list body")]).encode())
    send("bad utf-8", "POST", "secret/data/a", raw=b'{"data":{"p":"%s\xff"}}' % value("utf8 body").encode())
    send("duplicate key", "POST", "secret/data/a", raw=b'{"data":{"p":"%s","p":1}}' % value("twice").encode())
    send("wrong type", "POST", "secret/data/a", {"data": value("typed data")})
    send("wrong type", "POST", "secret/data/a", {"data": {}, "options": value("typed options")})
    send("wrong type", "POST", "auth/token/create", {"ttl": value("typed ttl")})
    send(
        "wrong type", "POST", "auth/token/create", {"num_uses": value("typed uses"), "id": value("typed id")}
    )
    send(
        "wrong type",
        "POST",
        "sys/unseal",
        {"reset": value("typed reset"), "key": value("other share")},
        token="",
    )
    send("bad share", "PUT", "sys/unseal", {"key": value("bad share")}, token="")
    send(
        "bad policy",
        "PUT",
        "sys/policies/acl/p",
        {"policy": f'path "x" {{ allowed_parameters = {{ "p" = ["{value("policy")}" }} }}'},
    )
    send(
        "forbidden write",
        "POST",
        "secret/data/x",
        {"data": {"p": value("forbidden")}},
        token=planted["custom token"],
    )
    send("forbidden method", "POST", "sys/health", {"p": value("405 body")}, token=planted["custom token"])
    send("unknown path", "POST", "nowhere/x", {"p": value("404 body")})
    send("wrong cas", "POST", "secret/data/a", {"data": {"p": value("cas")}, "options": {"cas": 99}})
    send("lookup", "POST", "auth/token/lookup", {"token": value("looked up")})
    send("capabilities", "POST", "sys/capabilities", {"token": value("asked about"), "paths": ["a"]})
    send("renew", "POST", "auth/token/renew", {"token": value("renewed")})
    send(
        "generate-root",
        "PUT",
        "sys/generate-root/update",
        {"key": value("gr share"), "nonce": value("gr nonce")},
    )
    send("rekey", "PUT", "sys/rekey/update", {"key": value("rekey share"), "nonce": value("rekey nonce")})
    send("bad namespace", "GET", "secret/data/a", namespace=value("namespace") + "/..")
    head = f"GET /v1/secret/data/a HTTP/1.1\r\nHost: x\r\nX-Vault-Token: {value('split token')}\r\n"
    replies.append(("obs-fold", exchange(node.server.address, f"{head} {value('folded')}\r\n\r\n".encode())))
    token = f"X-Vault-Token: {value('double token')}\r\n"
    raw = f"GET /v1/a HTTP/1.1\r\nHost: x\r\n{token}{token}Connection: close\r\n\r\n"
    replies.append(("double", exchange(node.server.address, raw.encode())))


def tamper(node) -> None:
    """Flip the last bit of every stored version of secret/a, behind the server's back."""
    with sqlite3.connect(node.folder / "data" / "root.db", isolation_level=None) as base:
        rows = base.execute("SELECT path, value FROM entries WHERE path LIKE 'logical/%'").fetchall()
        for path, sealed in rows:
            base.execute(
                "UPDATE entries SET value = ? WHERE path = ?", (sealed[:-1] + bytes([sealed[-1] ^ 1]), path)
            )
    base.close()


def leaks(folder: Path, planted: dict[str, str]) -> dict[str, list[str]]:
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and (names := findings(path.read_bytes(), planted)):
            found[str(path.relative_to(folder))] = names
    return found


def test_no_error_echoes_what_it_was_sent(story):
    _, planted, replies = story
    assert len(replies) > 25
    assert {name: found for name, raw in replies if (found := findings(raw, planted))} == {}


def test_neither_log_nor_audit_nor_store_nor_any_other_file_holds_a_secret(story):
    node, planted, _ = story
    assert node.audit_log.stat().st_size > 10_000 and node.server.log_path.stat().st_size > 0
    assert leaks(node.folder, planted) == {}


def test_the_audit_log_holds_hashes_of_what_was_sent(story):
    node, planted, _ = story
    hashed = node.ok("POST", "sys/audit-hash/main", {"input": planted["kv value"]}).data["hash"]
    assert hashed.startswith("hmac-sha256:")
    text = node.audit_log.read_text()
    assert hashed in text
    assert node.ok("POST", "sys/audit-hash/main", {"input": planted["custom token"]}).data["hash"] in text


def test_no_process_shows_a_secret_and_none_may_be_dumped(story):
    node, planted, _ = story
    for pid in [node.server.pid, *node.workers()]:
        proc = Path(f"/proc/{pid}")
        for name in ("cmdline", "environ"):
            try:
                assert findings((proc / name).read_bytes(), planted) == []
            except PermissionError:
                assert os.geteuid() != 0  # not dumpable: its files are root's
        assert re.search(r"^Max core file size +0 +0 ", (proc / "limits").read_text(), re.MULTILINE)
        # Of a process that is not dumpable, the files in /proc belong to root, whoever runs it.
        assert (proc / "environ").stat().st_uid == 0


@pytest.mark.parametrize("how", ["environment", "flag"])
def test_a_token_given_by_environment_or_flag_stays_out_of_the_processes(tmp_path, how):
    secret, port = canary("devroot"), free_port()
    argv = [
        str(BIN / "broker"),
        "server",
        "-dev",
        f"-dev-listen-address=127.0.0.1:{port}",
        "-dev-no-store-token",
        "-workers=1",
    ]
    argv += [f"-dev-root-token-id={secret}"] if how == "flag" else []
    env = {"BROKER_DEV_ROOT_TOKEN_ID": secret} if how == "environment" else {}
    server = RunningServer("dev", argv, f"http://127.0.0.1:{port}", tmp_path, env).start()
    try:
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        assert children
        for pid in [str(server.pid), *children]:
            assert secret.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
        with Client(f"http://127.0.0.1:{port}", Secret(secret)) as client:
            assert client.request("GET", "auth/token/lookup-self").data["id"] == secret
    finally:
        server.stop()


def test_an_internal_error_says_its_request_id_and_nothing_else(story):
    """A tampered entry, last: what it does to the store is not undone. The log names it, without a value."""
    node, planted, _ = story
    node.server.kill()
    tamper(node)
    node.restart()
    replies = [node.call("GET", path) for path in ("secret/data/a", "plain/a", "secret/metadata/a")]
    assert {reply.status for reply in replies} == {500}
    for reply in replies:
        assert findings(reply.raw, planted) == []
        assert reply.errors[0] in node.server.log_path.read_text()
    os.kill(node.workers()[0], signal.SIGSEGV)  # a crash prints where it was, never with what
    eventually(lambda: b"Fatal Python error" in node.server.log_path.read_bytes())
    assert leaks(node.folder, planted) == {}
    assert not list(node.folder.rglob("core*"))


FAULTY = """
from dataclasses import dataclass
from typing import Annotated
from broker.plugin import Context, Engine, EngineType, Field, Operation, Path, Secret, hookimpl

@dataclass(frozen=True, slots=True)
class Args:
    given: Annotated[Secret[str], Field("Raised.")]

class Faulty(Engine):
    async def fail(self, ctx: Context, args: Args) -> None:
        value = args.given.reveal()
        try:
            int(value)
        except ValueError as error:
            raise RuntimeError(f"cannot use {value}") from error

Faulty.PATHS = (Path("fail", "Fails.", update=Operation(Args, None, calls=Faulty.fail)),)

@hookimpl
def register_engines():
    return [EngineType("faulty", build=Faulty, summary="Fails with what it was given.")]
"""


@pytest.mark.parametrize("log_format", ["standard", "json"])
def test_an_engine_that_fails_with_a_secret_in_its_hands_gives_it_to_nobody(
    begin, tmp_path, monkeypatch, log_format
):
    site, secret = tmp_path / "site", canary("raised")
    info = site / "faulty-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "faulty_engine.py").write_text(FAULTY)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[broker.plugins]\nfaulty = faulty_engine\n")
    monkeypatch.setenv("PYTHONPATH", str(site), prepend=os.pathsep)
    node = begin(log_format=log_format, log_level="trace")
    node.ok("POST", "sys/mounts/faulty", {"type": "faulty"})
    reply = node.call("POST", "faulty/fail", {"given": secret})
    assert reply.status == 500
    (said,) = reply.errors
    assert re.fullmatch(r"internal error; request_id [0-9a-f-]{36}", said)
    log = node.server.log_path.read_text()
    assert said.rpartition(" ")[2] in log, "the log tells what the caller was not told"
    assert "RuntimeError" in log and "faulty_engine.py" in log
    assert leaks(node.folder, {"raised": secret}) == {}
    assert node.ok("GET", "sys/mounts").data["faulty/"]["type"] == "faulty"
