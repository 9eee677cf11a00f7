"""A real node of ours, its keys in hand, and connections to it that send exactly what they are told.

Nothing here retries: a request that died with its worker must be seen as such.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from tests.fixtures.servers import RunningServer, config_server

T = TypeVar("T")
DEADLINE_SECONDS = 20.0
IDLE_SECONDS = 60.0
"""A connection that was silent for longer is opened anew: the server lets silent ones go after five minutes."""
LOST = (HTTPException, OSError)
"""What a request raises whose connection ended before the answer."""


def eventually(check: Callable[[], T], seconds: float = DEADLINE_SECONDS) -> T:
    """Poll until ``check`` gives something true, and return that."""
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@dataclass(frozen=True)
class Reply:
    """What came back; ``body`` is parsed JSON, or None."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw) if self.raw else None

    @property
    def data(self) -> Any:
        return self.body["data"]

    @property
    def errors(self) -> list[str]:
        return self.body["errors"]

    def __repr__(self) -> str:
        return f"<{self.status} {self.raw[:300]!r}>"


class Line:
    """One keep-alive connection; it stays closed once lost, unless asked for again."""

    def __init__(self, address: str, token: str = "", namespace: str = "") -> None:
        self._host = urlsplit(address).netloc
        self.token = token
        self.namespace = namespace
        self._connection: HTTPConnection | None = None
        self._used = 0.0

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = None,
        namespace: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
        raw: bytes | None = None,
    ) -> Reply:
        """Send one request to ``/v1/PATH``. ``raw`` is sent as the body as it is, ``body`` as JSON."""
        if time.monotonic() - self._used > IDLE_SECONDS:
            self.close()
        if self._connection is None:
            self._connection = HTTPConnection(self._host, timeout=60)
            self._connection.connect()
            self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if raw is None and body is not None:
            raw = json.dumps(body).encode()
        token = self.token if token is None else token
        namespace = self.namespace if namespace is None else namespace
        try:
            connection = self._connection
            connection.putrequest(method, f"/v1/{path}", skip_accept_encoding=True)
            if token:
                connection.putheader("X-Vault-Token", token)
            if namespace:
                connection.putheader("X-Vault-Namespace", namespace)
            for name, value in headers:
                connection.putheader(name, value)
            if raw is not None:
                connection.putheader("Content-Length", str(len(raw)))
            connection.endheaders()
            for at in range(0, len(raw or b""), 1 << 16):
                connection.send((raw or b"")[at : at + (1 << 16)])
            response = connection.getresponse()
            reply = Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        except LOST:
            self.close()
            raise
        self._used = time.monotonic()
        return reply

    def ok(self, method: str, path: str, body: object = None, **more: Any) -> Reply:
        """Send a request that must succeed."""
        reply = self.call(method, path, body, **more)
        assert reply.status in (200, 204), f"{method} {path}: {reply}"
        return reply

    @property
    def alive(self) -> bool:
        """Whether the connection still stands, as far as requests have shown."""
        return self._connection is not None

    @property
    def port(self) -> int:
        """Our end of the connection."""
        assert self._connection is not None and self._connection.sock is not None
        return self._connection.sock.getsockname()[1]

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@dataclass
class Node(Line):
    """An initialised node; calls on it use the root token."""

    server: RunningServer
    share: str = field(default="", repr=False)
    lines: list[Line] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        super().__init__(self.server.address)

    @classmethod
    def begin(cls, folder: Path, name: str = "broker", **settings: object) -> Node:
        """Start, initialise and unseal a server with SQLite storage and a file audit device below ``folder``."""
        storage: dict[str, object] = {"sqlite": {"path": str(settings.pop("data", folder / "data"))}}
        audit = {"file": {"main": {"options": {"file_path": str(folder / "audit.log")}}}}
        node = cls(
            config_server("broker", folder, name, storage, **{"workers": 2, "audit": audit, **settings})
        )
        made = node.ok("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1}, token="").body
        node.share, node.token = made["keys"][0], made["root_token"]
        node.unseal()
        return node

    @property
    def folder(self) -> Path:
        return self.server.folder

    @property
    def audit_log(self) -> Path:
        return self.folder / "audit.log"

    def unseal(self) -> None:
        assert self.ok("PUT", "sys/unseal", {"key": self.share}, token="").body["sealed"] is False

    def restart(self) -> None:
        """Start again after a kill, and unseal."""
        self.close()
        self.server.start()
        self.unseal()

    def line(self, token: str | None = None, namespace: str = "") -> Line:
        """A connection of its own; it is closed with the node, if not before."""
        self.lines.append(Line(self.server.address, self.token if token is None else token, namespace))
        return self.lines[-1]

    def mint(self, *policies: str, namespace: str = "", **more: object) -> str:
        """A token with these policies (and no other)."""
        wanted = {"policies": list(policies), "no_default_policy": "default" not in policies, **more}
        made = self.ok("POST", "auth/token/create", wanted, namespace=namespace)
        return made.body["auth"]["client_token"]

    def policy(self, name: str, text: str, namespace: str = "") -> None:
        self.ok("PUT", f"sys/policies/acl/{name}", {"policy": text}, namespace=namespace)

    def kv(self, path: str, version: int = 2, namespace: str = "") -> str:
        """Mount a KV engine; the path, without a slash."""
        wanted = {"type": "kv", "options": {"version": str(version)}}
        self.ok("POST", f"sys/mounts/{path}", wanted, namespace=namespace)
        return path

    def workers(self) -> list[int]:
        """The process ids of the workers: children of the arbiter that hold the listening socket."""
        arbiter = self.server.pid
        text = Path(f"/proc/{arbiter}/task/{arbiter}/children").read_text()
        return [int(pid) for pid in text.split()]

    def spread(self, wanted: int | None = None, token: str | None = None) -> list[Line]:
        """Open connections until every worker holds at least one (as far as /proc tells), and two dozen at least."""
        wanted = wanted or len(self.workers())
        lines: list[Line] = []
        owners: set[int] = set()
        deadline = time.monotonic() + DEADLINE_SECONDS
        while len(lines) < 24 or (len(owners) < wanted and time.monotonic() < deadline):
            line = self.line(token)
            line.call("GET", "sys/health")
            lines.append(line)
            owners |= set(self.owners([line]))
        assert len(owners) >= wanted or not _may_look(), f"only {len(owners)} workers took connections"
        return lines

    def owners(self, lines: Iterable[Line]) -> list[int]:
        """The worker that holds the other end of each connection."""
        ports = {line.port for line in lines}
        inodes = _inodes_of(int(urlsplit(self.server.address).port or 0), ports)
        found: list[int] = []
        for pid in self.workers():
            with suppress(OSError):
                for name in os.listdir(f"/proc/{pid}/fd"):
                    with suppress(OSError):
                        if os.readlink(f"/proc/{pid}/fd/{name}") in inodes:
                            found.append(pid)
        return found

    def end(self) -> None:
        for line in [self, *self.lines]:
            line.close()
        self.server.stop()


def _may_look() -> bool:
    return os.geteuid() == 0


def _inodes_of(port: int, peers: set[int]) -> set[str]:
    """The sockets of connections on ``port`` whose other end is one of ``peers``, as /proc/PID/fd shows them."""
    inodes = set()
    for row in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        columns = row.split()
        local, remote = (int(columns[at].rpartition(":")[2], 16) for at in (1, 2))
        if local == port and remote in peers:
            inodes.add(f"socket:[{columns[9]}]")
    return inodes


def together(jobs: Iterable[Callable[[], T]]) -> list[T]:
    """Run all at once, each in a thread, from one starting line; results in order."""
    todo = list(jobs)
    gate = threading.Barrier(len(todo))

    def run(job: Callable[[], T]) -> T:
        gate.wait()
        return job()

    with ThreadPoolExecutor(len(todo)) as pool:
        return [future.result() for future in [pool.submit(run, job) for job in todo]]


def exchange(address: str, data: bytes, seconds: float = 20.0) -> bytes:
    """Send bytes on a raw socket and return all that comes back until the server closes or falls silent."""
    split = urlsplit(address)
    got = b""
    with socket.create_connection((split.hostname, split.port), timeout=seconds) as sock:
        with suppress(OSError):
            sock.sendall(data)
        with suppress(OSError):
            while chunk := sock.recv(65536):
                got += chunk
    return got


def fill(path: Path) -> None:
    """Write a file that takes what room its filesystem has, to the last byte."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"\0" * 4096) == 4096:
            pass
