import os

import msgspec
import pytest

from broker.barrier import generate_root
from broker.barrier.authority import KeyRefused
from broker.barrier.ceremonies import dump, load
from broker.barrier.encoding import encode
from broker.barrier.generate_root import GenerateRoot, decode_token, newer
from broker.barrier.issue import ShareRequest
from broker.barrier.records import RECOVERY_CONFIG, ROOT_KEY
from broker.barrier.shares import ShareRejected
from broker.plugin.errors import InvalidRequest
from broker.plugin.secret import Secret

TOKEN = Secret("hvs." + "aB3x" * 6)


async def bring(state, node, keys):
    agreed = False
    for key in keys:
        state = load(GenerateRoot, dump(state))
        state, agreed = await state.update(key, state.nonce, node.authority)
    return state, agreed


@pytest.fixture(params=["node", "auto"])
def either(request):
    """A shamir seal's own shares, or an auto seal's recovery shares."""
    return request.getfixturevalue(request.param)


async def test_enough_custodians_agree_on_a_token_only_the_starter_can_read(either):
    state, otp = GenerateRoot.start(random=os.urandom)
    state, agreed = await bring(state, either, either.keys[:1])
    assert not agreed
    state, agreed = await bring(state, either, either.keys[1:2])
    assert agreed
    answer = state.finished(TOKEN, either.records)
    assert TOKEN.reveal() not in str(answer)
    assert decode_token(answer["encoded_token"], otp).reveal() == TOKEN.reveal()
    assert answer["encoded_root_token"] == answer["encoded_token"]
    assert (answer["complete"], answer["progress"], answer["required"], answer["otp"]) == (True, 2, 2, "")


async def test_its_answers_are_vaults(node):
    idle = {
        "nonce": "", "started": False, "progress": 0, "required": 2, "complete": False, "encoded_token": "",
        "encoded_root_token": "", "pgp_fingerprint": "", "otp": "", "otp_length": 28,
    }  # fmt: skip
    assert generate_root.idle_status(node.records) == idle
    state, otp = GenerateRoot.start(random=os.urandom)
    assert len(otp) == 28
    assert state.status(node.records) == idle | {"nonce": state.nonce, "started": True}
    assert state.status(node.records, otp=otp)["otp"] == otp
    assert state.status(node.records, updating=True)["otp_length"] == 0


async def test_its_newer_answers_are_the_peers(node):
    common = {"complete", "progress", "required", "started"}
    assert set(newer(generate_root.idle_status(node.records))) == common | {"otp", "otp_length"}
    state, otp = GenerateRoot.start(random=os.urandom)
    attempt = newer(state.status(node.records, otp=otp))
    assert set(attempt) == common | {"nonce", "otp", "otp_length", "pgp_fingerprint"}
    update = newer(state.status(node.records, updating=True))
    assert set(update) == common | {"nonce", "encoded_token", "pgp_fingerprint"}
    assert newer(state.finished(TOKEN, node.records))["encoded_token"]


async def test_a_password_of_ones_own_is_never_told_back(node):
    state, made = GenerateRoot.start("x" * 28, random=os.urandom)
    assert made == ""
    state, _ = await bring(state, node, node.keys[:2])
    assert (
        decode_token(state.finished(TOKEN, node.records)["encoded_token"], "x" * 28).reveal()
        == TOKEN.reveal()
    )


@pytest.mark.parametrize("otp", ["abc", "x" * 27, "x" * 29, "é" * 28])
def test_a_password_of_another_length_is_refused(otp):
    with pytest.raises(InvalidRequest, match="OTP string has incorrect length"):
        GenerateRoot.start(otp, random=os.urandom)


async def test_a_pgp_key_receives_the_token(node, pgp_key, pgp_decrypt):
    state, made = GenerateRoot.start(pgp_key=pgp_key, random=os.urandom)
    assert made == ""
    assert len(state.status(node.records)["pgp_fingerprint"]) == 40
    state, _ = await bring(state, node, node.keys[:2])
    assert pgp_decrypt(state.finished(TOKEN, node.records)["encoded_token"]) == TOKEN.reveal()


def test_a_bad_pgp_key_is_refused_at_the_start():
    with pytest.raises(InvalidRequest, match="error parsing PGP key: error decoding given PGP key"):
        GenerateRoot.start(pgp_key="abc", random=os.urandom)


async def test_a_bad_share_or_nonce_disturbs_nothing(node, make_node):
    stranger = await make_node(ShareRequest.of(3, 2))
    state, _ = GenerateRoot.start(random=os.urandom)
    state, _ = await bring(state, node, node.keys[:1])
    with pytest.raises(
        InvalidRequest, match="incorrect nonce supplied; nonce for this root generation operation"
    ):
        await state.update(node.keys[1], "x", node.authority)
    for bad in (node.keys[0], stranger.keys[1], "zz"):
        with pytest.raises(ShareRejected):
            await state.update(bad, state.nonce, node.authority)
    assert (await bring(state, node, node.keys[1:2]))[1]


async def test_genuine_shares_authorise_nothing_if_they_do_not_open_the_root_key_in_use(node, make_node):
    other = await make_node(ShareRequest.of(3, 2))
    node.stored[ROOT_KEY] = other.stored[ROOT_KEY]
    state, _ = GenerateRoot.start(random=os.urandom)
    with pytest.raises(KeyRefused):
        await bring(state, node, node.keys[:2])


async def test_an_altered_recovery_record_authorises_nothing(auto):
    recovery = auto.records.recovery
    bent = msgspec.structs.replace(
        recovery, verifier=recovery.verifier[:-1] + bytes([recovery.verifier[-1] ^ 1])
    )
    auto.stored[RECOVERY_CONFIG] = encode(bent)
    state, _ = GenerateRoot.start(random=os.urandom)
    with pytest.raises(KeyRefused):
        await bring(state, auto, auto.keys)


def test_its_repr_hides_the_password():
    state, otp = GenerateRoot.start(random=os.urandom)
    assert otp not in repr(state)
