from __future__ import annotations

from typing import Any

import pytest
from broker_plugins.auth.ldap import LdapMethod

from broker.plugin import Connection, Login, PermissionDenied
from broker.plugin.testing.engine import EngineHarness
from broker.plugin.testing.memory import MemoryView
from broker.plugin.verbs import Verb


class Counting:
    """A lockout that counts, and locks out whom a test names."""

    def __init__(self) -> None:
        self.guarded: list[str] = []
        self.failures: list[str] = []
        self.successes: list[str] = []
        self.locked: set[str] = set()

    async def guard(self, ctx: Any, name: str, source: str = "") -> None:
        self.guarded.append(name)
        if name in self.locked:
            raise PermissionDenied

    async def failed(self, ctx: Any, name: str, source: str = "") -> None:
        self.failures.append(name)

    async def succeeded(self, ctx: Any, name: str, source: str = "") -> None:
        self.successes.append(name)


class Kit(EngineHarness):
    """The method on memory, with the ways a test goes with it."""

    def __init__(self) -> None:
        self.lockout = Counting()
        super().__init__(LdapMethod, services={"lockout": self.lockout})
        self.connection = Connection(remote_address="127.0.0.1")

    async def login(self, name: str, password: str | None = None) -> Any:
        """Log in, with the right password unless another is given; returns the ``Auth``."""
        given = f"{name}-password" if password is None else password
        return (await self.update(f"login/{name}", password=given)).auth

    async def renew(self, auth: Any) -> Any:
        login = Login(auth.alias, auth.policies, auth.metadata, auth.internal)
        return await self.engine.renew_login(
            self.context(Verb.UPDATE, "", MemoryView(self.store.transaction())), login
        )


PEOPLE = {"userdn": "ou=people,dc=example,dc=org", "userattr": "uid"}
ACCOUNT = {"binddn": "cn=reader,dc=example,dc=org", "bindpass": "reader-password"}
GROUPS = {"groupdn": "ou=groups,dc=example,dc=org"}


@pytest.fixture
def kit():
    """Without a configuration."""
    return Kit()


@pytest.fixture
async def ldap(kit, directory):
    """Asks a real directory, searching with an account."""
    await kit.update("config", url=directory.url, **PEOPLE, **ACCOUNT, **GROUPS)
    return kit
