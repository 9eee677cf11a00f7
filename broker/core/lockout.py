"""Locking names out after repeated failure, counted in the tenant's own store so that all workers and restarts know.

Layout in the tenant's store. ``<name>`` is a keyed hash of the mount's accessor and the alias, ``<source>`` one of where
the login came from, or ``any``::

    sys/lockout/count/<name>/<source>               FailureEntry
    sys/lockout/locked/<accessor>/<name>/<source>   LockedEntry, while it is locked out
    sys/due/<time>/lockout-<name>/<source>          when to forget it

A failure is counted in a transaction of its own, because the request that failed stores nothing. Names that do not exist
are counted like those that do: whether a name is locked out must not tell that it exists.

Source: Vault's ``user_lockout`` stanza and ``user_lockout_config`` of a mount.
"""

import asyncio
import random
from typing import Any

import msgspec

from broker.access.records import DueEntry
from broker.access.tokens import due_path
from broker.core.settings import CoreSettings, LockoutRules
from broker.core.tenants import Tenant
from broker.plugin.context import Context, Mount
from broker.plugin.errors import PermissionDenied
from broker.storage.errors import TransactionConflict
from broker.storage.transaction import Transaction

COUNT = "sys/lockout/count/"
LOCKED = "sys/lockout/locked/"
KIND = "lockout"
METHODS = ("userpass", "ldap", "approle")
"""Auth methods whose names are guessed against, and so counted."""


class FailureEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """Failed logins of one name at one mount. ``until`` (Unix seconds) they count, or lock; ``due`` is when to look again."""

    accessor: str
    count: int
    until: float
    due: float
    v: int = 1
    locked: bool = False


class LockedEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A name that is locked out until a Unix time, for those who may list it."""

    alias: str
    until: float
    v: int = 1
    source: str = ""


class LockoutService:
    """``Lockout`` for one tenant."""

    def __init__(self, tenant: Tenant, settings: CoreSettings) -> None:
        self._tenant = tenant
        self._settings = settings

    async def guard(self, ctx: Context, name: str, source: str = "") -> None:
        if rules_of(ctx.mount, self._settings).disabled:
            return
        # Read by the request itself: of many guesses sent at once, none that comes too late can be stored.
        tx = _joined(ctx)
        entry = await tx.load(COUNT + await self._name(tx, ctx.mount, name, source), FailureEntry)
        if entry is not None and entry.locked and ctx.now < entry.until:
            raise PermissionDenied

    async def failed(self, ctx: Context, name: str, source: str = "") -> None:
        rules = rules_of(ctx.mount, self._settings)
        while not rules.disabled:
            tx = await self._tenant.store.begin()
            await self._count(tx, rules, ctx, name, source)
            try:
                await tx.commit()
            except TransactionConflict:
                await asyncio.sleep(random.random() * 0.002)  # noqa: S311 - spreads retries
                continue
            return

    async def _count(
        self, tx: Transaction, rules: LockoutRules, ctx: Context, alias: str, source: str
    ) -> None:
        accessor, now = ctx.mount.accessor, ctx.now
        name = await self._name(tx, ctx.mount, alias, source)
        entry = await tx.load(COUNT + name, FailureEntry)
        live = entry is not None and now < entry.until
        if live and entry is not None and entry.locked:
            return
        count = (entry.count if live and entry is not None else 0) + 1
        locked = count >= rules.threshold
        until = now + (rules.duration if locked else rules.counter_reset)
        # The time to look at it is entered once, and moved on by the steward: a failure costs one entry, not three.
        due = entry.due if entry is not None else until
        if entry is None:
            tx.save(due_path(due, KIND, name), DueEntry(KIND, name))
        tx.save(COUNT + name, FailureEntry(accessor, count, until, due, locked=locked))
        if locked:
            tx.save(f"{LOCKED}{accessor}/{name}", LockedEntry(alias, until, source=source))

    async def succeeded(self, ctx: Context, name: str, source: str = "") -> None:
        if rules_of(ctx.mount, self._settings).disabled:
            return
        tx = _joined(ctx)
        key = await self._name(tx, ctx.mount, name, source)
        entry = await tx.load(COUNT + key, FailureEntry)
        if entry is not None:
            _forget(tx, key, entry)

    async def _name(self, tx: Transaction, mount: Mount, alias: str, source: str) -> str:
        return await name_of(self._tenant, tx, mount.accessor, alias, source)


async def name_of(tenant: Tenant, tx: Transaction, accessor: str, alias: str, source: str = "") -> str:
    """Return where the failures of an alias are kept: two keyed hashes, so that a store's paths show no names."""
    name = await tenant.tokens.hash_of(tx, f"lockout\0{accessor}\0{alias}")
    return f"{name}/{await tenant.tokens.hash_of(tx, f'lockout from {source}')}" if source else f"{name}/any"


async def clear(tx: Transaction, name: str, *, now: float) -> None:
    """Forget failures whose time has come; where more were counted since, look again when theirs has."""
    entry = await tx.load(COUNT + name, FailureEntry)
    if entry is None:
        return
    if entry.until <= now:
        _forget(tx, name, entry)
        return
    tx.save(COUNT + name, msgspec.structs.replace(entry, due=entry.until))
    tx.save(due_path(entry.until, KIND, name), DueEntry(KIND, name))


async def unlock(tenant: Tenant, tx: Transaction, accessor: str, alias: str) -> None:
    """Let an alias log in again, from wherever it was locked out. Unlocking what is not locked is allowed."""
    name = (await name_of(tenant, tx, accessor, alias)).partition("/")[0]
    for source in await tx.list(f"{COUNT}{name}/"):
        entry = await tx.load(f"{COUNT}{name}/{source}", FailureEntry)
        if entry is not None:
            _forget(tx, f"{name}/{source}", entry)


def _forget(tx: Transaction, name: str, entry: FailureEntry) -> None:
    tx.delete(COUNT + name)
    tx.delete(due_path(entry.due, KIND, name))
    if entry.locked:
        tx.delete(f"{LOCKED}{entry.accessor}/{name}")


def rules_of(mount: Mount, settings: CoreSettings) -> LockoutRules:
    """Return the rules of a mount: as tuned, else as configured for its type, else for all, else Vault's defaults."""
    known = settings.user_lockout.get(mount.type) or settings.user_lockout.get("all") or LockoutRules()
    tuned: dict[str, Any] = mount.config.user_lockout_config or {}
    return LockoutRules(
        threshold=int(tuned.get("threshold") or known.threshold),
        duration=float(tuned.get("duration") or known.duration),
        counter_reset=float(tuned.get("counter_reset") or known.counter_reset),
        disabled=settings.user_lockout_disabled
        or mount.type not in METHODS
        or bool(tuned.get("disabled", known.disabled)),
    )


def _joined(ctx: Context) -> Transaction:
    """Return the request's own transaction, whose window on the mount a handler was given."""
    view: Any = ctx.storage
    tx: Transaction = view.transaction
    return tx


__all__ = ["KIND", "METHODS", "LockedEntry", "LockoutService", "clear", "name_of", "rules_of", "unlock"]
