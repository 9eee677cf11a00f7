"""Start the servers that are measured: both from a config file, on disk, with one file audit device."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent
START_SECONDS = 30


class BenchFailed(RuntimeError):
    """The measurement means nothing: a server did not start, or answered with an error."""


@dataclass
class Server:
    """A running, unsealed server with its root token and unseal keys."""

    name: str
    port: int
    folder: Path
    process: subprocess.Popen[bytes]
    root: str = ""
    keys: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def call(
        self, method: str, path: str, body: Any = None, token: str | None = None, *, timeout: float = 120
    ) -> tuple[int, Any]:
        """One request; the status and the parsed body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        headers = {"Content-Type": "application/json"}
        if token or self.root:
            headers["X-Vault-Token"] = token or self.root
        connection.request(method, f"/v1/{path}", None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        raw = response.read()
        connection.close()
        return response.status, json.loads(raw) if raw else None

    def must(self, method: str, path: str, body: Any = None, token: str | None = None) -> Any:
        """Like ``call``, but anything except 2xx ends the run."""
        status, answer = self.call(method, path, body, token)
        if not 200 <= status < 300:
            raise BenchFailed(f"{self.name}: {method} {path} answered {status}: {answer}")
        return answer

    def resident_mib(self) -> float:
        """Memory of the whole process group: private pages of each process plus its share of shared ones."""
        total = 0
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with suppress(OSError, ValueError, IndexError):
                if os.getpgid(int(entry.name)) != self.process.pid:
                    continue
                total += _proportional_kib(entry)
        return total / 1024

    def stop(self) -> None:
        """End the whole group."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(15)
                return


def _proportional_kib(entry: Path) -> int:
    """PSS where the process lets us read it, else RSS."""
    with suppress(OSError):
        for line in (entry / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    pages = int((entry / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


CONFIG = """
listener "tcp" {{
  address     = "127.0.0.1:{port}"
  tls_disable = true
}}
storage "{storage}" {{
  path = "{folder}/data"
}}
audit "file" "bench" {{
  options {{
    file_path = "{folder}/audit.log"
  }}
}}
api_addr  = "http://127.0.0.1:{port}"
log_level = "warn"
"""


def _config(name: str, folder: Path, port: int, workers: int | None) -> str:
    (folder / "data").mkdir(parents=True, exist_ok=True)
    storage = "raft" if name == "peer" else "sqlite"
    text = CONFIG.format(port=port, storage=storage, folder=folder)
    if name == "peer":
        text += f'cluster_addr = "http://127.0.0.1:{free_port()}"\n'
    elif workers:
        text += f"workers = {workers}\n"
    return text


def launch(name: str, folder: Path, workers: int | None = None) -> Server:
    """Start ``ours`` or ``peer`` in ``folder`` (state of an earlier start there is used again)."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    path = folder / "config.hcl"
    path.write_text(_config(name, folder, port, workers))
    command = BIN / ("bao" if name == "peer" else "broker")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("VAULT_", "BAO_", "BROKER_"))}
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [str(command), "server", f"-config={path}"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    server = Server(name, port, folder, process)
    _wait(server, {200, 429, 501, 503})
    return server


def _wait(server: Server, statuses: set[int]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        with suppress(OSError):
            if server.call("GET", "sys/health")[0] in statuses:
                return
        time.sleep(0.02)
    tail = (server.folder / "server.log").read_text(errors="replace")[-3000:]
    server.stop()
    raise BenchFailed(f"{server.name} did not come up\n{tail}")


def unseal(server: Server) -> float:
    """Submit the unseal keys; seconds from the last share until the node serves."""
    for key in server.keys:
        started = time.monotonic()
        server.must("PUT", "sys/unseal", {"key": key})
    _wait(server, {200})
    return time.monotonic() - started


@contextmanager
def running(name: str, folder: Path, workers: int | None = None) -> Iterator[Server]:
    """A fresh, initialised, unsealed server."""
    server = launch(name, folder, workers)
    try:
        answer = server.must("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
        server.keys, server.root = answer["keys_base64"], answer["root_token"]
        unseal(server)
        yield server
    finally:
        server.stop()
