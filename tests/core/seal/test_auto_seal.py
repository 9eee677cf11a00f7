"""A seal that opens by itself: recovery shares authorise what shares would."""

import base64
import os
from dataclasses import replace

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from broker.core.compose import Application, prepare
from broker.core.requests import Request
from broker.core.seals import NamedSeal, Seals
from broker.core.system.unsealing import open_by_itself
from broker.plugin.context import Connection
from broker.plugin.errors import InvalidRequest, Tampered
from broker.plugin.seal import Seal, SealKind
from broker.plugin.secret import Secret
from broker.plugin.verbs import Verb
from broker.server.nodepage import NodePage
from broker.server.settings import ServerConfig, StorageStanza

KEY = os.urandom(32)


class LocalSeal(Seal):
    """An auto seal whose key lies in this process."""

    kind = SealKind.AUTO

    async def wrap(self, root_key, key):
        nonce = os.urandom(12)
        return nonce + AESGCM(KEY).encrypt(nonce, root_key.reveal(), None)

    async def unwrap(self, wrapped, key):
        try:
            return Secret(AESGCM(KEY).decrypt(wrapped[:12], wrapped[12:], None))
        except InvalidTag:
            raise Tampered("the root key does not open") from None


class Node:
    """One worker of one node; ``restart`` starts it anew over the same store."""

    def __init__(self, folder):
        self._config = ServerConfig(
            listeners=(), storage=StorageStanza("sqlite", {"path": str(folder)}), disable_mlock=True
        )
        self.worker = None
        self.root = ""

    async def restart(self):
        if self.worker is not None:
            await self.worker.close()
        prepared = prepare(self._config)
        prepared = replace(prepared, seals=Seals(NamedSeal("local", LocalSeal())))
        self.worker = Application(prepared, node=NodePage(lock_memory=False))
        return await open_by_itself(self.worker.parts)

    async def ask(self, verb, path, **data):
        token = Secret(self.root) if self.root else None
        response = await self.worker.core.handle(
            Request("1", verb, path, data=data, token=token, connection=Connection("127.0.0.1"))
        )
        return response.plain.body if response.plain else response.data

    async def put(self, path, **data):
        return await self.ask(Verb.UPDATE, path, **data)


@pytest.fixture
async def node(tmp_path):
    made = Node(tmp_path / "data")
    assert await made.restart() is False, "an empty store was opened"
    answer = await made.put("sys/init", recovery_shares=3, recovery_threshold=2)
    made.root, made.keys = answer["root_token"], answer["recovery_keys"]
    assert answer["keys"] == []
    yield made
    await made.worker.close()


async def test_it_is_open_after_init_and_opens_by_itself_after_a_restart(node):
    status = await node.ask(Verb.READ, "sys/seal-status")
    assert (status["sealed"], status["recovery_seal"], status["t"], status["n"]) == (False, True, 2, 3)
    assert await node.restart()
    assert (await node.ask(Verb.READ, "auth/token/lookup-self"))["policies"] == ["root"]


async def test_sealed_by_hand_it_stays_sealed_until_a_restart(node):
    await node.put("sys/seal")
    assert not await open_by_itself(node.worker.parts)
    assert (await node.ask(Verb.READ, "sys/seal-status"))["sealed"]
    assert await node.restart()


async def test_sealed_by_hand_recovery_shares_open_it_again(node):
    await node.put("sys/seal")
    assert (await node.put("sys/unseal", key=node.keys[0]))["progress"] == 1
    assert (await node.put("sys/unseal", key=node.keys[2]))["sealed"] is False
    assert (await node.ask(Verb.READ, "auth/token/lookup-self"))["policies"] == ["root"]


async def test_without_recovery_shares_it_takes_none(node, tmp_path):
    fresh = Node(tmp_path / "fresh")
    await fresh.restart()
    fresh.root = (await fresh.put("sys/init"))["root_token"]
    await fresh.put("sys/seal")
    with pytest.raises(InvalidRequest, match="opens by itself and takes no shares"):
        await fresh.put("sys/unseal", key=node.keys[0])
    await fresh.worker.close()


async def test_shares_of_another_kind_of_seal_are_refused_at_init(tmp_path):
    fresh = Node(tmp_path / "fresh")
    await fresh.restart()
    with pytest.raises(InvalidRequest, match="secret_shares"):
        await fresh.put("sys/init", secret_shares=3, secret_threshold=2)
    await fresh.worker.close()


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
    assert await node.restart()
    assert (await node.ask(Verb.READ, "sys/key-status"))["term"] == 2


async def test_a_rekey_by_recovery_shares_wraps_the_root_key_anew(node):
    started = await node.put("sys/rekey/init")
    for key in node.keys[1:]:
        done = await node.put("sys/rekey/update", key=key, nonce=started["nonce"])
    assert done["complete"] and done["keys"] == []
    assert await node.restart()
