"""A tenant with a real store, and requests at a mount of it as the service sees them."""

import os
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace

import pytest
from broker_plugins.storage.inmem import InmemBackend

from broker.access.policies import PolicyStore
from broker.access.tokens import TokenStore
from broker.barrier.codec import TenantCodec, new_tenant_secret
from broker.barrier.keyring import Keyring
from broker.core import lockout
from broker.core.entities import entity_of
from broker.core.lockout import LockoutService
from broker.core.settings import CoreSettings
from broker.core.tenants import Tenant
from broker.plugin.context import Mount, MountConfig, NamespaceInfo
from broker.plugin.errors import PermissionDenied
from broker.plugin.testing.engine import Clock
from broker.storage import LocalSignal, TenantStore, Writer
from broker.storage.due import DUE, DueEntry


class Door:
    """Logins at one mount of a tenant: what the lockout service makes of them."""

    def __init__(self, tenant, clock, kind="userpass", settings=None, **tuned):
        self.tenant, self.clock = tenant, clock
        config = MountConfig(user_lockout_config=lockout.tuned(None, tuned) or None)
        self.mount = Mount("up/", kind, f"uuid-{kind}", f"auth_{kind}_0", table="auth", config=config)
        self.service = LockoutService(tenant, settings or CoreSettings())

    async def _begin(self):
        tx = await self.tenant.store.begin()
        return tx, SimpleNamespace(mount=self.mount, now=self.clock.now, storage=tx.view("logical/up/"))

    async def fails(self, name, source="", *, times=1, real=False):
        for _ in range(times):
            _, ctx = await self._begin()
            await self.service.failed(ctx, name, source, real=real)

    async def open(self, name, source=""):
        _, ctx = await self._begin()
        try:
            await self.service.guard(ctx, name, source)
        except PermissionDenied:
            return False
        return True

    async def passes(self, name, source=""):
        tx, ctx = await self._begin()
        await self.service.guard(ctx, name, source)
        await self.service.succeeded(ctx, name, source)
        await tx.commit()

    async def known(self, name):
        """Have a name be one that has logged in before."""
        tx, _ = await self._begin()
        await entity_of(tx, self.tenant.info, self.mount, name, now=self.clock.now)
        await tx.commit()

    async def listed(self):
        tx, _ = await self._begin()
        return await lockout.locked(tx, self.mount.accessor, now=self.clock.now)

    async def unlock(self, name):
        tx, _ = await self._begin()
        await lockout.unlock(self.tenant, tx, self.mount.accessor, name)
        await tx.commit()

    async def tick(self):
        """Do what the steward does with what is due. Returns how many entries were."""
        done = 0
        tx = await self.tenant.store.begin()
        for path in await tx.scan(DUE):
            if int(path[:16]) / 1000 > self.clock.now:
                break
            due = await tx.load(DUE + path, DueEntry)
            await lockout.clear(tx, due.name, now=self.clock.now)
            tx.delete(DUE + path)
            done += 1
        await tx.commit()
        return done

    async def stored(self):
        tx, _ = await self._begin()
        return [*await tx.scan("sys/lockout/"), *await tx.scan(DUE)]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def tenant():
    backend = InmemBackend()
    keyring = Keyring.create(datetime.now(UTC), os.urandom)
    codec = TenantCodec(lambda: keyring, "root", new_tenant_secret())
    raw = await backend.open("root", create=True)
    store = TenantStore(raw, tenant="root", codec=codec, signal=LocalSignal(), writer=Writer())
    made = Tenant(NamespaceInfo("root", "root", ""), None, store, TokenStore("root"), PolicyStore())
    tx = await store.begin()
    TokenStore.prepare(tx)
    await tx.commit()
    yield made
    await backend.close()


@pytest.fixture
def door(tenant, clock):
    return partial(Door, tenant, clock)
