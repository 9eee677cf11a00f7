"""Every test that ends a rekey also unseals afresh: exactly one of the two sets of shares must open."""

import os

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.barrier import custodians
from broker.barrier.authority import KeyRefused
from broker.barrier.ceremonies import MAX_BYTES, dump, load
from broker.barrier.doors import Door
from broker.barrier.encoding import decode, encode
from broker.barrier.issue import ShareRequest, backup_answer
from broker.barrier.records import RECOVERY_CONFIG, ROOT_KEY, SEAL_CONFIG, UNSEAL_BACKUP, ShareBackup
from broker.barrier.rekey import MAX_PGP_TEXT, Rekey, Step
from broker.barrier.rotate import rotate_root
from broker.barrier.shares import Group, ShareRejected
from broker.plugin.errors import InvalidRequest, TooLarge


def started(node, request=None, **options) -> Rekey:
    return Rekey.start(request or ShareRequest.of(5, 3), node.records, random=os.urandom, **options)


async def bring(state: Rekey, node, keys) -> Step:
    """Submit shares one by one, each through the bytes of the node page."""
    for key in keys:
        kept = load(Rekey, dump(state))
        step = await kept.update(key, kept.nonce, node.authority, random=os.urandom)
        state = step.state or state
    return step


async def opens(node, keys) -> bool:
    try:
        unsealed = await node.opened_by(keys)
    except ShareRejected:
        return False
    return unsealed is not None and unsealed.root_key.reveal() == node.unsealed.root_key.reveal()


async def test_old_shares_open_before_the_commit_and_new_ones_after(node):
    step = await bring(started(node), node, node.keys[:2])
    new = step.answer["keys"]
    assert (step.state, step.answer["complete"], len(new)) == (None, True, 5)
    assert await opens(node, node.keys[1:])
    assert not await opens(node, new[:3])
    node.stored |= step.writes
    assert not await opens(node, node.keys[1:])
    assert await opens(node, new[2:])


async def test_it_is_one_batch_of_config_and_root_key(node):
    step = await bring(started(node), node, node.keys[:2])
    assert set(step.writes) == {SEAL_CONFIG, ROOT_KEY}


async def test_too_few_shares_change_nothing(node):
    step = await bring(started(node), node, node.keys[:1])
    assert step.writes == {}
    assert step.answer == step.state.status(node.records)


async def test_to_groups_and_back(node, company_request):
    step = await bring(started(node, company_request), node, node.keys[:2])
    node.stored |= step.writes
    new = step.answer["keys"]
    assert step.answer["keys_group"].count("security") == 5
    assert await opens(node, [*new[:3], new[8]])
    back = await bring(started(node, ShareRequest.of(1, 1)), node, [*new[5:7], new[8]])
    node.stored |= back.writes
    assert await opens(node, back.answer["keys"])


async def test_a_share_needs_the_nonce_of_this_rekey(node):
    state = started(node)
    for nonce in ("", "x", "é"):
        with pytest.raises(InvalidRequest, match=f'nonce for this rekey operation is "{state.nonce}"'):
            await state.update(node.keys[0], nonce, node.authority, random=os.urandom)


async def test_a_bad_share_names_its_check(node, make_node):
    state = (await bring(started(node), node, node.keys[:1])).state
    stranger = await make_node(ShareRequest.of(3, 2))
    for bad, check in (
        (node.keys[0], "duplicate"),
        (stranger.keys[0], "other ceremony"),
        ("zz", "malformed"),
    ):
        with pytest.raises(ShareRejected) as caught:
            await state.update(bad, state.nonce, node.authority, random=os.urandom)
        assert caught.value.check == check
    assert (await bring(state, node, node.keys[1:2])).answer["complete"]


async def test_shares_that_do_not_open_the_root_key_in_use_authorise_nothing(node, auto, make_node):
    node.stored[ROOT_KEY] = (await make_node(ShareRequest.of(3, 2))).stored[ROOT_KEY]
    with pytest.raises(KeyRefused):
        await bring(started(node), node, node.keys[:2])
    recovery = auto.records.recovery
    bent = msgspec.structs.replace(
        recovery, verifier=recovery.verifier[:-1] + bytes([recovery.verifier[-1] ^ 1])
    )
    auto.stored[RECOVERY_CONFIG] = encode(bent)
    for replaces_recovery in (False, True):
        with pytest.raises(KeyRefused):
            await bring(started(auto, recovery=replaces_recovery), auto, auto.keys)


class TestVerification:
    async def test_old_shares_stay_valid_until_the_new_ones_were_brought(self, node):
        step = await bring(started(node, require_verification=True), node, node.keys[:2])
        new, state = step.answer["keys"], step.state
        assert step.writes == {}
        assert step.answer["verification_nonce"] == state.verify_status()["nonce"] != state.nonce
        assert await opens(node, node.keys[:2])
        for key in new[:3]:
            assert await opens(node, node.keys[:2])
            assert not await opens(node, new[:3])
            state = load(Rekey, dump(state))
            step = await state.verify(key, state.verify_status()["nonce"], node.authority)
            state = step.state
        assert step.answer["complete"] is True
        node.stored |= step.writes
        assert await opens(node, new[:3])
        assert not await opens(node, node.keys[:2])

    async def test_its_answers_are_vaults(self, node):
        state = (await bring(started(node, require_verification=True), node, node.keys[:2])).state
        nonce = state.verify_status()["nonce"]
        assert state.verify_status() == {"nonce": nonce, "started": True, "t": 3, "n": 5, "progress": 0}
        assert state.status(node.records) == {
            "nonce": state.nonce, "started": True, "t": 3, "n": 5, "progress": 0, "required": 2,
            "pgp_fingerprints": None, "backup": False, "verification_required": True, "verification_nonce": nonce,
        }  # fmt: skip

    async def test_it_can_be_started_over(self, node):
        step = await bring(started(node, require_verification=True), node, node.keys[:2])
        state, new = step.state, step.answer["keys"]
        nonce = state.verify_status()["nonce"]
        state = (await state.verify(new[0], nonce, node.authority)).state
        again = state.restart_verification(os.urandom)
        assert again.verify_status()["progress"] == 0
        with pytest.raises(InvalidRequest, match="incorrect nonce supplied; nonce for this verify operation"):
            await again.verify(new[0], nonce, node.authority)

    async def test_old_shares_do_not_verify(self, node):
        state = (await bring(started(node, require_verification=True), node, node.keys[:2])).state
        with pytest.raises(ShareRejected) as caught:
            await state.verify(node.keys[0], state.verify_status()["nonce"], node.authority)
        assert caught.value.check == "other ceremony"

    async def test_nothing_to_verify_before_the_new_shares_exist(self, node):
        with pytest.raises(InvalidRequest, match="no rekey verification in progress"):
            await started(node, require_verification=True).verify(node.keys[0], "x", node.authority)
        with pytest.raises(InvalidRequest, match="no rotation verification in progress"):
            await started(node).verify(node.keys[0], "x", node.authority, door=Door.ROTATE)
        state = started(node)
        assert state.verify_status() == {"nonce": "", "started": False, "t": 3, "n": 5, "progress": 0}
        assert state.restart_verification(os.urandom) == state

    async def test_a_root_key_rotated_meanwhile_makes_it_start_again(self, node):
        """Else the new shares would open a root key that opens no keyring: neither old nor new."""
        step = await bring(started(node, require_verification=True), node, node.keys[:2])
        state, new, nonce = step.state, step.answer["keys"], step.state.verify_status()["nonce"]
        for key in new[:2]:
            state = (await state.verify(key, nonce, node.authority)).state
        rotated = await rotate_root(
            node.authority, node.unsealed.keyring, node.unsealed.seal_key, random=os.urandom
        )
        node.stored |= rotated.writes
        after = type(node.authority)(node.records, node.seal, rotated.root_key)
        with pytest.raises(InvalidRequest, match="root key was rotated meanwhile"):
            await state.verify(new[2], nonce, after)
        assert await node.opened_by(node.keys[:2]) is not None

    async def test_a_rekey_finished_elsewhere_is_not_undone(self, node):
        step = await bring(started(node, require_verification=True), node, node.keys[:2])
        other = await bring(started(node, ShareRequest.of(2, 2)), node, node.keys[:2])
        node.stored |= other.writes
        with pytest.raises(InvalidRequest, match="replaced meanwhile"):
            await step.state.verify(
                step.answer["keys"][0], step.state.verify_status()["nonce"], node.authority
            )
        assert await opens(node, other.answer["keys"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_wherever_it_stops_exactly_one_set_of_shares_opens(make_node, data):
    """Crash points: before each step and around each commit, for random shapes, verified or not."""
    node = await make_node(ShareRequest.of(3, 2))
    current = node.keys[:2]
    for _ in range(data.draw(st.integers(1, 3))):
        threshold = data.draw(st.integers(2, 3))
        verified = data.draw(st.booleans())
        stop = data.draw(st.sampled_from(["before the commit", "after the commit"]))
        state = started(node, ShareRequest.of(4, threshold), require_verification=verified)
        step = await bring(state, node, current)
        new = step.answer["keys"][:threshold]
        for key in new if verified else ():
            step = await step.state.verify(key, step.state.verify_status()["nonce"], node.authority)
        if stop == "after the commit":
            node.stored |= step.writes
        lives, dies = (new, current) if stop == "after the commit" else (current, new)
        assert await opens(node, lives)
        assert not await opens(node, dies)
        current = lives


async def test_the_largest_ceremony_fits_the_node_page(node):
    most = ShareRequest(tuple([Group(16, 16)] * 16), 16)
    step = await bring(started(node, most, require_verification=True), node, node.keys[:2])
    state, nonce = step.state, step.state.verify_status()["nonce"]
    for key in step.answer["keys"][:-1]:
        state = (await state.verify(key, nonce, node.authority)).state
    assert state.verify_status()["progress"] == 255
    assert len(dump(state)) <= MAX_BYTES


async def test_the_longest_pgp_keys_fit_the_node_page_until_the_end(node, pgp_key):
    """Sixteen keys, as long together as allowed, with backup and verification."""
    count = 16
    keys = (pgp_key,) * count
    request = ShareRequest((Group(2, count),), pgp_keys=keys, backup=True)
    state = started(node, request, require_verification=True)
    slack = MAX_PGP_TEXT - sum(map(len, keys))
    assert len(dump(state)) + slack <= MAX_BYTES
    step = await bring(state, node, node.keys[:2])
    assert len(dump(step.state)) + slack <= MAX_BYTES
    assert step.state.status(node.records)["pgp_fingerprints"] == step.answer["pgp_fingerprints"]
    assert len(step.answer["pgp_fingerprints"]) == count


async def test_pgp_keys_that_would_not_fit_are_refused_at_the_start(node, pgp_key):
    long = ShareRequest((Group(2, 16),), pgp_keys=(pgp_key + " " * 1024,) * 16)
    with pytest.raises(TooLarge, match="too long together"):
        started(node, long)


async def test_status_is_vaults(node):
    assert Door.REKEY.idle_status(node.records) == {
        "nonce": "", "started": False, "t": 0, "n": 0, "progress": 0, "required": 2, "pgp_fingerprints": None,
        "backup": False, "verification_required": False,
    }  # fmt: skip
    state = started(node)
    assert state.status(node.records) == {
        "nonce": state.nonce, "started": True, "t": 3, "n": 5, "progress": 0, "required": 2,
        "pgp_fingerprints": None, "backup": False, "verification_required": False,
    }  # fmt: skip
    step = await bring(state, node, node.keys[:2])
    assert set(step.answer) == {"nonce", "complete", "keys", "keys_base64", "keys_mnemonic", "pgp_fingerprints",
                                "backup", "verification_required"}  # fmt: skip


async def test_the_newer_door_tells_the_same_ceremony_in_its_own_words(node, pgp_key):
    assert Door.ROTATE.idle_status(node.records) == {"n": 0, "required": 2, "started": False, "t": 0}
    state = started(node, door=Door.ROTATE)
    told = {"n": 5, "nonce": state.nonce, "progress": 0, "required": 2, "started": True, "t": 3,
            "verification_nonce": "", "verification_required": False}  # fmt: skip
    assert state.status(node.records, Door.ROTATE) == told
    with pytest.raises(InvalidRequest, match=f'nonce for rotation is "{state.nonce}"'):
        await state.update(node.keys[0], "x", node.authority, random=os.urandom, door=Door.ROTATE)
    step = await state.update(node.keys[0], state.nonce, node.authority, random=os.urandom, door=Door.ROTATE)
    assert step.answer == told | {"progress": 1}
    with_pgp = started(node, ShareRequest((Group(1, 1),), pgp_keys=(pgp_key,), backup=True))
    extra = set(with_pgp.status(node.records, Door.ROTATE)) - set(told)
    assert extra == {"pgp_fingerprints", "backup"}


@pytest.mark.parametrize("door", Door)
def test_each_door_has_its_errors(door):
    word = {"rekey": "rekey", "rotation": "rotation"}[door]
    assert str(door.in_progress()) == f"{word} already in progress"
    assert str(door.no_verification()) == f"no {word} configuration found"
    assert str(door.not_in_progress(recovery=False, verifying=True)) == f"no {word} in progress"
    kinds = [str(door.not_in_progress(recovery=recovery)) for recovery in (False, True)]
    rekey = ["no barrier rekey in progress", "no recovery rekey in progress"]
    assert kinds == (rekey if door is Door.REKEY else ["no rotation in progress"] * 2)


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (ShareRequest.of(3, 1), "invalid rekey seal configuration: threshold must be greater than one"),
        (ShareRequest((Group(2, 3),), backup=True), "^cannot request a backup of the new keys without"),
        (ShareRequest.of(2, 2, pgp_keys=["x"]), "^incorrect number of PGP keys for rekey"),
    ],
)
async def test_bad_requests_are_refused_in_vaults_words(node, request_, text):
    with pytest.raises(InvalidRequest, match=text):
        started(node, request_)


async def test_a_backup_keeps_only_encrypted_shares(node, pgp_key):
    request = ShareRequest((Group(1, 1),), pgp_keys=(pgp_key,), backup=True)
    step = await bring(started(node, request), node, node.keys[:2])
    backup = decode(ShareBackup, step.writes[UNSEAL_BACKUP], UNSEAL_BACKUP)
    fingerprint = custodians.pgp_fingerprint(pgp_key)
    answer = backup_answer(backup)
    assert answer["keys"] == {fingerprint: step.answer["keys"]}
    assert answer["keys_base64"] == {fingerprint: step.answer["keys_base64"]}
    assert answer["nonce"] == step.answer["nonce"]
    assert "keys_mnemonic" not in step.answer
    assert step.answer["pgp_fingerprints"] == [fingerprint]


class TestRecoveryShares:
    async def test_they_are_replaced_by_themselves(self, auto):
        step = await bring(started(auto, ShareRequest.of(3, 2), recovery=True), auto, auto.keys)
        assert set(step.writes) == {RECOVERY_CONFIG}
        auto.stored |= step.writes
        with pytest.raises(ShareRejected):
            await bring(started(auto, recovery=True), auto, auto.keys)
        again = await bring(started(auto, recovery=True), auto, step.answer["keys"][1:])
        assert again.answer["complete"]

    async def test_they_are_verified_before_they_count(self, auto):
        state = started(auto, ShareRequest.of(3, 2), recovery=True, require_verification=True)
        step = await bring(state, auto, auto.keys)
        assert step.writes == {}
        new, state = step.answer["keys"], step.state
        for key in new[:2]:
            step = await state.verify(key, state.verify_status()["nonce"], auto.authority)
            state = step.state
        assert set(step.writes) == {RECOVERY_CONFIG}

    async def test_a_shamir_seal_has_none(self, node):
        with pytest.raises(InvalidRequest, match="recovery rekeying not supported"):
            started(node, recovery=True)

    async def test_an_auto_seal_wraps_its_root_key_anew_on_their_word(self, auto):
        step = await bring(started(auto), auto, auto.keys)
        assert set(step.writes) == {ROOT_KEY}
        assert step.answer["keys"] == []
        assert step.writes[ROOT_KEY] != auto.stored[ROOT_KEY]

    async def test_without_them_nobody_can_authorise(self, make_node):
        node = await make_node(None)
        with pytest.raises(InvalidRequest, match="nobody can authorise"):
            started(node)
        with pytest.raises(InvalidRequest, match="nobody can authorise"):
            started(node, recovery=True)
