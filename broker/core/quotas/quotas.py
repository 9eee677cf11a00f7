"""This worker's copy of the quotas, and the gate that a request passes before its token is looked at."""

import math
import time
from collections.abc import Callable
from typing import Any, Protocol

from broker.audit.table import AuditTable
from broker.core.devices import TABLE as AUDIT_TABLE
from broker.core.quotas.book import Book, Limit
from broker.core.quotas.records import COUNT, RATE, TABLE, QuotaConfig, QuotaRule, QuotaTable
from broker.core.requests import Request
from broker.core.routing import Route
from broker.core.tenants import Tenant
from broker.plugin.errors import QuotaExceeded
from broker.storage.transaction import Transaction

SECOND = 1_000_000_000


class Rates(Protocol):
    """Counts of calls, shared by the workers of a node (``broker.server.ratetable.RateTable``)."""

    def take(self, name: str, *, limit: int, interval: int, block: int, now: int) -> Any: ...


class RateLimited(QuotaExceeded):
    """A rate limit is used up. Not audited unless ``enable_rate_limit_audit_logging`` asks for it: there may be many."""


class Quotas:
    """Rules as of the last look at the table, and the counters behind them.

    Whoever saves the quotas saves the audit table anew too (``save_table``). Every request's way rests on that table, so
    a change is seen by the next request of every worker, and a server without quotas pays nothing for them.
    """

    def __init__(self, root: Tenant, rates: Rates, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._root = root
        self._rates = rates
        self._clock = clock
        self._mark: object = self
        self._table: QuotaTable | None = None
        self.config = QuotaConfig()
        self.rates = Book(())
        self.counts = Book(())

    async def follow(self, root_tx: Transaction) -> None:
        """Take over the stored quotas if they may have changed since the last look."""
        mark = await root_tx.load(AUDIT_TABLE, AuditTable)
        if mark is self._mark:
            return
        latest = await self._root.store.begin()
        table = await latest.load(TABLE, QuotaTable)
        if table is not self._table:
            known = table or QuotaTable()
            self._table, self.config = table, known.config
            self.rates = Book(rule for rule in known.rules if rule.type == RATE)
            self.counts = Book(rule for rule in known.rules if rule.type == COUNT)
        self._mark = mark

    async def refresh(self) -> None:
        """As ``follow``, for work that comes with no request."""
        await self.follow(await self._root.store.begin())

    def limit_of(self, tenant: Tenant, path: str, route: Route | None) -> Limit | None:
        """Return the rate limit of a path inside ``tenant``, ``None`` for none."""
        if not self.rates or self._exempt(tenant, path):
            return None
        return self.rates.limit_of(tenant, route)

    def _exempt(self, tenant: Tenant, path: str) -> bool:
        config, whole = self.config, tenant.info.path + path
        return any(path.startswith(prefix.removesuffix("*")) for prefix in config.exempt) or any(
            whole.startswith(prefix.removesuffix("*")) for prefix in config.absolute
        )

    def admit(self, request: Request, limit: Limit, role: str = "") -> None:
        """Count a request, which may name a role, against its limit, once. Raises: RateLimited."""
        if request.counted:
            return
        request.counted = True
        rule = limit.pick(role)
        if rule is None:
            return
        taken = self._rates.take(
            f"{rule.id}/{request.connection.remote_address}",
            limit=rule.limit,
            interval=int(rule.interval * SECOND),
            block=int(rule.block_interval * SECOND),
            now=self._clock(),
        )
        if self.config.headers and taken.reset:
            request.answer_headers += (
                (b"x-ratelimit-limit", b"%d" % rule.limit),
                (b"x-ratelimit-remaining", b"%d" % taken.left),
                (b"x-ratelimit-reset", b"%d" % (taken.reset // SECOND)),
            )
        if not taken.allowed:
            # Rounded up: who comes back when told must not be told again.
            request.answer_headers += ((b"retry-after", b"%d" % math.ceil(taken.wait / SECOND)),)
            raise RateLimited(f'request path "{request.path}": rate limit quota exceeded')


def save_table(tx: Transaction, table: QuotaTable, audited: AuditTable) -> None:
    """Store the quotas in a transaction of the root tenant, so that every worker looks at them again."""
    tx.save(TABLE, table)
    tx.save(AUDIT_TABLE, audited)


__all__ = ["QuotaRule", "Quotas", "RateLimited", "Rates", "save_table"]
