"""Taking back what a response was about to announce, where nobody is told of it."""

from collections.abc import Callable

from broker.core.intents import queue_one
from broker.core.tenants import Tenant
from broker.core.transact import transact
from broker.core.wrapping import revoke_wrapped
from broker.plugin.messages import Response
from broker.storage.transaction import Transaction


async def take_back(tenant: Tenant, response: Response, leased: str, clock: Callable[[], float]) -> None:
    """Revoke the token, wrapping token or lease (``leased``: its key) that a response would have told of."""
    if leased:
        await tenant.store.writer.flush()
        await queue_one(tenant, leased, clock())
    auth, wrapped = response.auth, response.wrap_info
    if wrapped is None and (auth is None or auth.client_token is None):
        return
    await tenant.store.writer.flush()  # of a request that was cut off, the commit may still be under way

    async def revoke(tx: Transaction) -> None:
        if wrapped is not None:
            await revoke_wrapped(tenant, tx, wrapped, clock())
        elif auth is not None and auth.client_token is not None:
            name = await tenant.tokens.name_of(tx, auth.client_token.reveal())
            await tenant.tokens.revoke(tx, name, now=clock())

    await transact(tenant.store, revoke)
