"""A seal that opens by itself: recovery shares authorise what shares would."""

import asyncio
import base64

import pytest

from broker.barrier.unseal import SealRefused
from broker.core.system.unsealing import open_by_itself
from broker.plugin.errors import InvalidRequest
from broker.plugin.verbs import Verb
from tests.core.seal.nodes import Node, static


@pytest.fixture
async def node(tmp_path):
    made = Node(tmp_path / "data")
    assert await made.restart(static("a")) is False, "an empty store was opened"
    await made.init(recovery_shares=3, recovery_threshold=2)
    yield made
    await made.close()


async def test_it_is_open_after_init_and_opens_by_itself_after_a_restart(node):
    status = await node.ask(Verb.READ, "sys/seal-status")
    assert (status["sealed"], status["recovery_seal"], status["t"], status["n"]) == (False, True, 2, 3)
    assert await node.restart(static("a"))
    assert (await node.ask(Verb.READ, "auth/token/lookup-self"))["policies"] == ["root"]


async def test_sealed_by_hand_it_stays_sealed_until_a_restart(node):
    await node.put("sys/seal")
    assert not await open_by_itself(node.worker.parts)
    assert (await node.ask(Verb.READ, "sys/seal-status"))["sealed"]
    assert await node.restart(static("a"))


async def test_sealed_by_hand_recovery_shares_open_it_again(node):
    await node.put("sys/seal")
    assert (await node.put("sys/unseal", key=node.keys[0]))["progress"] == 1
    assert (await node.put("sys/unseal", key=node.keys[2]))["sealed"] is False
    assert (await node.ask(Verb.READ, "auth/token/lookup-self"))["policies"] == ["root"]


async def test_without_recovery_shares_it_takes_none(node, tmp_path):
    fresh = Node(tmp_path / "fresh")
    await fresh.restart(static("a"))
    await fresh.init()
    await fresh.put("sys/seal")
    with pytest.raises(InvalidRequest, match="opens by itself and takes no shares"):
        await fresh.put("sys/unseal", key=node.keys[0])
    await fresh.close()


async def test_shares_of_another_kind_of_seal_are_refused_at_init(tmp_path):
    fresh = Node(tmp_path / "fresh")
    await fresh.restart(static("a"))
    with pytest.raises(InvalidRequest, match="secret_shares"):
        await fresh.put("sys/init", secret_shares=3, secret_threshold=2)
    await fresh.close()


@pytest.mark.parametrize("base", ["sys/rekey-recovery-key", "sys/rotate/recovery"])
async def test_recovery_shares_are_replaced_by_a_quorum_of_them(node, base):
    started = await node.put(f"{base}/init", secret_shares=2, secret_threshold=2, require_verification=True)
    for key in node.keys[:2]:
        made = await node.put(f"{base}/update", key=key, nonce=started["nonce"])
    for key in made["keys"]:
        done = await node.put(f"{base}/verify", key=key, nonce=made["verification_nonce"])
    assert done["complete"]
    attempt = await node.put("sys/generate-root/attempt")
    with pytest.raises(InvalidRequest, match="another ceremony"):
        await node.put("sys/generate-root/update", key=node.keys[0], nonce=attempt["nonce"])
    for key in made["keys"]:
        done = await node.put("sys/generate-root/update", key=key, nonce=attempt["nonce"])
    encoded = base64.b64decode(done["encoded_token"] + "==")
    node.root = bytes(a ^ b for a, b in zip(encoded, attempt["otp"].encode(), strict=True)).decode()
    assert (await node.ask(Verb.READ, "auth/token/lookup-self"))["policies"] == ["root"]


async def test_the_root_key_is_rotated_and_wrapped_anew_without_people(node):
    before = node.worker.node.root_key()
    await node.put("sys/rotate/root")
    assert node.worker.node.root_key() != before
    await node.put("sys/rotate")
    assert await node.restart(static("a"))
    assert (await node.ask(Verb.READ, "sys/key-status"))["term"] == 2


async def test_a_rekey_by_recovery_shares_wraps_the_root_key_anew(node):
    started = await node.put("sys/rekey/init")
    for key in node.keys[1:]:
        done = await node.put("sys/rekey/update", key=key, nonce=started["nonce"])
    assert done["complete"] and done["keys"] == []
    assert await node.restart(static("a"))


async def test_a_new_key_takes_over_and_the_old_one_may_go(node):
    old = b"a".hex() * 32
    assert await node.restart(static("b", previous_key_id="a", previous_key=old))
    assert await node.restart(static("b"))
    assert await node.is_open()
    with pytest.raises(SealRefused, match='wrapped under the key id "b", the configuration has "a"'):
        await node.restart(static("a"))
    await node.put("sys/unseal", key=node.keys[0])
    with pytest.raises(SealRefused, match='wrapped under the key id "b"'):
        await node.put("sys/unseal", key=node.keys[1])
    assert (await node.status())["sealed"]


async def test_the_first_recovery_shares_are_made_on_the_word_of_a_token(tmp_path):
    fresh = Node(tmp_path / "fresh")
    await fresh.restart(static("a"))
    await fresh.init()
    with pytest.raises(InvalidRequest, match="no recovery shares, so nobody can authorise this; the first"):
        await fresh.put("sys/rekey-recovery-key/init", secret_shares=3, secret_threshold=2)
    made = await fresh.put("sys/rotate/recovery/init", secret_shares=3, secret_threshold=2)
    assert (made["complete"], made["t"], made["n"]) == (True, 2, 3)
    await fresh.put("sys/seal")
    await fresh.put("sys/unseal", key=made["keys"][0])
    await fresh.put("sys/unseal", key=made["keys"][1])
    assert await fresh.is_open()
    again = await fresh.put("sys/rotate/recovery/init", secret_shares=2, secret_threshold=2)
    assert (again.get("complete"), again["required"]) == (None, 2), "from now on shares authorise"
    await fresh.close()


async def test_first_recovery_shares_may_have_to_be_proven(tmp_path):
    fresh = Node(tmp_path / "fresh")
    await fresh.restart(static("a"))
    await fresh.init()
    wanted = {"secret_shares": 2, "secret_threshold": 2, "require_verification": True}
    made = await fresh.put("sys/rotate/recovery/init", **wanted)
    assert (await fresh.status())["n"] == 0, "not in force yet"
    for key in made["keys"]:
        done = await fresh.put("sys/rotate/recovery/verify", key=key, nonce=made["verification_nonce"])
    assert done["complete"]
    assert (await fresh.status())["n"] == 2
    await fresh.close()


async def test_of_two_first_sets_of_recovery_shares_one_is_made(tmp_path):
    fresh = Node(tmp_path / "fresh", workers=2)
    await fresh.restart(static("a"))
    await fresh.init()
    asked = [
        fresh.ask(Verb.UPDATE, "sys/rotate/recovery/init", worker=n, secret_shares=2 + n, secret_threshold=2)
        for n in (0, 1)
    ]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    [made] = [outcome for outcome in outcomes if isinstance(outcome, dict) and "keys" in outcome]
    assert (await fresh.status())["n"] == len(made["keys"])
    await fresh.close()
