"""Tokens whose stored entries do not open: nobody uses them, and they can be ended."""

from __future__ import annotations

import pytest

from broker.access.tokens import CHILD, ID, LEASES
from broker.plugin.errors import Tampered
from broker.plugin.storage import Batch
from broker.storage.due import DUE, DueEntry
from tests.access.conftest import Tokens


async def spoil(tokens: Tokens, *paths: str) -> None:
    """Turn a bit of stored entries, behind the broker's back."""
    raw = tokens.space.store
    for path in paths:
        stored = await raw.get(path)
        assert stored is not None
        await raw.commit([Batch({path: stored.value[:-1] + bytes([stored.value[-1] ^ 1])})])
    tokens.space.forget()


async def due(tokens: Tokens) -> list[str]:
    return [path.partition("/")[2] for path in await tokens.stored(DUE)]


async def test_a_damaged_token_is_no_token_and_says_why(tokens: Tokens):
    token = await tokens.mint()
    await spoil(tokens, ID + await tokens.name(token))
    with pytest.raises(Tampered, match="sys/token/id/"):
        await tokens.lives(token)


async def test_a_damaged_token_is_revoked_and_leaves_no_entry(tokens: Tokens):
    token = await tokens.mint()
    await spoil(tokens, ID + await tokens.name(token))
    await tokens.revoke(token)
    assert not await tokens.lives(token)
    assert await tokens.stored(ID) == []


@pytest.mark.parametrize("end", ["revoke", "sever"])
async def test_what_a_damaged_token_made_ends_with_it(tokens: Tokens, end: str):
    parent = await tokens.mint()
    child = await tokens.mint(parent)
    name = await tokens.name(parent)
    await spoil(tokens, ID + name)
    await getattr(tokens, end)(parent)
    assert not await tokens.lives(parent) and not await tokens.lives(child)
    assert await due(tokens) == [f"token-{name}"]
    assert await tokens.clear(parent) and await tokens.clear(child)
    assert await tokens.stored(ID) == [] and await tokens.stored(CHILD) == []


async def test_a_damaged_child_does_not_keep_the_others(tokens: Tokens):
    parent = await tokens.mint()
    children = [await tokens.mint(parent) for _ in range(3)]
    below = await tokens.mint(children[1])
    await spoil(tokens, ID + await tokens.name(children[1]))
    await tokens.revoke(parent)
    assert await tokens.clear(parent)
    for token in (*children, below):
        assert await tokens.clear(token)
    assert await tokens.stored(ID) == [] and await tokens.stored(CHILD) == []


async def test_a_damaged_child_of_a_severed_token_is_not_set_free(tokens: Tokens):
    parent = await tokens.mint()
    spoilt, sound = await tokens.mint(parent), await tokens.mint(parent)
    below = await tokens.mint(spoilt)
    await spoil(tokens, ID + await tokens.name(spoilt))
    await tokens.sever(parent)
    assert await tokens.clear(parent)
    assert await tokens.lives(sound)
    assert not await tokens.lives(spoilt) and not await tokens.lives(below)


async def test_what_was_leased_to_a_damaged_token_is_still_seen_to(tokens: Tokens):
    token = await tokens.mint()
    name = await tokens.name(token)
    tx = await tokens.begin()
    tx.put(LEASES + name, b"{}")
    await tx.commit()
    await spoil(tokens, ID + name, LEASES + name)
    await tokens.revoke(token)
    assert await due(tokens) == [f"token-{name}"]


async def test_tidying_ends_damaged_tokens_and_goes_on_with_the_rest(tokens: Tokens):
    made = [await tokens.mint() for _ in range(5)]
    parent = await tokens.mint()
    child = await tokens.mint(parent)
    for token in (made[1], made[3], parent):
        await spoil(tokens, ID + await tokens.name(token))
    after = ""
    for _ in range(4):
        tx = await tokens.begin()
        await tokens.store.tidy(tx, after, now=tokens.now, batch=2)
        await tx.commit()
        rest = [path.partition("tidy-")[2] for path in await tokens.stored(DUE) if "/tidy-" in path]
        after = max(rest)
    assert [await tokens.lives(token) for token in made] == [True, False, True, False, True]
    assert not await tokens.lives(parent) and not await tokens.lives(child)


async def test_a_lost_place_in_the_due_index_is_the_tokens_own_time(tokens: Tokens):
    token = await tokens.mint(lives=60)
    name = await tokens.name(token)
    [row] = await tokens.stored(DUE)
    await spoil(tokens, DUE + row)
    tx = await tokens.begin()
    await tx.discard(DUE + row)
    await tokens.store.reinstate_due(tx, name, now=tokens.now)
    await tx.commit()
    assert await tokens.stored(DUE) == [row]
    assert await (await tokens.begin()).load(DUE + row, DueEntry) == DueEntry("token", name)
    assert await tokens.lives(token)
