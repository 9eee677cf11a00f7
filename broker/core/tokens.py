"""The service behind ``auth/token``: Vault's rules for who may make which token."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from broker.access.policies import POLICY
from broker.access.records import DueEntry, PolicyRecord, TokenEntry
from broker.access.tokens import (
    ID,
    MAX_DEPTH,
    Found,
    Limits,
    auth_of,
    due_path,
    grant,
    issue_time,
    whole_seconds,
)
from broker.core.entities import by_identity
from broker.core.logins import limits_of
from broker.core.quotas.counting import take_lease
from broker.core.records import MOUNTS, MountTable
from broker.core.settings import CoreSettings
from broker.core.tenants import Tenant
from broker.plugin.context import Context, Mount
from broker.plugin.errors import InvalidRequest, PermissionDenied
from broker.plugin.messages import Auth
from broker.plugin.names import policy_names
from broker.plugin.secret import Secret
from broker.plugin.services import NewToken
from broker.storage.transaction import Transaction

_DISPLAY = re.compile(r"[^a-zA-Z0-9-]", re.ASCII)
_CUSTOM_ID = re.compile(r"[\x21-\x7e]{1,256}", re.ASCII)
DENIED = "1 error occurred:\n\t* permission denied\n\n"
"""The text of a refusal by policy, which clients know from Vault."""

UNASSIGNABLE = frozenset(("response-wrapping",))
"""Policies that only the server itself gives out."""

BAD_ACCESSOR = "1 error occurred:\n\t* invalid accessor\n\n"


@dataclass(frozen=True, slots=True)
class Located:
    """A token that was found, its tenant, and the transaction to change it in."""

    found: Found
    tenant: Tenant
    tx: Transaction
    own: bool

    async def settle(self) -> None:
        """Commit a change to a token of a namespace above, which the request's own transaction cannot carry."""
        if not self.own:
            await self.tx.commit()


def home_of(tenant: Tenant, token: str) -> Tenant | None:
    """Return the tenant that a token names by its suffix: ``tenant`` or one above it, else ``None``."""
    suffix = token.removeprefix("hvs.").partition(".")[2] or "root"
    home: Tenant | None = tenant
    while home is not None and home.info.id != suffix:
        home = home.parent
    return home


class TokenService:
    """``Tokens`` for one tenant. Every method joins the request's transaction."""

    def __init__(self, tenant: Tenant, settings: CoreSettings) -> None:
        self._tenant = tenant
        self._store = tenant.tokens
        self._settings = settings

    def _limits(self, ctx: Context) -> Limits:
        return self._limits_at(ctx.mount)

    def _limits_at(self, mount: Mount) -> Limits:
        return limits_of(
            mount, default_ttl=self._settings.default_lease_ttl, max_ttl=self._settings.max_lease_ttl
        )

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
        name = await home.tokens.hash_of(tx, text)
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
        sudo = ctx.sudo
        home = ctx.caller.namespace
        # A caller from a namespace above cannot be a parent here: it makes orphans, as powerful as it is told to make them.
        caller = await self._caller(ctx) if home is None or home.uuid == self._tenant.info.uuid else None
        if caller is not None and caller.entry.num_uses:
            raise InvalidRequest("restricted use token cannot generate child tokens")
        self._check_kind(wanted)
        custom = None if wanted.id is None else self._custom_id(wanted.id.reveal(), sudo=sudo)
        policies = self._policies(wanted, caller, sudo=sudo)
        if wanted.no_parent and not orphan and not sudo:
            raise InvalidRequest("root or sudo privileges required to create orphan token")
        parent = None if orphan or wanted.no_parent else caller
        above = "" if parent is None else parent.hash
        entry = self._entry(ctx, wanted, caller, policies, parent=above, sudo=sudo)
        if custom is not None:
            known = await self._store.taken(tx, custom)
            if known:
                raise InvalidRequest("cannot create a token with a duplicate ID")
        if parent is not None:
            await self._check_depth(tx, parent)
        if entry.expires_at:
            permit = await take_lease(self._tenant, tx, ctx.mount, ctx.path)
            entry = msgspec.structs.replace(entry, permit=permit)
        token = await self._store.mint(tx, entry, token=custom)
        for name in entry.policies:
            if name != "root" and await tx.load(POLICY + name, PolicyRecord) is None:
                ctx.warn(f'Policy "{name}" does not exist')
        return await self._announced(tx, entry, auth_of(entry, token, policies=entry.policies))

    async def _announced(self, tx: Transaction, entry: TokenEntry, auth: Auth) -> Auth:
        """Fill in what the token's entity adds to it."""
        auth.identity_policies = await by_identity(tx, entry)
        auth.policies = tuple(sorted({*entry.policies, *auth.identity_policies}))
        return auth

    def _custom_id(self, text: str, *, sudo: bool) -> str:
        if not sudo:
            raise InvalidRequest("root or sudo privileges required to specify token id")
        if text.startswith(("hvs.", "hvb.", "s.", "b.")):
            raise InvalidRequest(f"custom token ID cannot have the '{text.partition('.')[0]}.' prefix")
        if "." in text:
            raise InvalidRequest("custom token ID cannot have a '.' in the value")
        if not _CUSTOM_ID.fullmatch(text):
            raise InvalidRequest("custom token ID must be 1 to 256 printable ASCII characters")
        return text

    async def _check_depth(self, tx: Transaction, parent: Found) -> None:
        depth, above = 1, parent.entry.parent
        while above and depth <= MAX_DEPTH:
            entry = await tx.load(ID + above, TokenEntry)
            above = "" if entry is None or entry.severed else entry.parent
            depth += 1
        if depth > MAX_DEPTH:
            raise InvalidRequest(f"the token has {MAX_DEPTH} ancestors; create an orphan instead")

    def _check_kind(self, wanted: NewToken) -> None:
        if wanted.type not in ("", "service"):
            raise InvalidRequest(
                "batch tokens are not available on this server yet"
                if wanted.type == "batch"
                else "invalid 'token_type' value"
            )
        if wanted.entity_alias:
            raise InvalidRequest("'entity_alias' is only allowed in combination with token role")
        if wanted.num_uses < 0:
            raise InvalidRequest("number of uses cannot be negative")

    def _entry(
        self,
        ctx: Context,
        wanted: NewToken,
        caller: Found | None,
        policies: tuple[str, ...],
        *,
        parent: str,
        sudo: bool,
    ) -> TokenEntry:
        ttl = _seconds(wanted.ttl, "ttl must be positive")
        ceiling = _seconds(wanted.explicit_max_ttl, "explicit_max_ttl must be positive")
        period = _seconds(wanted.period, "period must be positive")
        if period and not sudo:
            raise InvalidRequest("root or sudo privileges required to create periodic token")
        root = "root" in policies
        if root and caller is not None and caller.entry.expires_at and not (ttl or period or ceiling):
            raise InvalidRequest("expiring root tokens cannot create non-expiring root tokens")
        name = "token" + (
            "-" + _DISPLAY.sub("-", wanted.display_name).removesuffix("-") if wanted.display_name else ""
        )
        lifetime = ceiling
        if ttl or period or not root:
            granted = grant(ttl, limits=self._limits(ctx), period=period, explicit_max_ttl=ceiling)
            for sentence in granted.warnings:
                ctx.warn(sentence)
            lifetime = granted.ttl
        return TokenEntry(
            accessor=self._store.new_accessor(),
            policies=policies,
            path=ctx.mount.prefix + ctx.path.rstrip("/"),
            created_at=int(ctx.now),
            parent=parent,
            display_name=name,
            meta=dict(wanted.meta) or None,
            num_uses=wanted.num_uses,
            ttl=lifetime,
            explicit_max_ttl=ceiling,
            period=period,
            expires_at=ctx.now + lifetime if lifetime else 0,
            renewable=wanted.renewable and lifetime > 0,
            issue_time=issue_time(ctx.now),
            entity_id=caller.entry.entity_id if caller is not None and parent else "",
        )

    def _policies(self, wanted: NewToken, caller: Found | None, *, sudo: bool) -> tuple[str, ...]:
        """Return the policies of a child: no more than its maker has, unless that may do anything (``sudo``)."""
        held = set() if caller is None else set(caller.entry.policies)
        asked = set(policy_names(wanted.policies, allow_root=True)) if wanted.policies else set(held)
        if not sudo and not asked <= held:
            raise InvalidRequest("child policies must be subset of parent")
        if "root" in asked:
            if "root" not in held:
                raise InvalidRequest("root tokens may not be created without parent token being root")
            return ("root",)
        forbidden = sorted(asked & UNASSIGNABLE)
        if forbidden:
            raise InvalidRequest(f'cannot assign policy "{forbidden[0]}"')
        if wanted.no_default_policy:
            asked.discard("default")
        elif (wanted.policies or caller is None) and (sudo or "default" in held):
            asked.add("default")
        return tuple(sorted(asked))

    async def lookup(self, ctx: Context, token: Secret[str] | None) -> Mapping[str, Any]:
        wanted = token if token is not None else ctx.token
        located = await self._find(ctx, wanted)
        if located is None or wanted is None:
            raise PermissionDenied("bad token")
        return await self._describe(located, wanted.reveal(), ctx)

    async def lookup_accessor(self, ctx: Context, accessor: str) -> Mapping[str, Any]:
        return await self._describe(await self._by_accessor(ctx, accessor), "", ctx)

    async def _by_accessor(self, ctx: Context, accessor: str) -> Located:
        """Raises: InvalidRequest if the accessor refers to no live token."""
        found = await self._store.by_accessor(ctx.transaction, accessor, ctx.now)
        if found is None:
            raise InvalidRequest(BAD_ACCESSOR)
        return Located(found, self._tenant, ctx.transaction, True)

    async def _describe(self, located: Located, token: str, ctx: Context) -> dict[str, Any]:
        entry = located.found.entry
        about: dict[str, Any] = {
            "accessor": entry.accessor,
            "creation_time": entry.created_at,
            "creation_ttl": entry.ttl,
            "display_name": entry.display_name,
            "entity_id": entry.entity_id,
            "expire_time": _instant(entry.expires_at),
            "explicit_max_ttl": entry.explicit_max_ttl,
            "id": token,
            "issue_time": entry.issue_time,
            "meta": entry.meta,
            "num_uses": entry.num_uses,
            "orphan": await located.tenant.tokens.is_orphan(located.tx, entry),
            "path": entry.path,
            "policies": list(entry.policies),
            "renewable": entry.renewable,
            "ttl": max(int(entry.expires_at - ctx.now), 0) if entry.expires_at else 0,
            "type": entry.type,
        }
        policies = await by_identity(located.tx, entry)
        if policies:
            about["identity_policies"] = list(policies)
            about["external_namespace_policies"] = {}
        if entry.period:
            about["period"] = entry.period
        if entry.renewed_at:
            about["last_renewal"] = _instant(entry.renewed_at)
            about["last_renewal_time"] = entry.renewed_at
        if ctx.namespace.path:
            about["namespace_path"] = ctx.namespace.path
        return about

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
        if not entry.renewable or not entry.expires_at:
            raise InvalidRequest("lease is not renewable")
        granted = grant(
            _seconds(increment, "increment must be positive") or entry.granted_ttl or entry.ttl,
            limits=await self._limits_of(ctx, located),
            max_ttl=entry.max_ttl,
            period=entry.period,
            explicit_max_ttl=entry.explicit_max_ttl,
            age=int(ctx.now) - entry.created_at,
        )
        for sentence in granted.warnings:
            ctx.warn(sentence)
        new = msgspec.structs.replace(
            entry, expires_at=ctx.now + granted.ttl, renewed_at=int(ctx.now), granted_ttl=granted.ttl
        )
        located.tenant.tokens.update(located.tx, located.found.hash, entry, new)
        await located.settle()
        auth = await self._announced(located.tx, new, auth_of(new, token, policies=entry.policies))
        auth.lease_duration = granted.ttl
        auth.orphan = await located.tenant.tokens.is_orphan(located.tx, entry)
        if token is None:
            auth.client_token = Secret("")
        return auth

    async def _limits_of(self, ctx: Context, located: Located) -> Limits:
        """Return the lifetimes of the auth method that a token came from, as it is tuned now."""
        table = await located.tx.load(MOUNTS, MountTable)
        path = located.found.entry.path
        for mount in () if table is None else table.mounts:
            if mount.table == "auth" and path.startswith(mount.prefix):
                return self._limits_at(mount)
        return self._limits_at(ctx.mount)

    async def revoke(self, ctx: Context, token: Secret[str] | None) -> bool:
        located = await self._find(ctx, token)
        if located is None:
            return False
        await located.tenant.tokens.revoke(located.tx, located.found.hash, now=ctx.now)
        await located.settle()
        return True

    async def revoke_accessor(self, ctx: Context, accessor: str) -> bool:
        found = await self._store.by_accessor(ctx.transaction, accessor, ctx.now)
        if found is None:
            return False
        await self._store.revoke(ctx.transaction, found.hash, now=ctx.now)
        return True

    async def revoke_orphan(self, ctx: Context, token: Secret[str]) -> bool:
        located = await self._find(ctx, token)
        if located is None:
            return False
        await located.tenant.tokens.sever(located.tx, located.found.hash, now=ctx.now)
        await located.settle()
        return True

    async def tidy(self, ctx: Context) -> None:
        ctx.transaction.save(due_path(ctx.now, "tidy", ""), DueEntry("tidy", ""))

    async def accessors(self, ctx: Context, *, after: str = "", limit: int | None = None) -> list[str]:
        tx: Transaction = ctx.transaction
        names: list[str] = []
        for name in await tx.list(ID, after="", limit=None):
            entry = await self._store.alive(tx, name, ctx.now)
            if entry is not None:
                names.append(entry.accessor)
        names.sort()
        kept = [name for name in names if name > after] if after else names
        return kept[:limit] if limit else kept


def _seconds(value: timedelta | None, complaint: str) -> int:
    if value is None:
        return 0
    if value < timedelta(0):
        raise InvalidRequest(complaint)
    return whole_seconds(value)


def _instant(when: float) -> str | None:
    return datetime.fromtimestamp(when, UTC).isoformat().replace("+00:00", "Z") if when else None
