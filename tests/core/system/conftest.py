"""A server to ask over HTTP, and an unsealed one from a configuration file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.servers import RunningServer, config_server
from tests.peer.client import Client, Reply


class Api:
    """Requests with a token (empty for none) to one server, with what a test expects of the status."""

    def __init__(self, server: RunningServer, token: str = "root") -> None:
        self.server = server
        self.token = token
        self.unseal_key = ""
        self._client = Client(server.address)

    def ask(
        self, method: str, path: str, body: object = None, *, token: str | None = None, namespace: str = ""
    ) -> Reply:
        given = self.token if token is None else token
        headers = {"X-Vault-Token": given} if given else {}
        if namespace:
            headers["X-Vault-Namespace"] = namespace
        raw = None if body is None else json.dumps(body).encode()
        return self._client.send(method, f"/v1/{path}", headers, raw)

    def data(self, method: str, path: str, body: object = None, **more: Any) -> Any:
        reply = self.ask(method, path, body, **more)
        assert reply.status == 200, reply
        return reply.body["data"]

    def done(self, method: str, path: str, body: object = None, **more: Any) -> None:
        reply = self.ask(method, path, body, **more)
        assert reply.status in (200, 204), reply

    def token_with(self, policy: str, *, name: str = "", **more: Any) -> str:
        """A token with one policy of this text, and nothing else."""
        name = name or f"p{abs(hash(policy)):x}"
        self.done("PUT", f"sys/policies/acl/{name}", {"policy": policy})
        body = {"policies": [name], "no_default_policy": True, **more}
        reply = self.ask("POST", "auth/token/create", body)
        assert reply.status == 200, reply
        token: str = reply.body["auth"]["client_token"]
        return token

    def restart(self) -> None:
        """Stop the server and start it again, unsealed."""
        self.server.stop()
        self.server.start()
        self._client.close()
        self.done("PUT", "sys/unseal", {"key": self.unseal_key})

    def log_tails(self) -> list[tuple[str, str]]:
        return self.server.log_tails()

    def close(self) -> None:
        self._client.close()


@pytest.fixture
def api(broker_dev: RunningServer) -> Iterator[Api]:
    """Our dev server, as root."""
    made = Api(broker_dev)
    yield made
    made.close()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Callable[..., Api]]:
    """Start an unsealed server from a configuration file: ``node(audit_directory=...)``."""
    started: list[Api] = []

    def start(**settings: object) -> Api:
        folder = tmp_path / f"node{len(started)}"
        storage: dict[str, object] = {"sqlite": {"path": str(folder / "data")}}
        made = Api(config_server("broker", folder, "node", storage, **settings), "")
        started.append(made)
        keys = made.ask("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1}).body
        made.unseal_key = keys["keys"][0]
        made.done("PUT", "sys/unseal", {"key": made.unseal_key})
        made.token = keys["root_token"]
        return made

    yield start
    for made in started:
        made.close()
        made.server.stop()
