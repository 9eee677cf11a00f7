import os
from itertools import combinations, permutations

import pytest

from broker.barrier import ceremonies
from broker.barrier.authority import KeyRefused
from broker.barrier.initialise import AlreadyInitialized, check_uninitialised
from broker.barrier.issue import ShareRequest
from broker.barrier.progress import Progress
from broker.barrier.records import KEYRING, PATHS, ROOT_KEY, SEAL_CONFIG, BarrierRecords
from broker.barrier.shares import Share, ShareRejected
from broker.barrier.unseal import (
    About,
    SealRefused,
    open_barrier,
    reset,
    seal_status,
    submit,
)
from broker.plugin.errors import ConfigError, InvalidRequest, NotInitialized, Tampered
from broker.plugin.secret import Secret

ABOUT = About("1.0", "2030-01-01T00:00:00Z", "inmem")


async def test_every_pair_of_shares_in_any_order_unseals(node):
    for pair in combinations(node.keys, 2):
        for keys in permutations(pair):
            unsealed = await node.opened_by(list(keys))
            assert unsealed is not None
            assert unsealed.root_key.reveal() == node.unsealed.root_key.reveal()
            assert unsealed.keyring == node.unsealed.keyring


async def test_one_share_of_two_does_not(node):
    assert await node.opened_by(node.keys[:1]) is None


async def test_groups_unseal_only_when_enough_of_them_are_complete(company):
    security, operations, board = company.keys[:5], company.keys[5:8], company.keys[8:]
    assert await company.opened_by([*security, operations[0]]) is None
    assert await company.opened_by([*security[:2], *operations[:1], *board]) is None
    assert await company.opened_by([*security[2:], *operations[1:]]) is not None
    assert await company.opened_by([operations[0], *board, operations[2]]) is not None


async def test_each_share_may_land_on_another_worker_and_a_death_loses_none(node):
    """Between two shares only the bytes of the node page remain."""
    page, unsealed = None, None
    for key in node.keys[:2]:
        before = ceremonies.load(Progress, page)
        progress, unsealed = await submit(before, key, node.records, node.seal, random=os.urandom)
        page = ceremonies.dump(progress)
    assert unsealed is not None
    assert page is None


async def test_a_bad_share_names_its_check_and_disturbs_nothing(node, make_node):
    stranger = await make_node(ShareRequest.of(3, 2))
    progress, _ = await submit(None, node.keys[0], node.records, node.seal, random=os.urandom)
    bent = node.keys[1][:-6] + ("00" if node.keys[1][-6:-4] != "00" else "11") + node.keys[1][-4:]
    for bad, check in (
        (node.keys[0], "duplicate"),
        (bent, "checksum"),
        ("zz", "malformed"),
        (stranger.keys[1], "other ceremony"),
    ):
        with pytest.raises(ShareRejected) as caught:
            await submit(progress, bad, node.records, node.seal, random=os.urandom)
        assert caught.value.check == check
    _, unsealed = await submit(progress, node.keys[1], node.records, node.seal, random=os.urandom)
    assert unsealed is not None


async def test_progress_is_thrown_out_only_by_its_nonce(node):
    progress, _ = await submit(None, node.keys[0], node.records, node.seal, random=os.urandom)
    for nonce in ("", "x", progress.nonce[:-1]):
        with pytest.raises(InvalidRequest, match="nonce"):
            reset(progress, nonce)
    reset(progress, progress.nonce)
    reset(None, "")


@pytest.mark.parametrize("path", [ROOT_KEY, KEYRING])
async def test_an_altered_record_never_gives_a_wrong_key(node, path):
    data = node.stored[path]
    at = data.index(b'"wrapped":"') + 40
    node.stored[path] = data[:at] + (b"A" if data[at : at + 1] != b"A" else b"B") + data[at + 1 :]
    with pytest.raises(KeyRefused):
        await node.opened_by(node.keys[:2])


async def test_records_of_another_barrier_do_not_mix(node, make_node):
    other = await make_node(ShareRequest.of(3, 2))
    for path in (ROOT_KEY, KEYRING):
        mixed = {**node.stored, path: other.stored[path]}
        with pytest.raises(KeyRefused):
            await open_barrier(BarrierRecords.load(mixed), node.seal, node.unsealed.seal_key)


async def test_an_auto_seal_opens_alone_or_on_the_word_of_recovery_shares(auto):
    unsealed = await open_barrier(auto.records, auto.seal, None)
    assert unsealed.root_key.reveal() == auto.unsealed.root_key.reveal()
    opened = await auto.opened_by(auto.keys)
    assert opened.root_key.reveal() == auto.unsealed.root_key.reveal()
    assert opened.seal_key is None


async def test_an_auto_seal_without_recovery_shares_takes_none(auto, make_node):
    alone = await make_node(None)
    with pytest.raises(InvalidRequest, match="takes no shares"):
        await submit(None, auto.keys[0], alone.records, alone.seal, random=os.urandom)


async def test_an_auto_seal_with_another_key_says_so(auto, make_node):
    other = await make_node(None)
    with pytest.raises(SealRefused, match='the seal "local" does not open the stored root key'):
        await open_barrier(auto.records, other.seal, None)


async def test_an_uninitialised_store_is_known_as_such(node):
    with pytest.raises(NotInitialized):
        BarrierRecords.load({})
    check_uninitialised(dict.fromkeys(PATHS))
    for path in node.stored:
        with pytest.raises(AlreadyInitialized, match="Vault is already initialized"):
            check_uninitialised({path: node.stored[path]})


@pytest.mark.parametrize("path", [SEAL_CONFIG, ROOT_KEY, KEYRING])
async def test_a_missing_or_malformed_record_is_named(node, path):
    for data in (None, b"", b"{}", b'{"v":1}', b"\xff\xfe"):
        with pytest.raises(Tampered, match=path):
            BarrierRecords.load({**node.stored, path: data})


async def test_a_record_of_a_newer_version_is_a_clear_error(node):
    node.stored[SEAL_CONFIG] = node.stored[SEAL_CONFIG].replace(b'"v":1', b'"v":2', 1)
    with pytest.raises(ConfigError, match="format 2"):
        _ = node.records


async def test_no_key_or_share_stands_in_what_is_stored(company):
    stored = b"".join(company.stored.values())
    import base64

    secrets = [company.unsealed.root_key.reveal(), company.unsealed.seal_key.reveal()]
    secrets += [company.unsealed.keyring.key(1), company.unsealed.keyring.root_secret]
    secrets += [Share.parse(key).slip39().value for key in company.keys]
    for secret in secrets:
        assert secret not in stored
        assert secret.hex().encode() not in stored
        assert base64.b64encode(secret) not in stored


async def test_no_repr_shows_a_secret(company):
    shown = repr((company.made, company.authority, company.unsealed, company.records))
    assert "<secret>" not in shown, "not even masked: these fields are left out"
    assert company.unsealed.root_key.reveal().hex() not in shown
    assert not any(key in shown for key in company.keys)


class TestInit:
    async def test_its_answer_is_vaults_plus_words(self, node):
        answer = node.made.answer(Secret("hvs.x"))
        assert list(answer) == ["keys", "keys_base64", "keys_mnemonic", "root_token"]
        assert answer["root_token"] == "hvs.x"
        assert [Share.parse(words).hex for words in answer["keys_mnemonic"]] == answer["keys"] == node.keys
        assert [Share.parse(text).hex for text in answer["keys_base64"]] == node.keys

    async def test_an_auto_seal_answers_recovery_keys(self, auto):
        answer = auto.made.answer(Secret("hvs.x"))
        assert answer["keys"] == answer["keys_base64"] == []
        assert len(answer["recovery_keys"]) == len(answer["recovery_keys_base64"]) == 2

    async def test_two_inits_share_nothing(self, node, make_node):
        other = await make_node(ShareRequest.of(3, 2))
        assert other.unsealed.root_key.reveal() != node.unsealed.root_key.reveal()
        assert other.unsealed.keyring != node.unsealed.keyring
        assert not set(other.keys) & set(node.keys)

    @pytest.mark.parametrize(
        ("shares", "text"),
        [
            (ShareRequest.of(0, 0), "invalid seal configuration: shares must be at least one"),
            (ShareRequest.of(5, 0), "invalid seal configuration: threshold must be at least one"),
            (
                ShareRequest.of(5, 1),
                "invalid seal configuration: threshold must be greater than one for multiple",
            ),
            (ShareRequest.of(5, 6), "invalid seal configuration: threshold cannot be larger than shares"),
            (ShareRequest.of(256, 3), "invalid seal configuration: shares must be less than 256"),
            (ShareRequest.of(17, 3), "invalid seal configuration: shares must be at most 16"),
            (ShareRequest.of(5, 3, pgp_keys=["a"]), "invalid seal configuration: count mismatch"),
        ],
    )
    async def test_bad_shapes_are_refused_in_vaults_words(self, make_node, shares, text):
        with pytest.raises(InvalidRequest, match=text):
            await make_node(shares)

    async def test_shares_and_recovery_shares_are_not_mixed_up(self, make_node, node, auto):
        two = ShareRequest.of(2, 2)
        with pytest.raises(
            InvalidRequest, match="recovery_shares,recovery_threshold not applicable to seal type"
        ):
            await make_node(two, two, node.seal)
        with pytest.raises(
            InvalidRequest, match="secret_shares,secret_threshold not applicable to seal type"
        ):
            await make_node(two, None, auto.seal)
        with pytest.raises(InvalidRequest, match="invalid recovery configuration"):
            await make_node(None, ShareRequest.of(3, 1))


class TestSealStatus:
    keys = ("type", "initialized", "sealed", "t", "n", "progress", "nonce", "recovery_seal", "version",
            "commit_date", "migration", "storage_type")  # fmt: skip

    async def test_before_init(self):
        status = seal_status(ABOUT, None, None, configured="shamir", auto=False, sealed=True)
        assert tuple(status) == self.keys
        assert (status["initialized"], status["t"], status["n"], status["nonce"]) == (False, 0, 0, "")

    async def test_during_unseal(self, node):
        progress, _ = await submit(None, node.keys[0], node.records, node.seal, random=os.urandom)
        status = seal_status(ABOUT, node.records, progress, configured="shamir", auto=False, sealed=True)
        assert tuple(status) == self.keys
        assert (status["t"], status["n"], status["progress"]) == (2, 3, 1)
        assert status["nonce"] == progress.nonce != ""

    async def test_groups_have_a_bar_each(self, company):
        status = seal_status(ABOUT, company.records, None, configured="shamir", auto=False, sealed=True)
        assert (status["t"], status["n"], status["group_threshold"]) == (3, 9, 2)
        assert [row["name"] for row in status["groups"]] == ["security", "operations", "board"]

    async def test_an_auto_seal_counts_recovery_shares(self, auto):
        about = About("1.0", "d", "inmem", "cluster", "id")
        status = seal_status(about, auto.records, None, configured="local", auto=True, sealed=False)
        assert (status["recovery_seal"], status["recovery_seal_type"]) == (True, "shamir")
        assert (status["t"], status["n"], status["cluster_id"]) == (2, 2, "id")
