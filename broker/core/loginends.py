"""Ending the tokens of logins that an auth method no longer stands by: those of a revoked key, of an old version of one."""

from typing import Any

from broker.core import sweeps
from broker.core.tenants import Tenant
from broker.leases.records import Sweep
from broker.plugin.context import Context
from broker.storage.transaction import Transaction

AT_ONCE = 200
"""Tokens that go with the request itself; the steward goes on with the rest."""
LATE_SECONDS = 60.0
"""A login that is under way now may be dated a little later; one that begins later is refused by its method."""


class LoginService:
    """``Logins`` for one tenant."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant

    async def end(self, ctx: Context, path: str) -> None:
        view: Any = ctx.storage
        tx: Transaction = view.transaction
        every = Sweep(f"{ctx.mount.prefix}{path.rstrip('/')}/", until=ctx.now + LATE_SECONDS)
        rest, _ = await sweeps.step(self._tenant, tx, every, ctx.now, limit=AT_ONCE)
        if rest is not None:
            sweeps.put(tx, rest, ctx.now)
        # Once more after the commit: a login may have been stored since this transaction looked.
        sweeps.put(tx, every, ctx.now)


__all__ = ["LoginService"]
