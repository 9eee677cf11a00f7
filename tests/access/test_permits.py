"""Permits: never more than the limit, whoever takes them at once; and each one comes back."""

from __future__ import annotations

import asyncio
import random

import pytest

from broker.access import permits
from broker.access.permits import PREFIX, SHARDS
from broker.storage import TenantStore
from broker.storage.errors import TransactionConflict


async def take(space: TenantStore, limit: int, version: int = 1, rule: str = "r") -> str:
    """Take a permit in a transaction of its own, again on a conflict, as a request does."""
    while True:
        tx = await space.begin()
        permit = await permits.take(tx, rule, limit=limit, version=version)
        try:
            await tx.commit()
        except TransactionConflict:
            continue
        return permit


async def release(space: TenantStore, permit: str) -> None:
    while True:
        tx = await space.begin()
        await permits.release(tx, permit)
        try:
            await tx.commit()
        except TransactionConflict:
            continue
        return


async def held(space: TenantStore, rule: str = "r") -> int:
    return await permits.held(await space.begin(), rule)


@pytest.fixture
def space(tokens) -> TenantStore:
    return tokens.space


@pytest.mark.parametrize("limit", [1, 7, 31, 200, 700])
async def test_as_many_as_the_limit_are_taken_and_not_one_more(space, limit):
    taken = [await take(space, limit) for _ in range(limit)]
    assert all(taken)
    assert await take(space, limit) == ""
    assert await held(space) == limit
    await release(space, taken[0])
    assert await take(space, limit)
    assert await take(space, limit) == ""


async def test_takers_at_once_get_exactly_the_limit(space):
    taken = await asyncio.gather(*(take(space, 100) for _ in range(160)))
    assert sum(bool(permit) for permit in taken) == 100
    assert await held(space) == 100


async def test_in_any_order_of_taking_giving_back_and_changing_the_limit_the_count_is_right(space):
    chance = random.Random(7)
    mine: list[str] = []
    limit, version = 90, 1
    for _ in range(600):
        step = chance.random()
        if step < 0.02:
            limit, version = chance.randint(1, 120), version + 1
        elif step < 0.4 and mine:
            await release(space, mine.pop(chance.randrange(len(mine))))
        else:
            permit = await take(space, limit, version)
            assert bool(permit) == (len(mine) < limit)
            if permit:
                mine.append(permit)
    assert await held(space) == len(mine)


async def test_a_lowered_limit_lets_nobody_in_until_enough_have_left(space):
    taken = [await take(space, 64) for _ in range(64)]
    assert await take(space, 10, 2) == ""
    for permit in taken[:54]:
        await release(space, permit)
        assert await take(space, 10, 2) == ""
    await release(space, taken[54])
    assert await take(space, 10, 2)
    assert await take(space, 10, 2) == ""


async def test_most_takers_touch_one_shard(space):
    await take(space, 10_000)
    touched = []
    for _ in range(50):
        tx = await space.begin()
        await permits.take(tx, "r", limit=10_000, version=1)
        touched.append(len(tx.pending()))
        await tx.commit()
    assert set(touched) == {1}
    tx = await space.begin()
    assert len(await tx.list(PREFIX + "r/")) == SHARDS + 1


async def test_giving_back_what_a_deleted_rule_gave_is_nothing(space):
    permit = await take(space, 5)
    tx = await space.begin()
    permits.forget(tx, "r")
    await tx.commit()
    await release(space, permit)
    assert await held(space) == 0
    assert not await (await space.begin()).list(PREFIX)


async def test_a_token_gives_its_permit_back_when_it_is_erased(tokens):
    permit = await take(tokens.space, 1)
    token = await tokens.mint(permit=permit)
    assert await take(tokens.space, 1) == ""
    tx = await tokens.begin()
    await tokens.store.revoke(tx, await tokens.store.name_of(tx, token), now=tokens.now)
    await tx.commit()
    assert await take(tokens.space, 1)
