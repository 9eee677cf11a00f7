"""Counting what may live at once, exactly, without one row that every request fights over.

A limit is split over a few shards. Each says how much of the limit is its own (``room``) and how much of that is taken
(``used``); the rooms never add up to more than the limit. Taking touches one shard, chosen at random, and so does giving
back. Only when that shard is full are all of them read and the free rest is dealt out anew: in one transaction, which
conflicts with whoever takes meanwhile. All of it lies in the tenant's store and is committed together with the token or
lease that the permit is for.
"""

import secrets
from typing import Final

import msgspec

from broker.plugin.errors import Tampered
from broker.storage.transaction import Transaction

PREFIX: Final = "sys/permits/"
SHARDS: Final = 16
ENOUGH: Final = 32
"""A shard is only worth its while with this much room."""


class Shard(msgspec.Struct, frozen=True):
    """One part of a limit."""

    used: int = 0
    room: int = 0
    v: int = 1


class Dealt(msgspec.Struct, frozen=True):
    """For which version of its rule a limit was dealt out, and to how many shards."""

    version: int
    shards: int
    v: int = 1


async def take(tx: Transaction, rule: str, *, limit: int, version: int) -> str:
    """Take a permit of a rule and return its name, to be given back with ``release``; empty if none is left.

    ``version`` tells a changed limit from the one that was dealt out before.
    """
    dealt = await tx.load(f"{PREFIX}{rule}/dealt", Dealt)
    if dealt is not None and dealt.version == version:
        number = secrets.randbelow(dealt.shards)
        shard = await _load(tx, rule, number)
        if shard.used < shard.room:
            return _use(tx, rule, number, shard)
    return await _deal(tx, rule, limit, version)


async def release(tx: Transaction, permit: str) -> None:
    """Give a permit back. None (empty), and one whose rule is gone or does not open, is as good as given back."""
    if not permit:
        return
    path = PREFIX + permit
    try:
        shard = await tx.load(path, Shard)
    except Tampered:
        return
    if shard is not None and shard.used > 0:
        tx.save(path, msgspec.structs.replace(shard, used=shard.used - 1))


async def held(tx: Transaction, rule: str) -> int:
    """Return how many permits of a rule are taken."""
    return sum([(await _load(tx, rule, number)).used for number in range(SHARDS)])


def forget(tx: Transaction, rule: str) -> None:
    """Drop what a rule counted."""
    for name in ("dealt", *range(SHARDS)):
        tx.delete(f"{PREFIX}{rule}/{name}")


async def _deal(tx: Transaction, rule: str, limit: int, version: int) -> str:
    """Deal the free rest of a limit out anew and take a permit of it; empty if there is no rest."""
    shards = [await _load(tx, rule, number) for number in range(SHARDS)]
    free = limit - sum(shard.used for shard in shards)
    if free <= 0:
        return ""  # nothing is changed: while more is used than the limit allows, every taker comes here
    count = max(1, min(SHARDS, limit // ENOUGH))
    chosen = secrets.randbelow(count)
    for number, old in enumerate(shards):
        share = 0
        if number < count:
            # The chosen shard is served first, so that it has room whatever is left.
            place = (number - chosen) % count
            share = free // count + (place < free % count)
        new = Shard(old.used, old.used + share)
        if number == chosen:
            _use(tx, rule, number, new)
        elif new != old:
            tx.save(f"{PREFIX}{rule}/{number}", new)
    tx.save(f"{PREFIX}{rule}/dealt", Dealt(version, count))
    return f"{rule}/{chosen}"


async def _load(tx: Transaction, rule: str, number: int) -> Shard:
    return await tx.load(f"{PREFIX}{rule}/{number}", Shard) or Shard()


def _use(tx: Transaction, rule: str, number: int, shard: Shard) -> str:
    tx.save(f"{PREFIX}{rule}/{number}", msgspec.structs.replace(shard, used=shard.used + 1))
    return f"{rule}/{number}"


__all__ = ["PREFIX", "forget", "held", "release", "take"]
