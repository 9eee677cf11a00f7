"""The service behind ``auth/token``: Vault's rules for who may make which token."""

import hmac
import math
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

import msgspec

from broker.access.batch import PREFIX as BATCH_PREFIX
from broker.access.lifetimes import Limits, grant, whole_seconds
from broker.access.policies import POLICY
from broker.access.records import PolicyRecord, TokenEntry
from broker.access.tokens import ID, MAX_DEPTH, UNREADABLE, Found, auth_of
from broker.core import childrules as rules
from broker.core import dieswith
from broker.core.entities import by_identity, recognise, refresh_groups
from broker.core.errands import engine_context
from broker.core.logins import limits_of
from broker.core.quotas.counting import take_lease
from broker.core.routing import Router
from broker.core.settings import CoreSettings
from broker.core.tenants import Tenant
from broker.core.tokenview import Located, describe, recall, remember
from broker.plugin.context import Context, Mount
from broker.plugin.engine import AuthMethod, Login
from broker.plugin.errors import InvalidRequest, PermissionDenied, Tampered
from broker.plugin.messages import Auth
from broker.plugin.secret import Secret
from broker.plugin.services import NewToken
from broker.storage.due import mark_due
from broker.storage.transaction import Transaction

DENIED = "1 error occurred:\n\t* permission denied\n\n"
"""The text of a refusal by policy, which clients know from Vault."""

EXACT = ("utf-8", "surrogatepass")
"""How what may be no proper text is turned into bytes to compare."""

NO_RENEWAL = "batch tokens cannot be renewed"
NO_REVOCATION = "batch tokens cannot be revoked"
BAD_ACCESSOR = "1 error occurred:\n\t* invalid accessor\n\n"


RouterOf = Callable[[Tenant, Transaction], Awaitable[Router]]
"""Gives the mounts of a tenant, as a transaction on it sees them."""


def home_of(tenant: Tenant, token: str) -> Tenant | None:
    """Return the tenant that a token names by its suffix: ``tenant`` or one above it, else ``None``."""
    suffix = token.removeprefix("hvs.").removeprefix("hvb.").partition(".")[2] or "root"
    home: Tenant | None = tenant
    while home is not None and home.info.id != suffix:
        home = home.parent
    return home


class TokenService:
    """``Tokens`` for one tenant. Every method joins the request's transaction."""

    def __init__(self, tenant: Tenant, settings: CoreSettings, router_of: RouterOf) -> None:
        self._tenant = tenant
        self._router_of = router_of
        self._store = tenant.tokens
        self._settings = settings

    def _limits(self, ctx: Context) -> Limits:
        return self._limits_at(ctx.mount)

    def _limits_at(self, mount: Mount) -> Limits:
        return limits_of(
            mount, default_ttl=self._settings.default_lease_ttl, max_ttl=self._settings.max_lease_ttl
        )

    def max_ttl(self, ctx: Context) -> timedelta:
        return timedelta(seconds=self._limits(ctx).max_ttl)

    async def _caller(self, ctx: Context) -> Found:
        """Return the calling token, which belongs to this tenant. Raises: PermissionDenied."""
        entry = await ctx.transaction.load(ID + ctx.caller.token_hash, TokenEntry)
        if entry is None:
            raise PermissionDenied
        return Found(ctx.caller.token_hash, entry)

    async def _find(self, ctx: Context, token: Secret[str] | None) -> Located | None:
        """Find a token of this tenant or of one above it; ``None`` asks for the caller's own."""
        wanted = token if token is not None else ctx.token
        if wanted is None:
            return None
        text = wanted.reveal()
        home = home_of(self._tenant, text)
        if home is None:
            return None
        own = home is self._tenant
        tx: Transaction = ctx.transaction if own else await home.store.begin()
        if _is_batch(wanted):
            found = await home.tokens.lookup(tx, text, ctx.now)
            mine = own or (ctx.token is not None and ctx.token.reveal() == text)
            return None if found is None or not mine else Located(found, home, tx, own)
        name = await home.tokens.name_of(tx, text)
        if not own and name != ctx.caller.token_hash:
            return None  # another's token in a namespace above is none of a child's business
        if name == ctx.caller.token_hash:
            # The caller's last use leaves its entry spent, yet this request is still it.
            entry = await tx.load(ID + name, TokenEntry)
        else:
            entry = await home.tokens.alive(tx, name, ctx.now)
        return None if entry is None else Located(Found(name, entry), home, tx, own)

    async def create(self, ctx: Context, wanted: NewToken, *, orphan: bool = False) -> Auth:
        tx: Transaction = ctx.transaction
        sudo, role = ctx.sudo, wanted.role
        home = ctx.caller.namespace
        if _is_batch(ctx.token):
            raise InvalidRequest("batch tokens cannot create more tokens")
        # A caller from a namespace above cannot be a parent here: it makes orphans, as powerful as it is told to make them.
        caller = await self._caller(ctx) if home is None or home.uuid == self._tenant.info.uuid else None
        if caller is not None and caller.entry.num_uses:
            raise InvalidRequest("restricted use token cannot generate child tokens")
        batch = rules.is_batch(wanted)
        rules.check_alias(wanted)
        custom = None if wanted.id is None else rules.custom_id(wanted.id.reveal(), sudo=sudo)
        policies = rules.policies_of(wanted, caller, sudo=sudo)
        if role is None and wanted.no_parent and not orphan and not sudo:
            raise InvalidRequest("root or sudo privileges required to create orphan token")
        alone = orphan or (wanted.no_parent if role is None else role.orphan)
        parent = None if alone else caller
        made = None if batch else await self._store.fresh(tx, custom=custom)
        entry = rules.new_entry(
            ctx,
            wanted,
            caller,
            policies,
            limits=self._limits(ctx),
            parent="" if parent is None else parent.hash,
            accessor="" if made is None else made.accessor,
            sudo=sudo,
        )
        entry = await self._placed(ctx, entry, parent, wanted)
        if custom is not None and made is not None and await self._store.taken(tx, made):
            raise InvalidRequest("cannot create a token with a duplicate ID")
        if parent is not None:
            await self._check_depth(tx, parent)
        if entry.expires_at and not batch:
            permit = await take_lease(self._tenant, tx, ctx.mount, ctx.path)
            entry = msgspec.structs.replace(entry, permit=permit)
        token = self._store.mint(tx, entry, made)
        for name in entry.policies:
            if name != "root" and await tx.load(POLICY + name, PolicyRecord) is None:
                ctx.warn(f'Policy "{name}" does not exist')
        return await self._announced(tx, entry, auth_of(entry, token, policies=entry.policies))

    async def _placed(
        self, ctx: Context, entry: TokenEntry, parent: Found | None, wanted: NewToken
    ) -> TokenEntry:
        """Put in whom the token is for, and where from: a child's are its parent's, unless its role says otherwise."""
        entity, networks = "", entry.bound_cidrs
        if parent is not None:
            entity = parent.entry.entity_id
            networks = networks if wanted.role is not None else parent.entry.bound_cidrs
        if wanted.entity_alias:
            login = Auth(alias=wanted.entity_alias.lower())
            await recognise(self._tenant, ctx.transaction, login, ctx.mount, ctx)
            entity = login.entity_id
        return msgspec.structs.replace(entry, entity_id=entity, bound_cidrs=networks)

    async def _announced(self, tx: Transaction, entry: TokenEntry, auth: Auth) -> Auth:
        """Fill in what the token's entity adds to it, and when it dies with an ancestor."""
        ends = await self._store.horizon(tx, entry)
        if ends < (entry.expires_at or math.inf):
            auth.expires_at, auth.capped_by = ends, "parent"
        auth.identity_policies = await by_identity(tx, entry)
        auth.policies = tuple(sorted({*entry.policies, *auth.identity_policies}))
        return auth

    async def _check_depth(self, tx: Transaction, parent: Found) -> None:
        depth, above = 1, parent.entry.parent
        while above and depth <= MAX_DEPTH:
            entry = await tx.load(ID + above, TokenEntry)
            above = "" if entry is None or entry.severed else entry.parent
            depth += 1
        if depth > MAX_DEPTH:
            raise InvalidRequest(f"the token has {MAX_DEPTH} ancestors; create an orphan instead")

    async def lookup(self, ctx: Context, token: Secret[str] | None) -> Mapping[str, Any]:
        if token is None and (told := recall(self._tenant, ctx)) is not None:
            return told
        wanted = token if token is not None else ctx.token
        located = await self._find(ctx, wanted)
        if located is None or wanted is None:
            raise PermissionDenied("bad token")
        answer = await describe(located, wanted.reveal(), ctx)
        return answer if token is not None else remember(self._tenant, ctx, located.found.entry, answer)

    async def lookup_accessor(self, ctx: Context, accessor: str) -> Mapping[str, Any]:
        return await describe(await self._by_accessor(ctx, accessor), "", ctx)

    async def _by_accessor(self, ctx: Context, accessor: str) -> Located:
        """Raises: InvalidRequest if the accessor refers to no live token."""
        found = await self._store.by_accessor(ctx.transaction, accessor, ctx.now)
        if found is None:
            raise InvalidRequest(BAD_ACCESSOR)
        return Located(found, self._tenant, ctx.transaction, True)

    async def dies_with(
        self,
        ctx: Context,
        token: Secret[str] | None,
        accessor: str,
        *,
        after: str = "",
        limit: int | None = None,
    ) -> Mapping[str, Any]:
        if token is not None and accessor:
            raise InvalidRequest("name a token or an accessor, not both")
        if not ctx.sudo and not await self._is_callers(ctx, token, accessor):
            raise PermissionDenied(
                DENIED
            )  # before it is looked up: a guess must not learn whether it was right
        located = await (self._by_accessor(ctx, accessor) if accessor else self._find(ctx, token))
        if located is None:
            raise PermissionDenied("bad token")
        return await dieswith.page(located, ctx, after, limit)

    async def _is_callers(self, ctx: Context, token: Secret[str] | None, accessor: str) -> bool:
        """Tell whether a token, an accessor, or neither means the calling token."""
        if accessor:
            return await self._store.hash_of(ctx.transaction, accessor) == ctx.caller.token_hash
        if token is None or ctx.token is None:
            return token is None
        return hmac.compare_digest(token.reveal().encode(*EXACT), ctx.token.reveal().encode(*EXACT))

    async def renew(self, ctx: Context, token: Secret[str] | None, increment: timedelta) -> Auth:
        wanted = token if token is not None else ctx.token
        located = await self._find(ctx, wanted)
        if located is None:
            raise InvalidRequest("token not found")
        return await self._renew(ctx, located, wanted, increment)

    async def renew_accessor(self, ctx: Context, accessor: str, increment: timedelta) -> Auth:
        return await self._renew(ctx, await self._by_accessor(ctx, accessor), None, increment)

    async def _renew(
        self, ctx: Context, located: Located, token: Secret[str] | None, increment: timedelta
    ) -> Auth:
        entry = located.found.entry
        if entry.type == "batch":
            raise InvalidRequest(NO_RENEWAL)
        if not entry.renewable or not entry.expires_at:
            raise InvalidRequest("lease is not renewable")
        mount, judged = await self._judged(ctx, located)
        period, ceiling = entry.period, entry.explicit_max_ttl
        wanted, max_ttl = entry.granted_ttl or entry.ttl, entry.max_ttl
        if judged is not None:
            by_method = whole_seconds(judged.period)
            period = _least(period, by_method) if entry.role else by_method or period
            ceiling = _least(ceiling, whole_seconds(judged.explicit_max_ttl))
            wanted = whole_seconds(judged.ttl) or wanted
            max_ttl = whole_seconds(judged.max_ttl) or max_ttl
        granted = grant(
            rules.seconds(increment, "increment must be positive") or wanted,
            limits=self._limits_at(mount),
            max_ttl=max_ttl,
            period=period,
            explicit_max_ttl=ceiling,
            age=int(ctx.now) - entry.created_at,
        )
        for sentence in granted.warnings:
            ctx.warn(sentence)
        new = msgspec.structs.replace(
            entry,
            expires_at=ctx.now + granted.ttl,
            renewed_at=int(ctx.now),
            granted_ttl=granted.ttl,
            capped_by=rules.limit_name(granted, mount),
        )
        located.tenant.tokens.update(located.tx, located.found.hash, entry, new)
        await located.settle()
        auth = await self._announced(located.tx, new, auth_of(new, token, policies=entry.policies))
        auth.lease_duration = granted.ttl
        auth.orphan = await located.tenant.tokens.is_orphan(located.tx, entry)
        if token is None:
            auth.client_token = Secret("")
        return auth

    async def _judged(self, ctx: Context, located: Located) -> tuple[Mount, Auth | None]:
        """Ask the auth method that made a token about its renewal. Raises: InvalidRequest if it is gone; what it raises."""
        entry = located.found.entry
        router = await self._router_of(located.tenant, located.tx)
        mount = router.mount_of(entry.path)
        if mount is None or mount.table != "auth" or mount.tainted:
            raise InvalidRequest("the auth method that made this token is gone, not renewing")
        method = router.engine_of(mount)
        if not isinstance(method, AuthMethod):
            return mount, None
        context = engine_context(located.tenant, mount, located.tx, ctx.now)
        context.connection = (
            ctx.connection
        )  # a certificate's token is renewed over a connection that shows it
        login = Login(entry.alias, entry.policies, entry.meta or {}, entry.internal or {})
        judged = await method.renew_login(context, login)
        for sentence in context.warnings:
            ctx.warn(sentence)
        if judged is not None and judged.alias:
            await refresh_groups(located.tx, entry.entity_id, mount, judged.group_aliases)
        return mount, judged

    async def revoke(self, ctx: Context, token: Secret[str] | None) -> bool:
        located = await self._revocable(ctx, token)
        if located is None:
            return False
        await located.tenant.tokens.revoke(located.tx, located.found.hash, now=ctx.now)
        await located.settle()
        return True

    async def _revocable(self, ctx: Context, token: Secret[str] | None) -> Located | None:
        try:
            located = await self._find(ctx, token)
        except Tampered:
            located = await self._unreadable(ctx, token)
        if located is not None and located.found.entry.type == "batch":
            raise InvalidRequest(NO_REVOCATION)
        return located

    async def _unreadable(self, ctx: Context, token: Secret[str] | None) -> Located:
        """Locate a token of this tenant whose entry, or an ancestor's, does not open: all that is left is to end it."""
        if token is None or _is_batch(token):
            raise PermissionDenied
        name = await self._store.name_of(ctx.transaction, token.reveal())
        return Located(Found(name, UNREADABLE), self._tenant, ctx.transaction, True)

    async def revoke_accessor(self, ctx: Context, accessor: str) -> bool:
        tx, name = ctx.transaction, await self._store.hash_of(ctx.transaction, accessor)
        try:
            if await self._store.alive(tx, name, ctx.now) is None:
                return False
        except Tampered:
            pass  # it does not open, and is ended all the same
        await self._store.revoke(tx, name, now=ctx.now)
        return True

    async def revoke_orphan(self, ctx: Context, token: Secret[str]) -> bool:
        located = await self._revocable(ctx, token)
        if located is None:
            return False
        await located.tenant.tokens.sever(located.tx, located.found.hash, now=ctx.now)
        await located.settle()
        return True

    async def tidy(self, ctx: Context) -> None:
        mark_due(ctx.transaction, ctx.now, "tidy", "")

    async def accessors(self, ctx: Context, *, after: str = "", limit: int | None = None) -> list[str]:
        tx: Transaction = ctx.transaction
        names: list[str] = []
        unreadable: set[str] = set()
        for name in await tx.list(ID, after="", limit=None):
            try:
                entry = await self._store.alive(tx, name, ctx.now)
            except Tampered as error:
                unreadable.add(f"{error}; tidying the tokens ends what cannot be shown")
                continue
            if entry is not None:
                names.append(entry.accessor)
        for sentence in sorted(unreadable):
            ctx.warn(sentence)
        names.sort()
        kept = [name for name in names if name > after] if after else names
        return kept[:limit] if limit else kept


def _is_batch(token: Secret[str] | None) -> bool:
    return token is not None and token.reveal().startswith(BATCH_PREFIX)


def _least(*limits: int) -> int:
    """Return the least of some limits, of which zero is none."""
    return min((limit for limit in limits if limit), default=0)
