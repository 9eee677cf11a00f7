"""Locking names out after repeated failure, counted in the tenant's own store so that all workers and restarts know.

Layout in the tenant's store. ``<name>`` is a keyed hash of the mount's accessor and the alias, ``<source>`` one of where
the login came from, or ``any``::

    sys/lockout/count/<name>/any                    FailureEntry of a name that somebody has, from anywhere
    sys/lockout/count/slot/<number>                 FailureEntry of any other, with its name in it
    sys/lockout/locked/<accessor>/<name>/<source>   LockedEntry, while it is locked out
    sys/due/<time>/lockout-<place>                  when to forget it; the place is what stands behind ``count/``

A failure is counted in a transaction of its own, because the request that failed stores nothing. Names that do not exist
are counted like those that do: whether a name is locked out must not tell that it exists.

Anybody can make names up, and sources too, so what is stored of them is bounded: they share ``SLOTS`` places in a tenant, by a
keyed hash that nobody can aim with. Two in one place never share a count: the later one takes it over, unless the other is locked
out, and then goes uncounted. So nobody is locked out for somebody else's failures, and no lock ends early. The price: with
hundreds of thousands of failed logins within a quarter of an hour one can find names that are never locked out, and learn that
they are nobody's, or have the count of such a name begin anew. A name that somebody has for sure has a place of its own, which no
flood reaches: it is the method's word (``real``), or it has an alias at the mount. Those are as many as there are people.

Source: Vault's ``user_lockout`` stanza and ``user_lockout_config`` of a mount.
"""

import asyncio
import hashlib
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

import msgspec

from broker.access.identity.store import entity_by_alias
from broker.core.settings import CoreSettings, LockoutRules
from broker.core.tenants import Tenant
from broker.plugin.context import Context, Mount
from broker.plugin.errors import PermissionDenied
from broker.plugin.fields import Field, binder
from broker.storage.due import mark_due, unmark_due
from broker.storage.errors import TransactionConflict
from broker.storage.transaction import Transaction

COUNT = "sys/lockout/count/"
LOCKED = "sys/lockout/locked/"
KIND = "lockout"
SLOTS = 65_536
METHODS = ("userpass", "ldap", "approle")
"""Auth methods whose names are guessed against, and so counted."""


class FailureEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """Failed logins of one name at one mount. ``until`` (Unix seconds) they count, or lock; ``due`` is when to look again.

    ``name`` is whose they are, where the place does not say: ``<name>/<source>``.
    """

    accessor: str
    count: int
    until: float
    due: float
    v: int = 1
    locked: bool = False
    name: str = ""


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
        for _, entry in await _entries(tx, await self._name(tx, ctx.mount, name, source)):
            if entry.locked and ctx.now < entry.until:
                raise PermissionDenied

    async def failed(self, ctx: Context, name: str, source: str = "", *, real: bool = False) -> None:
        rules = rules_of(ctx.mount, self._settings)
        while not rules.disabled:
            tx = await self._tenant.store.begin()
            await self._count(tx, rules, ctx, name, source, real=real)
            try:
                await tx.commit()
            except TransactionConflict:
                await asyncio.sleep(random.random() * 0.002)  # noqa: S311 - spreads retries
                continue
            return

    async def _count(
        self, tx: Transaction, rules: LockoutRules, ctx: Context, alias: str, source: str, *, real: bool
    ) -> None:
        accessor, now = ctx.mount.accessor, ctx.now
        name = await self._name(tx, ctx.mount, alias, source)
        place = await _place(tx, accessor, alias, name, real=real)
        entry = await tx.load(COUNT + place, FailureEntry)
        live = entry is not None and now < entry.until
        if live and entry is not None and entry.locked:
            return  # he is locked out already, or it is another's place until that one no longer is
        if entry is not None and entry.locked:
            tx.delete(f"{LOCKED}{entry.accessor}/{entry.name or place}")
        mine = entry is not None and (entry.name or place) == name
        count = (entry.count if live and mine and entry is not None else 0) + 1
        locked = count >= rules.threshold
        until = now + (rules.duration if locked else rules.counter_reset)
        # The time to look at it is entered once, and moved on by the steward: a failure costs one entry, not three.
        due = entry.due if entry is not None else until
        if entry is None:
            mark_due(tx, due, KIND, place)
        whose = "" if place == name else name
        tx.save(COUNT + place, FailureEntry(accessor, count, until, due, locked=locked, name=whose))
        if locked:
            tx.save(f"{LOCKED}{accessor}/{name}", LockedEntry(alias, until, source=source))

    async def succeeded(self, ctx: Context, name: str, source: str = "") -> None:
        if rules_of(ctx.mount, self._settings).disabled:
            return
        tx = _joined(ctx)
        for place, entry in await _entries(tx, await self._name(tx, ctx.mount, name, source)):
            _forget(tx, place, entry)

    async def _name(self, tx: Transaction, mount: Mount, alias: str, source: str) -> str:
        return await name_of(self._tenant, tx, mount.accessor, alias, source)


def slot_of(name: str) -> str:
    """Return the place that a name has a share in."""
    return f"slot/{int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % SLOTS:04x}"


async def _place(tx: Transaction, accessor: str, alias: str, name: str, *, real: bool) -> str:
    """Return where a failure of ``name`` (``<name>/<source>``) is counted."""
    if name.endswith("/any") and (
        real
        or await tx.load(COUNT + name, FailureEntry) is not None
        or await entity_by_alias(tx, accessor, alias) is not None
    ):
        return name
    return slot_of(name)


async def _entries(tx: Transaction, name: str) -> list[tuple[str, FailureEntry]]:
    """Return what is counted of ``name`` (``<name>/<source>``), and at which place: its own, or one that it shares."""
    places = (name, slot_of(name)) if name.endswith("/any") else (slot_of(name),)
    found = [(place, await tx.load(COUNT + place, FailureEntry)) for place in places]
    return [(place, entry) for place, entry in found if entry is not None and (entry.name or place) == name]


async def name_of(tenant: Tenant, tx: Transaction, accessor: str, alias: str, source: str = "") -> str:
    """Return where the failures of an alias are kept: two keyed hashes, so that a store's paths show no names."""
    name = await tenant.tokens.hash_of(tx, f"lockout\0{accessor}\0{alias}")
    return f"{name}/{await tenant.tokens.hash_of(tx, f'lockout from {source}')}" if source else f"{name}/any"


async def clear(tx: Transaction, place: str, *, now: float) -> None:
    """Forget failures whose time has come; where more were counted since, look again when theirs has."""
    entry = await tx.load(COUNT + place, FailureEntry)
    if entry is None:
        return
    if entry.until <= now:
        _forget(tx, place, entry)
        return
    tx.save(COUNT + place, msgspec.structs.replace(entry, due=entry.until))
    mark_due(tx, entry.until, KIND, place)


async def unlock(tenant: Tenant, tx: Transaction, accessor: str, alias: str) -> None:
    """Let an alias log in again, from wherever it was locked out. Unlocking what is not locked is allowed."""
    name = (await name_of(tenant, tx, accessor, alias)).partition("/")[0]
    for source in {"any", *await tx.list(f"{LOCKED}{accessor}/{name}/")}:
        for place, entry in await _entries(tx, f"{name}/{source}"):
            _forget(tx, place, entry)


async def locked(tx: Transaction, accessor: str, *, now: float) -> list[str]:
    """Return the aliases that are locked out at a mount, or from somewhere, each once and in order."""
    found = set()
    folder = f"{LOCKED}{accessor}/"
    for path in await tx.scan(folder):
        entry = await tx.load(folder + path, LockedEntry)
        if entry is not None and now < entry.until:
            found.add(entry.alias)
    return sorted(found)


def _forget(tx: Transaction, place: str, entry: FailureEntry) -> None:
    tx.delete(COUNT + place)
    unmark_due(tx, entry.due, KIND, place)
    if entry.locked:
        tx.delete(f"{LOCKED}{entry.accessor}/{entry.name or place}")


SWITCHES = ("BROKER_DISABLE_USER_LOCKOUT", "BAO_DISABLE_USER_LOCKOUT", "VAULT_DISABLE_USER_LOCKOUT")


def switched_off(environ: Mapping[str, str]) -> bool:
    """Tell whether the server's environment says to lock nobody out."""
    return any(environ.get(name, "").lower() in ("1", "true", "t") for name in SWITCHES)


def configured(stanzas: Iterable[Any]) -> dict[str, LockoutRules]:
    """Return the configuration's ``user_lockout`` stanzas as rules by type.

    What one leaves out comes from that for all, then from Vault's defaults.
    """
    by_type = {stanza.type: stanza for stanza in stanzas}
    rules: dict[str, LockoutRules] = {}
    for name in sorted(by_type, key=lambda name: name != "all"):
        stanza, above = by_type[name], rules.get("all", LockoutRules())
        rules[name] = LockoutRules(
            stanza.lockout_threshold or above.threshold,
            stanza.lockout_duration.total_seconds() or above.duration,
            stanza.lockout_counter_reset.total_seconds() or above.counter_reset,
            stanza.disable_lockout,
        )
    return rules


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


def tuned(known: dict[str, Any] | None, given: dict[str, Any]) -> dict[str, Any]:
    """Return a mount's ``user_lockout_config`` with what is given put in. Raises: InvalidRequest.

    >>> tuned({"duration": 60.0}, {"lockout_threshold": "3"})
    {'duration': 60.0, 'threshold': 3}
    """
    new = dict(known or {})
    bound = _TUNE({}, given)
    for name, key in _TUNED.items():
        value = getattr(bound, key)
        if value is not None:
            new[name] = value.total_seconds() if isinstance(value, timedelta) else value
    return new


def shown(config: dict[str, Any]) -> dict[str, Any]:
    """Return a mount's ``user_lockout_config`` as reads of the mount show it."""
    return {
        "user_lockout_counter_reset_duration": int(config.get("counter_reset", 0)),
        "user_lockout_disable": bool(config.get("disabled", False)),
        "user_lockout_duration": int(config.get("duration", 0)),
        "user_lockout_threshold": int(config.get("threshold", 0)),
    }


@dataclass(frozen=True, slots=True)
class UserLockoutConfig:
    lockout_threshold: Annotated[int | None, Field("Failed logins that lock out.", minimum=0)] = None
    lockout_duration: Annotated[timedelta | None, Field("For how long.", minimum=0)] = None
    lockout_counter_reset_duration: Annotated[
        timedelta | None, Field("When a failure is forgotten.", minimum=0)
    ] = None
    lockout_disable: Annotated[bool | None, Field("Lock nobody out.")] = None


_TUNE = binder(UserLockoutConfig)
_TUNED = {
    "threshold": "lockout_threshold",
    "duration": "lockout_duration",
    "counter_reset": "lockout_counter_reset_duration",
    "disabled": "lockout_disable",
}


def _joined(ctx: Context) -> Transaction:
    """Return the request's own transaction, whose window on the mount a handler was given."""
    view: Any = ctx.storage
    tx: Transaction = view.transaction
    return tx


__all__ = [
    "KIND",
    "METHODS",
    "LockedEntry",
    "LockoutService",
    "clear",
    "configured",
    "locked",
    "rules_of",
    "shown",
    "switched_off",
    "tuned",
    "unlock",
]
