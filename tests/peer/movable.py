"""A pair of servers that can be started again over their stores, with another seal in the configuration."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.servers import RunningServer, config_server, free_port
from tests.peer.cli import Terminal, Terminals
from tests.peer.client import Client
from tests.peer.harness import Pair, Side
from tests.peer.mode import SELF_CHECK

ACTIVE_SECONDS = 30
LISTENER = {
    "disable_unauthed_rekey_endpoints": False,
    "disable_unauthed_generate_root_endpoints": False,
}


@dataclass
class Movable:
    """Ours with SQLite, the peer with raft: what it has left that outlives a restart."""

    folder: Path
    word: str
    pair: Pair | None = None
    servers: list[RunningServer] = field(default_factory=list)
    ports: tuple[int, int] = field(default_factory=lambda: (free_port(), free_port()))

    def start(self, **settings: Any) -> Pair:
        """Start both with these settings, or end both and start them again."""
        self.stop()
        known = [side.names for side in (self.pair.ours, self.pair.peer)] if self.pair else [{}, {}]
        with ThreadPoolExecutor(2) as both:
            self.servers += both.map(lambda number: self._server(number, settings), (0, 1))
        sides = [
            Side(Client(server.address), {"m": self.word, **names})
            for server, names in zip(self.servers, known, strict=True)
        ]
        self.pair = Pair(*sides, self.word, SELF_CHECK, tuple(self.servers))
        return self.pair

    def refuses(self, text: str, **settings: Any) -> None:
        """Both end at once with these settings, and say so in these words."""
        self.stop()
        for number in (0, 1):
            with pytest.raises(AssertionError, match="did not come up") as caught:
                self.servers.append(self._server(number, settings))
            assert text in str(caught.value), caught.value

    def settle(self, at: str = "sys/health", when: dict[str, Any] | None = None) -> None:
        """Wait until both are open and active: the peer completes a migration only then, and only then serves."""
        wanted = when or {"sealed": False, "standby": False}
        deadline = time.monotonic() + ACTIVE_SECONDS
        assert self.pair is not None
        for side in (self.pair.ours, self.pair.peer):
            while (
                not wanted.items() <= (reply := side.client.send("GET", f"/v1/{at}", {}, None)).body.items()
            ):
                assert time.monotonic() < deadline, f"not active: {reply}"
                time.sleep(0.05)

    def shells(self) -> Terminals:
        """The peer's command line at both, with the names that the scripts saved."""
        assert self.pair is not None
        made = []
        for server, side in zip(self.servers, (self.pair.ours, self.pair.peer), strict=True):
            made.append(Terminal(server.address, self.folder, side.names, token=None))
        return Terminals(*made)

    def stop(self) -> None:
        if self.pair is not None:
            self.pair.ours.client.close()
            self.pair.peer.client.close()
        while self.servers:
            self.servers.pop().kill()

    def _server(self, number: int, settings: dict[str, Any]) -> RunningServer:
        name, command = (("ours", "bao" if SELF_CHECK else "broker"), ("peer", "bao"))[number]
        folder = self.folder / name
        data = folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        if command == "broker":
            return config_server(
                command, folder, name, {"sqlite": {"path": str(data)}}, listener_options=LISTENER, **settings
            )
        raft: dict[str, object] = {"path": str(data), "node_id": name, "performance_multiplier": 1}
        more = {"cluster_addr": f"http://127.0.0.1:{self.ports[number]}", **settings}
        return config_server(command, folder, name, {"raft": raft}, listener_options=LISTENER, **more)


def stanza(key: str, **more: Any) -> dict[str, Any]:
    """A static seal's stanza; key and id follow from one character."""
    return {"current_key_id": key, "current_key": key.encode().hex() * 32, **more}
