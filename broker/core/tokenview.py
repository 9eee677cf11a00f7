"""What is told of a token that was looked up."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from broker.access.records import TokenEntry
from broker.access.tokens import Found
from broker.core.entities import by_identity
from broker.core.tenants import Tenant
from broker.plugin.context import Caller, Context
from broker.plugin.settled import Settled
from broker.storage.transaction import Transaction


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


MAX_TOLD = 1024
"""Answers kept in a tenant; beyond that all are dropped."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a token was told of itself: true for the same caller, as long as the seconds left are the same."""

    caller: Caller
    ends: float
    answer: Settled


def recall(tenant: Tenant, ctx: Context) -> Settled | None:
    """Return what the calling token was told last, if it is still so.

    One ``Caller`` object stands for one session, which ends with whatever it rests on: the token's entry, its
    ancestors', its entity and groups.
    """
    told = tenant.told.get(ctx.caller.token_hash)
    if told is None or told.caller is not ctx.caller or told.answer["ttl"] != _left(told.ends, ctx.now):
        return None
    return told.answer


def remember(tenant: Tenant, ctx: Context, entry: TokenEntry, answer: dict[str, Any]) -> Settled:
    """Keep what the calling token is told of itself. A token of limited use is another one with each use."""
    settled = Settled(answer)
    if ctx.caller.token_hash and not entry.num_uses:
        if len(tenant.told) >= MAX_TOLD:
            tenant.told.clear()
        tenant.told[ctx.caller.token_hash] = Told(ctx.caller, entry.expires_at, settled)
    return settled


def _left(ends: float, now: float) -> int:
    """Return the whole seconds until ``ends``; 0 for a token without end."""
    return max(int(ends - now), 0) if ends else 0


async def describe(located: Located, token: str, ctx: Context) -> dict[str, Any]:
    """Return what a lookup answers. ``token`` is empty where it is not to be shown."""
    entry = _unspent(located.found.entry)
    about: dict[str, Any] = {
        "accessor": entry.accessor,
        "creation_time": entry.created_at,
        "creation_ttl": entry.ttl,
        "display_name": entry.display_name,
        "entity_id": entry.entity_id,
        "expire_time": instant(entry.expires_at),
        "explicit_max_ttl": entry.explicit_max_ttl,
        "id": token,
        "issue_time": entry.issue_time,
        "meta": entry.meta,
        "num_uses": entry.num_uses,
        "orphan": await located.tenant.tokens.is_orphan(located.tx, entry),
        "path": entry.path,
        "policies": list(entry.policies),
        "renewable": entry.renewable,
        "ttl": _left(entry.expires_at, ctx.now),
        "type": entry.type,
        **await _ending(located, entry),
    }
    if entry.role:
        about["role"] = entry.role
    if entry.bound_cidrs:
        about["bound_cidrs"] = [network.removesuffix("/32") for network in entry.bound_cidrs]
    policies = await by_identity(located.tx, entry)
    if policies:
        about["identity_policies"] = list(policies)
        about["external_namespace_policies"] = {}
    if entry.period:
        about["period"] = entry.period
    if entry.renewed_at:
        about["last_renewal"] = instant(entry.renewed_at)
        about["last_renewal_time"] = entry.renewed_at
    if ctx.namespace.path:
        about["namespace_path"] = ctx.namespace.path
    return about


async def _ending(located: Located, entry: TokenEntry) -> dict[str, Any]:
    """Say when a token dies, by itself or with an ancestor, and what made that earlier than was asked for."""
    ends = await located.tenant.tokens.horizon(located.tx, entry)
    if ends == math.inf:
        return {"expires_at": None, "capped_by": ""}
    by_parent = ends < (entry.expires_at or math.inf)
    return {"expires_at": instant(ends), "capped_by": "parent" if by_parent else entry.capped_by}


def _unspent(entry: TokenEntry) -> TokenEntry:
    """Return a token as it was before its last use was taken, which keeps it in store for a minute only."""
    if entry.num_uses >= 0 or not entry.ttl:
        return entry
    return msgspec.structs.replace(entry, expires_at=entry.created_at + entry.ttl)


def instant(when: float) -> str | None:
    """Return a time in Unix seconds as RFC 3339, and ``None`` for zero."""
    return datetime.fromtimestamp(when, UTC).isoformat().replace("+00:00", "Z") if when else None
