"""Batch tokens at the store: sealed by the tenant's keys, and good exactly as long as those are."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.access.batch import BatchTokens
from broker.access.records import TokenEntry
from broker.barrier.codec import TenantCodec, new_tenant_secret
from broker.barrier.envelope import UnknownTerm
from broker.barrier.keyring import Keyring
from broker.core.childrules import globbed

NOW = 1_700_000_000
ENTRY = TokenEntry(
    accessor="",
    policies=("app", "default"),
    path="auth/token/create/job",
    created_at=NOW,
    parent="f" * 64,
    display_name="token-job",
    meta={"team": "a"},
    ttl=3600,
    expires_at=NOW + 3600,
    type="batch",
    entity_id="e",
    role="job",
    bound_cidrs=("10.0.0.0/8",),
    issue_time="2023-11-14T22:13:20Z",
    capped_by="role",
)


def codec(tenant: str = "root", keyring: Keyring | None = None) -> TenantCodec:
    ring = keyring or Keyring.create(datetime.now(UTC), os.urandom)
    return TenantCodec(lambda: ring, tenant, new_tenant_secret())


def test_a_batch_token_opens_to_what_it_was_sealed_from():
    mine = codec()
    assert BatchTokens("").open(mine, BatchTokens("").seal(mine, ENTRY)) == ENTRY


def test_two_tokens_of_the_same_claims_differ():
    mine = codec()
    assert BatchTokens("").seal(mine, ENTRY) != BatchTokens("").seal(mine, ENTRY)


@settings(max_examples=100)
@given(st.data())
def test_what_was_tampered_with_does_not_open(data):
    mine, tokens = codec(), BatchTokens(".ns")
    token = tokens.seal(mine, ENTRY)
    place = data.draw(st.integers(0, len(token) - 1))
    bent = token[:place] + data.draw(st.text(max_size=3)) + token[place + data.draw(st.integers(0, 2)) :]
    try:
        found = tokens.open(mine, bent)
    except UnknownTerm:
        found = None
    assert found is None or bent == token


def test_a_token_of_another_tenant_does_not_open():
    ring = Keyring.create(datetime.now(UTC), os.urandom)
    token = BatchTokens("").seal(codec("one", ring), ENTRY)
    assert BatchTokens("").open(codec("two", ring), token) is None


def test_a_token_with_another_namespaces_suffix_does_not_open():
    mine = codec()
    token = BatchTokens(".a").seal(mine, ENTRY)
    assert BatchTokens(".b").open(mine, token) is None
    assert BatchTokens("").open(mine, token) is None


def test_a_token_outlives_rotation_but_not_its_key_term():
    first = Keyring.create(datetime.now(UTC), os.urandom)
    rings = [first.add_term(datetime.now(UTC), os.urandom)]
    mine = TenantCodec(lambda: rings[0], "root", new_tenant_secret())
    tokens = BatchTokens("")
    token = tokens.seal(mine, ENTRY)
    rings[0] = rings[0].add_term(datetime.now(UTC), os.urandom)
    assert tokens.open(mine, token) == ENTRY
    rings[0] = first
    # Once it is worth asking for a newer keyring; a token that keeps coming back is then a wrong one.
    with pytest.raises(UnknownTerm):
        tokens.open(mine, token)
    assert tokens.open(mine, token) is None


async def test_a_batch_token_dies_with_its_parent_and_by_the_clock(tokens):
    parent = await tokens.mint(lives=7200)
    child = await tokens.mint(parent, type="batch", lives=60)
    other = await tokens.mint(parent, type="batch", lives=600)
    orphan = await tokens.mint(type="batch", lives=600)
    assert [await tokens.lives(each) for each in (child, other, orphan)] == [True] * 3
    tokens.now += 61
    assert [await tokens.lives(each) for each in (child, other, orphan)] == [False, True, True]
    await tokens.revoke(parent)
    assert [await tokens.lives(each) for each in (other, orphan)] == [False, True]


async def test_a_batch_token_dies_with_a_parent_that_is_revoked_alone(tokens):
    parent = await tokens.mint(lives=7200)
    child = await tokens.mint(parent, type="batch", lives=60)
    kept = await tokens.mint(parent, lives=60)
    await tokens.sever(parent)
    assert [await tokens.lives(child), await tokens.lives(kept)] == [False, True]


async def test_a_batch_token_leaves_nothing_in_store(tokens):
    before = await tokens.stored()
    await tokens.mint(type="batch", lives=60)
    assert await tokens.stored() == before


@given(st.text("ab*", max_size=6), st.text("ab", max_size=8))
@settings(max_examples=100)
def test_globs_match_as_a_star_says(glob, text):
    import re

    pattern = ".*".join(re.escape(part) for part in glob.split("*"))
    assert globbed(glob, text) == bool(re.fullmatch(pattern, text))
