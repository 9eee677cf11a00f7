"""Signing keys follow their times, woken by the steward, on a clock that the test moves."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest
from broker_plugins.storage.inmem import InmemBackend

from broker.access.identity.oidc import KEY, PUBLISHED, NamedKey, Published
from broker.access.policies import PolicyStore
from broker.access.tokens import TokenStore
from broker.barrier.codec import TenantCodec, new_tenant_secret
from broker.barrier.keyring import Keyring
from broker.core.errands import engine_context
from broker.core.identity.engine import IdentityEngine
from broker.core.identity.oidc_keys import Rotate, WriteKey, rotate, write
from broker.core.settings import CoreSettings
from broker.core.tenants import Tenant, new_mount
from broker.plugin.context import Context, NamespaceInfo
from broker.plugin.fields import parse_duration
from broker.storage import LocalSignal, TenantStore, Writer
from broker.storage.due import DUE, DueEntry
from broker.storage.transaction import Transaction

START = 1_800_000_000.0
MOUNT = new_mount("identity/", "identity")
ENGINE = IdentityEngine(MOUNT, settings=CoreSettings(api_addr="https://x.example"))


class Clockwork:
    """One key, and the time."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self.now = START

    async def begin(self) -> tuple[Transaction, Context]:
        tx = await self.tenant.store.begin()
        return tx, engine_context(self.tenant, MOUNT, tx, self.now)

    async def write(self, **more: object) -> None:
        tx, ctx = await self.begin()
        await write(ENGINE, ctx, WriteKey("k", **more))  # type: ignore[arg-type]
        await tx.commit()

    async def rotate(self) -> None:
        tx, ctx = await self.begin()
        await rotate(ENGINE, ctx, Rotate("k"))
        await tx.commit()

    async def key(self) -> NamedKey:
        _, ctx = await self.begin()
        found = await ctx.storage.load(KEY + "k", NamedKey)
        assert found is not None
        published = await ctx.storage.load(PUBLISHED, Published)
        assert published is not None and published.keys["k"] == found.published()
        return found

    async def pass_time(self, seconds: float) -> None:
        """Let time pass and do, in order, all that falls due, as the steward does."""
        until = self.now + seconds
        while True:
            tx, _ = await self.begin()
            due = await tx.scan(DUE, limit=1)
            if not due or int(due[0][:16]) / 1000 > until:
                break
            self.now = max(self.now, int(due[0][:16]) / 1000)
            tx, ctx = await self.begin()
            entry = await tx.load(DUE + due[0], DueEntry)
            assert entry is not None
            await ENGINE.wake(ctx, entry.name.partition(":")[2])
            tx.delete(DUE + due[0])
            await tx.commit()
        self.now = until


@pytest.fixture
async def clock() -> Clockwork:
    keyring = Keyring.create(datetime.now(UTC), os.urandom)
    codec = TenantCodec(lambda: keyring, "root", new_tenant_secret())
    raw = await InmemBackend().open("root", create=True)
    space = TenantStore(raw, tenant="root", codec=codec, signal=LocalSignal(), writer=Writer())
    return Clockwork(
        Tenant(NamespaceInfo("root", "root", ""), None, space, TokenStore("root"), PolicyStore())
    )


async def test_the_next_key_signs_from_the_time_on_and_the_old_one_is_checked_for_as_long_as_promised(clock):
    times = {"rotation_period": parse_duration("1h"), "verification_ttl": parse_duration("90m")}
    await clock.write(algorithm="ES256", **times)
    first = await clock.key()
    await clock.pass_time(3599)
    assert await clock.key() == first
    await clock.pass_time(1)
    second = await clock.key()
    assert second.current == first.following and [old.public for old in second.retired] == [
        first.current.public
    ]
    await clock.pass_time(3600)
    third = await clock.key()
    assert third.current == second.following
    assert [old.public["kid"] for old in third.retired] == [first.current.kid, second.current.kid]
    await clock.pass_time(1800)
    assert [old.public["kid"] for old in (await clock.key()).retired] == [second.current.kid]


async def test_a_hundred_periods_later_there_is_one_key_in_use_and_no_heap_of_old_ones(clock):
    await clock.write(
        algorithm="EdDSA", rotation_period=parse_duration("1h"), verification_ttl=parse_duration("10h")
    )
    seen = set()
    for _ in range(100):
        await clock.pass_time(3600)
        seen.add((await clock.key()).current.kid)
    assert len(seen) == 100 and len((await clock.key()).retired) == 10
    tx, _ = await clock.begin()
    assert len(await tx.scan(DUE)) <= 3


async def test_a_new_algorithm_signs_at_once_and_leaves_the_old_key_to_be_checked(clock):
    await clock.write(algorithm="ES256")
    old = await clock.key()
    await clock.write(algorithm="ES384")
    new = await clock.key()
    assert new.current.public["alg"] == "ES384" and old.current.kid != new.current.kid
    assert [each.public for each in new.retired] == [old.current.public]


async def test_a_private_key_is_gone_once_it_signs_no_more_and_never_shown(clock):
    await clock.write(algorithm="ES256")
    old = await clock.key()
    assert "PRIVATE" in old.current.private and "PRIVATE" not in repr(old)
    await clock.rotate()
    _, ctx = await clock.begin()
    stored = await ctx.storage.get(KEY + "k")
    assert stored is not None and old.current.private.splitlines()[1].encode() not in stored
