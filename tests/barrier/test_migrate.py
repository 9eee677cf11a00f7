"""Moving to another seal: the shares in force authorise it and stay; what is written opens under the new seal only."""

import os
from dataclasses import dataclass

import pytest
from broker_plugins.seals.shamir.seal import ShamirSeal

from broker.barrier.authority import KeyRefused
from broker.barrier.migrate import GUARDED, migrate
from broker.barrier.records import KEYRING, RECOVERY_CONFIG, SEAL_CONFIG, BarrierRecords
from broker.barrier.unseal import SealRefused, gather, open_barrier, submit
from broker.plugin.errors import InvalidRequest, Tampered
from broker.plugin.secret import Secret
from tests.barrier.conftest import LocalSeal


@dataclass
class Moved:
    """A node after the commit of a move."""

    stored: dict[str, bytes]
    unsealed: object

    @property
    def records(self):
        return BarrierRecords.load(self.stored)


def restored(node, keys):
    """The key that these shares restore."""
    progress, key = None, None
    for text in keys:
        progress, key = gather(progress, text, node.records, random=os.urandom)
    assert key is not None
    return key


async def move(node, new, name, keys):
    done = await migrate(node.records, node.seal, new, name, restored(node, keys))
    stored = {path: data for path, data in {**node.stored, **done.writes}.items() if data is not None}
    return Moved(stored, done.unsealed)


async def opened(records, seal, keys):
    progress, unsealed = None, None
    for key in keys:
        progress, unsealed = await submit(progress, key, records, seal, random=os.urandom)
    return unsealed


async def test_unseal_shares_become_recovery_shares(node):
    new = LocalSeal()
    moved = await move(node, new, "local", node.keys[:2])
    alone = await open_barrier(moved.records, new, None)
    assert alone.root_key.reveal() == node.unsealed.root_key.reveal()
    assert alone.keyring == node.unsealed.keyring
    assert moved.records.config.shares is None
    assert moved.records.recovery.shares == node.records.config.shares
    assert moved.unsealed.seal_key is None
    by_people = await opened(moved.records, new, node.keys[1:])
    assert by_people.root_key.reveal() == node.unsealed.root_key.reveal()
    with pytest.raises(KeyRefused):
        await open_barrier(moved.records, node.seal, node.unsealed.seal_key)


async def test_recovery_shares_become_unseal_shares(auto):
    new = ShamirSeal()
    moved = await move(auto, new, "shamir", auto.keys)
    assert RECOVERY_CONFIG not in moved.stored
    assert moved.records.config.shares == auto.records.recovery.shares
    by_people = await opened(moved.records, new, auto.keys)
    assert by_people.root_key.reveal() == auto.unsealed.root_key.reveal()
    assert by_people.seal_key.reveal() == moved.unsealed.seal_key.reveal()


async def test_from_one_auto_seal_to_another_only_the_wrapping_changes(auto):
    new = LocalSeal()
    moved = await move(auto, new, "other", auto.keys)
    changed = {path for path in moved.stored if moved.stored[path] != auto.stored.get(path)}
    assert changed == {SEAL_CONFIG, "core/root-key"}
    assert moved.records.config.type == "other"
    assert (await open_barrier(moved.records, new, None)).root_key.reveal() == auto.unsealed.root_key.reveal()
    with pytest.raises(SealRefused):
        await open_barrier(moved.records, auto.seal, None)


async def test_groups_stay_as_they_are_there_and_back(company):
    keys = [company.keys[0], company.keys[1], company.keys[2], company.keys[8]]  # security, board
    there = await move(company, local := LocalSeal(), "local", keys)
    assert there.records.recovery.shares.groups == company.records.config.shares.groups
    key = restored(there, keys)
    back = await migrate(there.records, local, ShamirSeal(), "shamir", key)
    stored = {path: data for path, data in {**there.stored, **back.writes}.items() if data is not None}
    records = BarrierRecords.load(stored)
    assert records.config.shares == company.records.config.shares
    assert (await opened(records, ShamirSeal(), keys)) is not None


async def test_the_move_is_guarded_by_all_that_it_is_based_on_and_leaves_the_keyring_alone(node, auto):
    for here, new, name, keys in (
        (node, LocalSeal(), "local", node.keys[:2]),
        (auto, ShamirSeal(), "shamir", auto.keys),
    ):
        done = await migrate(here.records, here.seal, new, name, restored(here, keys))
        assert set(done.writes) <= set(GUARDED)
        assert KEYRING not in done.writes


async def test_a_seal_that_does_not_open_the_store_moves_nothing(auto):
    with pytest.raises(SealRefused, match='the seal "local" does not open the stored root key'):
        await migrate(auto.records, LocalSeal(), ShamirSeal(), "shamir", restored(auto, auto.keys))


async def test_a_key_that_is_not_the_one_in_force_moves_nothing(node, auto):
    for here, old in ((node, node.seal), (auto, auto.seal)):
        with pytest.raises(KeyRefused):
            await migrate(here.records, old, LocalSeal(), "new", Secret(os.urandom(32)))


class OneWay(LocalSeal):
    """A service that encrypts and does not decrypt."""

    async def unwrap(self, wrapped, key):
        raise Tampered("access denied")


class Liar(LocalSeal):
    """A service that decrypts to something else."""

    async def unwrap(self, wrapped, key):
        return Secret(b"x" * 32)


@pytest.mark.parametrize(("seal", "text"), [(OneWay, "access denied"), (Liar, "something else")])
async def test_a_new_seal_that_cannot_open_what_it_wrapped_is_refused(node, seal, text):
    with pytest.raises(SealRefused, match=text):
        await migrate(node.records, node.seal, seal(), "new", restored(node, node.keys[:2]))


async def test_no_repr_shows_a_key(node):
    done = await migrate(node.records, node.seal, LocalSeal(), "local", restored(node, node.keys[:2]))
    shown = repr(done)
    assert node.unsealed.root_key.reveal().hex() not in shown
    assert repr(node.unsealed.root_key.reveal())[2:-1] not in shown
    assert "writes" not in shown


async def test_without_recovery_shares_nobody_can_authorise_a_move(make_node):
    alone = await make_node(None)
    with pytest.raises(InvalidRequest, match="nobody can authorise a seal migration"):
        await migrate(alone.records, alone.seal, LocalSeal(), "other", Secret(os.urandom(32)))
