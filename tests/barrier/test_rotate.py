import os
from datetime import UTC, datetime

import pytest

from broker.barrier.authority import Authority, KeyRefused
from broker.barrier.codec import root_codec
from broker.barrier.issue import ShareRequest
from broker.barrier.records import KEYRING, ROOT_KEY, open_keyring
from broker.barrier.rekey import Rekey
from broker.barrier.rotate import rotate_keyring, rotate_root
from broker.plugin.errors import InvalidRequest, Tampered
from broker.plugin.secret import Secret

NOW = datetime(2030, 1, 1, tzinfo=UTC)


async def test_rotating_the_keyring_is_one_record_and_old_entries_still_open(node):
    sealed = root_codec(lambda: node.unsealed.keyring).seal("a", b"x")
    rotated = rotate_keyring(node.unsealed.keyring, node.unsealed.root_key, now=NOW, random=os.urandom)
    assert set(rotated.writes) == {KEYRING}
    node.stored |= rotated.writes
    unsealed = await node.opened_by(node.keys[:2])
    codec = root_codec(lambda: unsealed.keyring)
    assert codec.open("a", sealed) == b"x"
    assert codec.term_of(codec.seal("a", b"x")) == 2


async def test_another_worker_reads_the_new_keyring_with_the_root_key_it_has(node):
    rotated = rotate_keyring(node.unsealed.keyring, node.unsealed.root_key, now=NOW, random=os.urandom)
    assert open_keyring(rotated.writes[KEYRING], node.unsealed.root_key) == rotated.keyring
    with pytest.raises(Tampered):
        open_keyring(rotated.writes[KEYRING], Secret(b"x" * 32))


async def test_rotating_the_root_key_keeps_the_shares_and_every_entry(node):
    sealed = root_codec(lambda: node.unsealed.keyring).seal("a", b"x")
    rotated = await rotate_root(
        node.authority, node.unsealed.keyring, node.unsealed.seal_key, random=os.urandom
    )
    before = await node.opened_by(node.keys[:2])
    assert before.root_key.reveal() == node.unsealed.root_key.reveal()
    assert set(rotated.writes) == {ROOT_KEY, KEYRING}
    node.stored |= rotated.writes
    for keys in (node.keys[:2], node.keys[1:]):
        after = await node.opened_by(keys)
        assert after.root_key.reveal() == rotated.root_key.reveal() != before.root_key.reveal()
        assert root_codec(lambda after=after: after.keyring).open("a", sealed) == b"x"


async def test_half_a_root_rotation_would_open_for_nobody_so_it_is_one_batch(node):
    rotated = await rotate_root(
        node.authority, node.unsealed.keyring, node.unsealed.seal_key, random=os.urandom
    )
    whole = dict(node.stored)
    for path in rotated.writes:
        node.stored = {**whole, path: rotated.writes[path]}
        with pytest.raises(KeyRefused):
            await node.opened_by(node.keys[:2])


async def test_the_old_root_key_opens_nothing_written_since(node):
    rotated = await rotate_root(
        node.authority, node.unsealed.keyring, node.unsealed.seal_key, random=os.urandom
    )
    with pytest.raises(Tampered):
        open_keyring(rotated.writes[KEYRING], node.unsealed.root_key)


async def test_a_seal_key_that_was_rekeyed_away_rotates_nothing(node):
    state = Rekey.start(ShareRequest.of(1, 1), node.records, random=os.urandom)
    for key in node.keys[:2]:
        step = await state.update(key, state.nonce, node.authority, random=os.urandom)
        state = step.state
    node.stored |= step.writes
    for stale in (node.unsealed.seal_key, Secret(b"x" * 32)):
        with pytest.raises(KeyRefused):
            await rotate_root(node.authority, node.unsealed.keyring, stale, random=os.urandom)
    with pytest.raises(InvalidRequest, match="does not hold the seal key"):
        await rotate_root(node.authority, node.unsealed.keyring, None, random=os.urandom)


async def test_an_auto_seal_rotates_its_root_key_alone(auto):
    rotated = await rotate_root(auto.authority, auto.unsealed.keyring, None, random=os.urandom)
    auto.stored |= rotated.writes
    assert auto.records.recovery is not None
    await Authority(auto.records, auto.seal, rotated.root_key).opens(auto.records.root_key.wrapped, None)
