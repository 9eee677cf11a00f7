"""Tokens die when they should, with everything below them, and never live for ever by accident."""

from __future__ import annotations

import string
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.access.base62 import ALPHABET as BASE62
from broker.access.lifetimes import Limits, grant, short_duration, whole_seconds
from broker.access.records import TokenEntry
from broker.access.tokens import base62
from broker.plugin.errors import InvalidRequest
from broker.storage.errors import TransactionConflict
from tests.access.conftest import Tokens

LIMITS = Limits(default_ttl=768 * 3600, max_ttl=768 * 3600)
DAY = 86400


# The tree


async def test_children_and_grandchildren_die_with_the_revocation_of_their_parent(tokens: Tokens):
    parent = await tokens.mint()
    child = await tokens.mint(parent)
    grandchild = await tokens.mint(child)
    stranger = await tokens.mint()
    await tokens.revoke(parent)
    assert [await tokens.lives(token) for token in (parent, child, grandchild, stranger)] == [
        False,
        False,
        False,
        True,
    ]


async def test_children_die_with_the_expiry_of_their_parent(tokens: Tokens):
    parent = await tokens.mint(lives=10)
    child = await tokens.mint(parent, lives=DAY)
    tokens.now += 9.9
    assert await tokens.lives(child)
    tokens.now += 0.1
    assert not await tokens.lives(parent)
    assert not await tokens.lives(child)


async def test_a_parent_revoked_alone_leaves_its_children_as_orphans_for_good(tokens: Tokens):
    top = await tokens.mint()
    parent = await tokens.mint(top)
    child = await tokens.mint(parent)
    await tokens.sever(parent)
    assert not await tokens.lives(parent)
    assert await tokens.lives(child)
    entry = await tokens.entry(child)
    assert entry is not None
    assert await tokens.store.is_orphan(await tokens.begin(), entry)
    for again in (tokens.revoke, tokens.sever, tokens.clear):
        await again(parent)
        assert await tokens.lives(child)
    await tokens.revoke(top)
    await tokens.clear(top)
    assert await tokens.lives(child)


async def test_what_is_above_an_orphaned_token_does_not_reach_it_while_the_tree_is_cleared(tokens: Tokens):
    top = await tokens.mint()
    middle = await tokens.mint(top)
    leaf = await tokens.mint(middle)
    await tokens.sever(middle)
    await tokens.revoke(top)
    for token in (top, middle):
        assert await tokens.clear(token)
    assert await tokens.lives(leaf)
    assert not await tokens.lives(middle)


async def test_a_child_made_while_its_parent_is_revoked_is_not_made(tokens: Tokens):
    parent = await tokens.mint()
    await tokens.mint(parent)
    racing = await tokens.begin()
    await tokens.mint_in(racing, parent)
    await tokens.revoke(parent)
    with pytest.raises(TransactionConflict):
        await racing.commit()


async def test_a_child_made_while_its_childless_parent_is_erased_is_not_made(tokens: Tokens):
    parent = await tokens.mint()
    racing = await tokens.begin()
    await tokens.mint_in(racing, parent)
    await tokens.revoke(parent)
    with pytest.raises(TransactionConflict):
        await racing.commit()


async def test_a_big_tree_is_cleared_in_bounded_steps_that_may_be_interrupted(tokens: Tokens):
    parent = await tokens.mint()
    tx = await tokens.begin()
    children = [await tokens.mint_in(tx, parent) for _ in range(25)]
    await tx.commit()
    await tokens.revoke(parent)
    assert not any([await tokens.lives(child) for child in children])
    steps = 1
    while not await tokens.clear(parent, batch=10):
        steps += 1
    assert steps == 3
    assert await tokens.entry(parent) is None
    assert not any([await tokens.lives(child) for child in children])
    for child in children:
        assert await tokens.clear(child)
    assert await tokens.stored() == ["token/salt"]


async def test_a_revoked_token_without_children_leaves_nothing(tokens: Tokens):
    token = await tokens.mint(lives=60)
    tx = await tokens.begin()
    tx.put(f"cubbyhole/{await tokens.name(token)}/mine", b"{}")
    await tx.commit()
    await tokens.revoke(token)
    assert await tokens.stored("") == ["sys/token/salt"]


async def test_neither_a_token_nor_its_accessor_is_stored_in_clear(tokens: Tokens):
    token = await tokens.mint()
    entry = await tokens.entry(token)
    assert entry is not None
    paths = " ".join(await tokens.stored(""))
    assert token not in paths
    assert entry.accessor not in paths


async def test_tidying_drops_what_dead_tokens_left_and_nothing_else(tokens: Tokens):
    kept, lost, parent = await tokens.mint(), await tokens.mint(), await tokens.mint()
    child = await tokens.mint(parent)
    tx = await tokens.begin()
    for token in (lost, parent):  # as no code of ours would leave them
        tx.delete(f"sys/token/id/{await tokens.name(token)}")
    await tx.commit()
    tx = await tokens.begin()
    await tokens.store.tidy(tx, "", now=tokens.now)
    await tx.commit()
    assert await tokens.lives(kept)
    assert await tokens.entry(child) is None
    assert await tokens.stored("sys/token/id/") == [await tokens.name(kept)]
    assert await tokens.stored("sys/due/") == []


async def test_tidying_goes_on_behind_where_it_stopped(tokens: Tokens):
    tx = await tokens.begin()
    for _ in range(5):
        await tokens.mint_in(tx)
    await tx.commit()
    after, steps = "", 0
    while True:
        tx = await tokens.begin()
        await tokens.store.tidy(tx, after, now=tokens.now, batch=2)
        await tx.commit()
        steps += 1
        due = [
            path
            for path in await tokens.stored("sys/due/")
            if after == "" or path.partition("tidy-")[2] > after
        ]
        if not due:
            break
        after = due[-1].partition("tidy-")[2]
    assert steps == 3


async def test_renewing_moves_a_token_in_the_due_index(tokens: Tokens):
    token = await tokens.mint(lives=60)
    before = await tokens.stored("sys/due/")
    entry = await tokens.entry(token)
    assert entry is not None
    tx = await tokens.begin()
    new = TokenEntry(
        **{**{f: getattr(entry, f) for f in entry.__struct_fields__}, "expires_at": tokens.now + 90}
    )
    tokens.store.update(tx, await tokens.name(token), entry, new)
    await tx.commit()
    after = await tokens.stored("sys/due/")
    assert len(before) == len(after) == 1
    assert before != after


def test_random_text_uses_the_whole_alphabet():
    assert sorted(BASE62) == sorted(string.ascii_letters + string.digits)
    text = base62(4000)
    assert set(text) == set(BASE62)
    assert len(base62(24)) == 24


# Lifetimes

SECONDS = st.integers(min_value=0, max_value=10 * 365 * DAY)


@settings(max_examples=100, deadline=None)
@given(
    wanted=SECONDS,
    default=st.integers(1, 10**8),
    top=st.integers(1, 10**8),
    max_ttl=SECONDS,
    period=SECONDS,
    explicit=SECONDS,
    age=SECONDS,
)
def test_a_lifetime_is_never_zero_and_never_beyond_a_limit(
    wanted, default, top, max_ttl, period, explicit, age
):
    limits = Limits(min(default, top), top)
    try:
        granted = grant(
            wanted, limits=limits, max_ttl=max_ttl, period=period, explicit_max_ttl=explicit, age=age
        )
    except InvalidRequest:
        ends = min([explicit or 10**12] + ([] if period else [top, max_ttl or 10**12]))
        assert age >= ends
        return
    assert 1 <= granted.ttl <= top
    assert not explicit or age + granted.ttl <= explicit
    assert not max_ttl or granted.ttl <= max_ttl
    assert period or age + granted.ttl <= top


@pytest.mark.parametrize("age", [7200, 7201, 10**9])
def test_at_its_end_a_token_is_not_renewed(age):
    with pytest.raises(InvalidRequest, match="past the max TTL"):
        grant(3600, limits=LIMITS, explicit_max_ttl=7200, age=age)


def test_in_its_last_second_a_token_gets_that_second():
    granted = grant(3600, limits=LIMITS, explicit_max_ttl=7200, age=7199)
    assert granted.ttl == 1
    assert granted.warnings == (
        'TTL of "1h" exceeded the effective max_ttl of "1s"; TTL value is capped accordingly',
    )


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (0, "0s"),
        (1, "1s"),
        (60, "1m"),
        (5400, "1h30m"),
        (3601, "1h1s"),
        (2764800, "768h"),
        (36002415, "10000h40m15s"),
    ],
)
def test_durations_read_as_in_the_fields_warnings(given, text):
    assert short_duration(given) == text


@pytest.mark.parametrize("given", [0.001, 0.5, 1.0])
def test_a_life_below_a_second_is_a_second(given):
    assert whole_seconds(timedelta(seconds=given)) == 1
