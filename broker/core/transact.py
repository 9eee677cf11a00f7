"""Changes of the core's own that must be durable whatever becomes of the request."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from broker.storage.errors import TransactionConflict
from broker.storage.tenant import TenantStore
from broker.storage.transaction import Transaction

T = TypeVar("T")


async def transact(store: TenantStore, work: Callable[[Transaction], Awaitable[T]]) -> T:
    """Do ``work`` in a transaction of its own, commit it and return what ``work`` returned.

    If another commit was faster, ``work`` runs again from the start, so it touches nothing but the transaction; what must
    happen only once it is durable goes to ``tx.on_commit``. What ``work`` raises ends it, and nothing is stored.
    """
    while True:
        tx = await store.begin()
        result = await work(tx)
        try:
            await tx.commit()
        except TransactionConflict:
            continue
        return result
