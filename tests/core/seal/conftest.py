"""Real servers with SQLite storage and several workers, and the people who hold their shares."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import socket
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from broker.core.compose import Application, prepare
from broker.core.system.initialise import initialise_store
from broker.server.nodepage import NodePage
from broker.server.settings import ServerConfig, StorageStanza
from tests.fixtures.servers import RunningServer, config_server

TWO_OF_THREE = {"secret_shares": 3, "secret_threshold": 2}


def wait_until(check: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Poll until ``check`` gives something true, and return that."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return found


@dataclass
class Reply:
    status: int
    body: Any

    @property
    def data(self) -> Any:
        return self.body["data"]

    @property
    def error(self) -> str:
        return self.body["errors"][0]


class Line:
    """One keep-alive connection: always the same worker."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)

    def call(
        self, method: str, path: str, body: Any = None, token: str | None = None, namespace: str | None = None
    ) -> Reply:
        headers = {"X-Vault-Token": token, "X-Vault-Namespace": namespace}
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body)
        given = {name: value for name, value in headers.items() if value is not None}
        if method == "PATCH":
            given["Content-Type"] = "application/merge-patch+json"
        self._connection.request(method, f"/v1/{path}", raw, given)
        answer = self._connection.getresponse()
        text = answer.read()
        return Reply(answer.status, json.loads(text) if text else None)

    def close(self) -> None:
        self._connection.close()


@dataclass
class Vault:
    """A server, its shares (hex) and its root token."""

    server: RunningServer
    keys: list[str] = field(default_factory=list)
    root: str = ""
    count: int = 2
    lines: list[Line] = field(default_factory=list)

    def line(self) -> Line:
        """A connection that stays open; closed with the server."""
        self.lines.append(Line(self.server.address))
        return self.lines[-1]

    def call(self, method: str, path: str, body: Any = None, token: str | None = None, **more: Any) -> Reply:
        """Ask over a connection of its own: whichever worker takes it."""
        line = Line(self.server.address)
        try:
            return line.call(method, path, body, token, **more)
        finally:
            line.close()

    def ok(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """Ask as root; anything but success fails the test."""
        reply = self.call(method, path, body, token=self.root, **more)
        assert reply.status in (200, 204), (method, path, reply)
        return reply.body

    def init(self, **wanted: Any) -> dict[str, Any]:
        reply = self.call("PUT", "sys/init", wanted or TWO_OF_THREE)
        assert reply.status == 200, reply
        self.keys, self.root = reply.body["keys"], reply.body["root_token"]
        return reply.body

    def unseal(self, *keys: str) -> Reply:
        for key in keys:
            reply = self.call("PUT", "sys/unseal", {"key": key})
            assert reply.status == 200, reply
        return reply

    @property
    def sealed(self) -> bool:
        return bool(self.call("GET", "sys/seal-status").body["sealed"])

    def restart(self) -> None:
        self.server.kill()
        self.server.start()

    def workers(self) -> list[int]:
        """The processes that serve: the arbiter's children."""
        found = Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children").read_text()
        return [int(pid) for pid in found.split()]

    def kill_worker(self, pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: pid not in self.workers())

    def kill_workers(self) -> None:
        """Kill every worker, one after the other; returns when as many new ones serve."""
        for pid in self.workers():
            self.kill_worker(pid)
        wait_until(lambda: len(self.workers()) == self.count)
        wait_until(self.server.answers)

    def rekey(self, keys: list[str], base: str = "sys/rekey", **wanted: Any) -> dict[str, Any]:
        """Run a rekey to the answer of its last share."""
        started = self.ok("PUT", f"{base}/init", {**TWO_OF_THREE, **wanted})
        nonce = (started.get("data") or started)["nonce"]
        for key in keys:
            answer = self.ok("PUT", f"{base}/update", {"key": key, "nonce": nonce})
        return answer.get("data") or answer

    def log_tails(self) -> list[tuple[str, str]]:
        return self.server.log_tails()


def send_and_forget(vault: Vault, path: str, body: Any) -> socket.socket:
    """Send a request without waiting for its answer."""
    host, _, port = vault.server.address.removeprefix("http://").partition(":")
    raw = json.dumps(body).encode()
    head = f"PUT /v1/{path} HTTP/1.1\r\nHost: x\r\nX-Vault-Token: {vault.root}\r\nContent-Length: {len(raw)}\r\n\r\n"
    line = socket.create_connection((host, int(port)))
    line.sendall(head.encode() + raw)
    return line


Start = Callable[..., Vault]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start a server: ``start(workers=3)``, not yet initialised; ended with the module."""
    running: list[Vault] = []

    def one(workers: int = 2, folder: Path | None = None, **settings: Any) -> Vault:
        place = folder or tmp_path_factory.mktemp("seal")
        storage: dict[str, object] = {"sqlite": {"path": str(place / "data")}}
        server = config_server("broker", place, "broker", storage, workers=workers, **settings)
        running.append(Vault(server, count=workers))
        return running[-1]

    yield one
    for vault in running:
        for line in vault.lines:
            line.close()
        vault.server.kill()


@pytest.fixture
def vault(start: Start) -> Vault:
    """A fresh server, initialised with two of three and unsealed."""
    made = start()
    made.init()
    made.unseal(*made.keys[:2])
    return made


@pytest.fixture
async def workers_of(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[list[Application]]]]:
    """Two workers in this process, unsealed, root token ``root``: of one node, or of two nodes with one store.

    ``answer`` of the first is what init answered.
    """
    config = ServerConfig(
        listeners=(), storage=StorageStanza("sqlite", {"path": str(tmp_path / "data")}), disable_mlock=True
    )
    made: list[Application] = []

    async def build(*, one_node: bool) -> list[Application]:
        first = NodePage(lock_memory=False)
        nodes = [first, first if one_node else NodePage(lock_memory=False)]
        made.extend(Application(prepare(config), node=node) for node in nodes)
        done = await initialise_store(made[0].parts, TWO_OF_THREE, root_token="root")
        for node in nodes:
            node.install_root_key(done.root_key.reveal())
        made[0].answer = done.answer
        return made

    yield build
    for worker in made:
        await worker.close()


@pytest.fixture(scope="session")
def pgp_pair() -> Any:
    """An OpenPGP key pair that may encrypt."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pgpy
        from pgpy.constants import (
            HashAlgorithm,
            KeyFlags,
            PubKeyAlgorithm,
            SymmetricKeyAlgorithm,
        )

        key = pgpy.PGPKey.new(PubKeyAlgorithm.RSAEncryptOrSign, 2048)
        key.add_uid(
            pgpy.PGPUID.new("custodian"),
            usage={KeyFlags.EncryptCommunications},
            hashes=[HashAlgorithm.SHA256],
            ciphers=[SymmetricKeyAlgorithm.AES256],
        )
        return key


@pytest.fixture(scope="session")
def pgp_key(pgp_pair: Any) -> str:
    """Its public half, as clients send it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return base64.b64encode(bytes(pgp_pair.pubkey)).decode()


@pytest.fixture(scope="session")
def pgp_decrypt(pgp_pair: Any) -> Callable[[bytes], str]:
    """Read a message with the private half."""

    def decrypt(message: bytes) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pgpy

            text = pgp_pair.decrypt(pgpy.PGPMessage.from_blob(message)).message
        return text if isinstance(text, str) else bytes(text).decode()

    return decrypt
