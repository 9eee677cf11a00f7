"""A namespace with an auth method where people log in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.core.system.conftest import Api, api, node

__all__ = ["Api", "api", "node"]

PASSWORD = "a long enough password"


@dataclass
class People:
    """One userpass mount, and the identity API beside it."""

    api: Api
    mount: str
    accessor: str
    namespace: str = ""

    def ask(self, method: str, path: str, body: object = None, token: str | None = None) -> Any:
        return self.api.ask(method, path, body, token=token, namespace=self.namespace)

    def data(self, method: str, path: str, body: object = None, token: str | None = None) -> Any:
        reply = self.ask(method, path, body, token)
        assert reply.status == 200, reply
        return reply.body["data"]

    def done(self, method: str, path: str, body: object = None, token: str | None = None) -> None:
        reply = self.ask(method, path, body, token)
        assert reply.status in (200, 204), reply

    def add(self, name: str, **more: Any) -> None:
        self.done("POST", f"auth/{self.mount}/users/{name}", {"password": PASSWORD, **more})

    def log_in(self, name: str) -> dict[str, Any]:
        reply = self.ask("POST", f"auth/{self.mount}/login/{name}", {"password": PASSWORD}, "")
        assert reply.status == 200, reply
        auth: dict[str, Any] = reply.body["auth"]
        return auth

    def person(self, name: str) -> tuple[str, str]:
        """Add a user and log in. Returns the token and the entity's id."""
        self.add(name)
        auth = self.log_in(name)
        return auth["client_token"], auth["entity_id"]

    def policy(self, name: str, text: str) -> str:
        self.done("PUT", f"sys/policies/acl/{name}", {"policy": text})
        return name

    def may(self, token: str, method: str, path: str, body: object = None) -> bool:
        """Whether the token is let through to a path."""
        status = self.ask(method, path, body, token).status
        assert status in (200, 204, 403, 404), status
        return bool(status != 403)


@pytest.fixture
def word(request: pytest.FixtureRequest) -> str:
    """A short word that only this test uses."""
    return "i" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:8]


def open_people(api: Api, word: str, namespace: str = "") -> People:
    made = People(api, word, "", namespace)
    made.done("POST", f"sys/auth/{word}", {"type": "userpass"})
    made.accessor = made.data("GET", "sys/auth")[f"{word}/"]["accessor"]
    return made


@pytest.fixture
def people(api: Api, word: str) -> Iterator[People]:
    made = open_people(api, word)
    yield made
    made.done("DELETE", f"sys/auth/{word}")
