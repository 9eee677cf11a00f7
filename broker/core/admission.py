"""Who asks for what, and may they: from a request to a route, a session and a decision.

What a request's namespace, path and token stand for is worked out from a few stored records. The result is kept together
with what was read, and used again as long as every one of those reads still holds: exact, and a handful of compares
instead of a dozen look-ups. A reused result joins the request's preconditions as if it had been read anew.
"""

import time
from collections.abc import Callable

import msgspec

from broker.access.policy.acl import ACL
from broker.access.records import TokenEntry
from broker.access.tokens import ID as TOKEN_ID
from broker.access.tokens import Found
from broker.core.entities import standing_of
from broker.core.quotas.book import Limit
from broker.core.requests import Request
from broker.core.routing import Route
from broker.core.runtime import Runtime
from broker.core.tenants import Tenant
from broker.core.tokens import home_of
from broker.core.transact import transact
from broker.plugin.context import Caller
from broker.plugin.errors import PermissionDenied
from broker.storage.cache import Entry
from broker.storage.errors import TransactionConflict
from broker.storage.tenant import TenantStore
from broker.storage.transaction import Transaction

MAX_WAYS = 16_384
MAX_SESSIONS = 4096
SPENT_SECONDS = 60.0
"""How long a token that was used up stays in store for the request that took its last use."""

UNSTORED_SECONDS = 60.0
"""How long a batch token is good without being opened again: the keyring may have dropped its key."""

Reads = dict[str, Entry]


class Way:
    """Where a namespace and path lead, and what that rests on."""

    __slots__ = ("above", "limit", "path", "reads", "route", "tenant")

    def __init__(
        self,
        tenant: Tenant,
        path: str,
        route: Route | None,
        reads: Reads,
        above: tuple[tuple[TenantStore, Reads], ...],
        limit: Limit | None,
    ) -> None:
        self.tenant = tenant
        self.path = path
        self.route = route
        self.reads = reads
        self.above = above
        self.limit = limit


class Session:
    """What a token stands for, and what that rests on. ``until``: it may not be used from then on."""

    __slots__ = ("acl", "bound", "caller", "found", "home", "reads", "until")

    def __init__(
        self, home: Tenant, found: Found, acl: ACL, policies: tuple[str, ...], reads: Reads, until: float
    ) -> None:
        entry = found.entry
        self.home = home
        self.found = found
        self.bound = bool(entry.bound_cidrs)
        self.acl = acl
        self.reads = reads
        self.until = until
        self.caller = Caller(
            accessor=entry.accessor,
            display_name=entry.display_name,
            policies=policies,
            entity_id=entry.entity_id,
            token_hash=found.hash,
            root=entry.root,
            namespace=home.info,
        )


class Admission:
    """Ways and sessions, kept in the runtime and in each tenant, so that sealing drops them."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def now(self) -> float:
        """Return the time by the node's clock, in Unix seconds."""
        return self._clock()

    def known_way(self, runtime: Runtime, request: Request) -> tuple[Way, Transaction] | None:
        """Return where a request goes, its transaction begun, if that is known and still holds."""
        way = runtime.ways.get((request.namespace, request.path))
        if way is None:
            return None
        tx = way.tenant.store.begin_now()
        if tx is None or not tx.rely_on(way.reads):
            return None
        for store, reads in way.above:
            if not store.holds(reads):
                return None
        return way, tx

    async def way(self, runtime: Runtime, request: Request) -> tuple[Way, Transaction]:
        """Return where a request goes and begin its transaction. Raises: NotFound for an unknown namespace."""
        way = runtime.ways.get((request.namespace, request.path))
        if way is not None:
            await way.tenant.store.begin()  # hears the news
            known = self.known_way(runtime, request)
            if known is not None:
                return known
        return await self._find_way(runtime, request)

    async def _find_way(self, runtime: Runtime, request: Request) -> tuple[Way, Transaction]:
        resolved = await runtime.tenants.resolve(request.namespace, request.path)
        tenant, tx = resolved.tenant, resolved.tx
        root_tx = resolved.above[0][1] if resolved.above else tx
        await runtime.devices.follow(root_tx)
        await runtime.quotas.follow(root_tx)
        router = await runtime.tenants.router(tenant, tx)
        above = tuple((store, passed.observed()) for store, passed in resolved.above)
        route = router.route(resolved.path)
        limit = runtime.quotas.limit_of(tenant, resolved.path, route)
        way = Way(tenant, resolved.path, route, tx.observed(), above, limit)
        if len(runtime.ways) >= MAX_WAYS:
            runtime.ways.clear()
        runtime.ways[request.namespace, request.path] = way
        return way, tx

    def known_session(self, request: Request, way: Way, tx: Transaction, now: float) -> Session | None:
        """Return what the request's token stands for, if that is known and still holds at ``now`` (Unix seconds)."""
        if request.token is None:
            return None
        tenant = way.tenant
        session = tenant.sessions.get(request.token.reveal())
        if session is None or now >= session.until:
            return None
        if session.bound and not session.found.entry.usable_from(request.connection.remote_address):
            return None
        if session.home is tenant:
            return session if tx.rely_on(session.reads) else None
        return session if session.home.store.holds(session.reads) else None

    async def session(self, request: Request, way: Way, tx: Transaction, *, spend: bool = True) -> Session:
        """Work out what the request's token stands for, in its namespace or one above. Raises: PermissionDenied.

        Without ``spend`` a limited token keeps its uses: for paths that only say what a token would reach.
        """
        if request.token is None:
            raise PermissionDenied
        return await self._open_session(request, way.tenant, tx, request.token.reveal(), spend=spend)

    async def _open_session(
        self, request: Request, tenant: Tenant, tx: Transaction, text: str, *, spend: bool
    ) -> Session:
        home = home_of(tenant, text)
        if home is None:
            raise PermissionDenied
        # A transaction of its own tells what the session rests on, apart from what the request reads.
        own = await home.store.begin()
        found = await self._look_up(request, home, own, text, spend=spend)
        standing = await standing_of(home, own, found.entry)
        names = tuple(sorted({*found.entry.policies, *standing.policies}))
        acl = await home.policies.acl(own, names, standing.person)
        until = await home.tokens.horizon(own, found.entry)
        if found.entry.type == "batch":
            until = min(until, self._clock() + UNSTORED_SECONDS)
        found = Found(found.hash, found.entry, standing.policies)
        session = Session(home, found, acl, names, own.observed(), until)
        if home is tenant and not tx.rely_on(session.reads):
            raise TransactionConflict
        if not found.entry.num_uses:
            if len(tenant.sessions) >= MAX_SESSIONS:
                tenant.sessions.clear()
            tenant.sessions[text] = session
        return session

    async def _look_up(
        self, request: Request, home: Tenant, tx: Transaction, text: str, *, spend: bool
    ) -> Found:
        """Return the live token; of a limited one, take a use first. Raises: PermissionDenied."""
        if not request.spent:
            found = await home.tokens.lookup(tx, text, self._clock())
            if found is None or not found.entry.usable_from(request.connection.remote_address):
                raise PermissionDenied
            if not (spend and found.entry.num_uses):
                return found
            await self._spend(home, found)
            request.spent = found.hash
            await tx.reset()  # what follows must not rest on the entry as it was before
        entry = await tx.load(TOKEN_ID + request.spent, TokenEntry)
        if entry is None or entry.revoked:
            raise PermissionDenied
        return Found(request.spent, entry)

    async def _spend(self, home: Tenant, found: Found) -> None:
        """Take one use off a limited token, durably, before the request has any effect."""

        async def spend(tx: Transaction) -> None:
            now = self._clock()
            entry = await home.tokens.alive(tx, found.hash, now)
            if entry is None or entry.num_uses <= 0:
                raise PermissionDenied
            # The last use leaves -1: dead for every later request, alive for the one that took it.
            left = entry.num_uses - 1 or -1
            ends = entry.expires_at
            if left < 0:
                ends = min(ends or now + SPENT_SECONDS, now + SPENT_SECONDS)
            new = msgspec.structs.replace(entry, num_uses=left, expires_at=ends)
            home.tokens.update(tx, found.hash, entry, new)

        await transact(home.store, spend)


def lead(tenant: Tenant, home: Tenant) -> str:
    """Return the path of ``tenant`` as seen from ``home``: what policies of ``home`` put before a path in it."""
    return "" if home is tenant else tenant.info.path[len(home.info.path) :]


__all__ = ["Admission", "Session", "Way", "lead"]
