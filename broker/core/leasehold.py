"""What requests do with leases: renew, revoke now or soon, one or all below a prefix."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

import msgspec

from broker.access.lifetimes import Limits
from broker.core import sweeps
from broker.core.errands import engine_context
from broker.core.leasing import extend, mount_of
from broker.core.logins import limits_of
from broker.core.revoker import TIMEOUT_SECONDS, Revoker
from broker.core.settings import CoreSettings
from broker.core.tenants import Tenant, Tenants
from broker.core.transact import transact
from broker.leases import layout
from broker.leases.records import LeaseEntry, Sweep
from broker.plugin.context import Context, Mount
from broker.plugin.errors import InvalidRequest, Tampered
from broker.storage.transaction import Transaction

AT_ONCE = 200
"""Leases below a prefix that a request queues itself; the steward goes on with the rest."""
TOGETHER = 16
"""Revocations that a waiting request has under way at a time."""


class Leasehold:
    """The leases of all tenants, as the handlers of ``sys/leases`` use them."""

    def __init__(self, tenants: Tenants, revoker: Revoker, settings: CoreSettings) -> None:
        self._tenants = tenants
        self._revoker = revoker
        self._settings = settings

    def _limits(self, mount: Mount) -> Limits:
        return limits_of(
            mount, default_ttl=self._settings.default_lease_ttl, max_ttl=self._settings.max_lease_ttl
        )

    async def renew(
        self, tenant: Tenant, ctx: Context, key: str, entry: LeaseEntry, increment: timedelta
    ) -> LeaseEntry:
        """Extend a lease in the request's transaction. Raises: InvalidRequest."""
        router = await self._tenants.router(tenant, ctx.transaction)
        mount = mount_of(router, entry.mount)
        if mount is None:
            raise InvalidRequest("lease is not renewable")
        inner = engine_context(tenant, mount, ctx.transaction, ctx.now)
        inner.warnings = ctx.warnings
        return await extend(
            ctx.transaction,
            key,
            entry,
            increment,
            engine=router.engine_of(mount),
            mount=mount,
            context=ctx,
            engine_context=inner,
            limits=self._limits(mount),
        )

    async def revoke_now(self, tenant: Tenant, keys: Sequence[str], now: float) -> None:
        """Revoke, and wait for it. What fails stays queued. Raises: InvalidRequest with the first reason."""
        gate = asyncio.Semaphore(TOGETHER)

        async def one(key: str) -> str:
            async with gate:
                try:
                    await self._take(tenant, key, now)
                except Tampered as error:
                    return str(error)
                return await self._revoker.end(tenant, key)

        reasons = [reason for reason in await asyncio.gather(*map(one, keys)) if reason]
        if reasons:
            raise InvalidRequest(f"failed to revoke {len(reasons)} of {len(keys)} leases: {reasons[0]}")

    async def _take(self, tenant: Tenant, key: str, now: float) -> None:
        """End a lease for renewals, and keep the steward off it while this request sees to it."""

        async def take(tx: Transaction) -> None:
            entry = await tx.load(layout.ROOM + key, LeaseEntry)
            if entry is None:
                return
            later = now + TIMEOUT_SECONDS + 5
            new = msgspec.structs.replace(entry, revoking=entry.revoking or now, next_at=later)
            layout.change(tx, key, entry, new)

        await transact(tenant.store, take)

    async def revoke_one(
        self, tenant: Tenant, ctx: Context, key: str, entry: LeaseEntry, *, forced: bool, sync: bool
    ) -> None:
        """Revoke one lease: with the request, or now."""
        if not sync:
            layout.queue(ctx.transaction, key, entry, ctx.now, forced=forced, again=True)
            return
        if forced:
            own = await tenant.store.begin()
            known = await own.load(layout.ROOM + key, LeaseEntry)
            if known is not None:
                layout.queue(own, key, known, ctx.now, forced=True)
                await own.commit()
        await self.revoke_now(tenant, [key], ctx.now)

    async def revoke_below(
        self, tenant: Tenant, ctx: Context, prefix: str, *, forced: bool, sync: bool
    ) -> None:
        """Revoke all leases below a prefix: the first of them with the request, the rest soon or, ``sync``, now."""
        sweep: Sweep | None = Sweep(prefix, until=ctx.now, forced=forced)
        assert sweep is not None
        if not sync:
            sweep, _ = await sweeps.step(tenant, ctx.transaction, sweep, ctx.now, limit=AT_ONCE)
            if sweep is not None:
                sweeps.put(ctx.transaction, sweep, ctx.now)
            return
        while sweep is not None:
            step = partial(sweeps.step, tenant, sweep=sweep, now=ctx.now)
            sweep, keys = await transact(tenant.store, step)
            await self.revoke_now(tenant, keys, ctx.now)


__all__ = ["Leasehold"]
