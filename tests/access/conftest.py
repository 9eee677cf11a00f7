"""One tenant's tokens on a real store, and a clock that the test moves."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from broker_plugins.storage.sqlite import SqliteBackend

from broker.access.records import TokenEntry
from broker.access.tokens import TokenStore
from broker.barrier.codec import TenantCodec, new_tenant_secret
from broker.barrier.keyring import Keyring
from broker.storage import LocalSignal, TenantStore, Writer
from broker.storage.transaction import Transaction

START = 1_700_000_000.0


@dataclass
class Tokens:
    """A token store with its tenant; every call is a transaction of its own."""

    space: TenantStore
    store: TokenStore = field(default_factory=lambda: TokenStore("root"))
    now: float = START

    async def begin(self) -> Transaction:
        return await self.space.begin()

    async def mint(self, parent: str = "", **more: Any) -> str:
        """Store a token below ``parent`` (a token); returns the new one."""
        tx = await self.begin()
        token = await self.mint_in(tx, parent, **more)
        await tx.commit()
        return token

    async def mint_in(self, tx: Transaction, parent: str = "", *, lives: float = 0, **more: Any) -> str:
        above = ""
        if parent:
            found = await self.store.lookup(tx, parent, self.now)
            assert found is not None
            above = found.hash
        made = None if more.get("type") == "batch" else await self.store.fresh(tx)
        entry = TokenEntry(
            accessor="" if made is None else made.accessor,
            policies=("default",),
            path="auth/token/create",
            created_at=int(self.now),
            parent=above,
            expires_at=self.now + lives if lives else 0,
            ttl=int(lives),
            **more,
        )
        return self.store.mint(tx, entry, made).reveal()

    async def lives(self, token: str) -> bool:
        return await self.store.lookup(await self.begin(), token, self.now) is not None

    async def name(self, token: str) -> str:
        return await self.store.name_of(await self.begin(), token)

    async def entry(self, token: str) -> TokenEntry | None:
        return await (await self.begin()).load(f"sys/token/id/{await self.name(token)}", TokenEntry)

    async def revoke(self, token: str) -> None:
        tx = await self.begin()
        await self.store.revoke(tx, await self.name(token), now=self.now)
        await tx.commit()

    async def sever(self, token: str) -> None:
        tx = await self.begin()
        await self.store.sever(tx, await self.name(token), now=self.now)
        await tx.commit()

    async def clear(self, token: str, batch: int = 200) -> bool:
        tx = await self.begin()
        done = await self.store.clear(tx, await self.name(token), now=self.now, batch=batch)
        await tx.commit()
        return done

    async def stored(self, prefix: str = "sys/") -> list[str]:
        return await (await self.begin()).scan(prefix)


@pytest.fixture
async def tokens(tmp_path: Path) -> AsyncIterator[Tokens]:
    backend = SqliteBackend(str(tmp_path / "data"))
    keyring = Keyring.create(datetime.now(UTC), os.urandom)
    codec = TenantCodec(lambda: keyring, "root", new_tenant_secret())
    raw = await backend.open("root", create=True)
    space = TenantStore(raw, tenant="root", codec=codec, signal=LocalSignal(), writer=Writer())
    tx = await space.begin()
    TokenStore.prepare(tx)
    await tx.commit()
    yield Tokens(space)
    await backend.close()
