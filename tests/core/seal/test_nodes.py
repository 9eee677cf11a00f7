"""Ceremonies against a store that others change, and that may refuse: nothing is lost, nothing is undone."""

import asyncio

import pytest

from broker.core.requests import Request
from broker.core.system.ceremony import NEXT_ROOT_KEY, settle_root_key
from broker.plugin.errors import InsufficientStorage, InvalidRequest
from broker.plugin.secret import Secret
from broker.plugin.verbs import Verb
from broker.server.nodepage import NodePage
from tests.core.seal.conftest import TWO_OF_THREE, wait_until


async def ask(worker, verb, path, **data):
    request = Request("1", verb, path, data=data, token=Secret("root"))
    response = await worker.core.handle(request)
    return response.plain.body if response.plain else response.data


async def begin(worker, keys):
    """Start a rekey and bring all these shares but the last; returns the last one's request."""
    nonce = (await ask(worker, Verb.UPDATE, "sys/rekey/init", **TWO_OF_THREE))["nonce"]
    for key in keys[:-1]:
        await ask(worker, Verb.UPDATE, "sys/rekey/update", key=key, nonce=nonce)
    return {"key": keys[-1], "nonce": nonce}


async def test_two_nodes_do_not_undo_each_others_rekey(workers_of):
    one, two = await workers_of(one_node=False)
    keys = one.answer["keys"][:2]
    last = await begin(one, keys)
    done = await ask(two, Verb.UPDATE, "sys/rekey/update", **await begin(two, keys))
    with pytest.raises(InvalidRequest, match="replaced meanwhile"):
        await ask(one, Verb.UPDATE, "sys/rekey/update", **last)
    assert (await ask(one, Verb.READ, "sys/rekey/init"))["started"] is False
    again = await ask(one, Verb.UPDATE, "sys/rekey/update", **await begin(one, done["keys"][1:]))
    assert again["complete"]


async def test_a_store_that_refuses_the_new_shares_leaves_the_ceremony_where_it_was(workers_of, monkeypatch):
    one, _ = await workers_of(one_node=True)
    last = await begin(one, one.answer["keys"][:2])

    async def full(*args, **more):
        raise InsufficientStorage

    with monkeypatch.context() as patch:
        patch.setattr(one.seal_state, "write_raw", full)
        with pytest.raises(InsufficientStorage):
            await ask(one, Verb.UPDATE, "sys/rekey/update", **last)
    status = await ask(one, Verb.READ, "sys/rekey/init")
    assert (status["started"], status["progress"]) == (True, 1)
    assert (await ask(one, Verb.UPDATE, "sys/rekey/update", **last))["complete"]


async def test_the_same_shares_open_a_node_after_another_rotated_the_root_key(workers_of):
    one, two = await workers_of(one_node=False)
    keys = one.answer["keys"]
    one.node.wipe()
    for key in keys[:2]:
        await ask(one, Verb.UPDATE, "sys/unseal", key=key)
    await ask(one, Verb.UPDATE, "sys/rotate/root")
    await ask(one, Verb.UPDATE, "sys/rotate")
    two.node.wipe()
    for key in keys[1:]:
        status = await ask(two, Verb.UPDATE, "sys/unseal", key=key)
    assert status["sealed"] is False
    assert (await ask(two, Verb.READ, "sys/key-status"))["term"] == 2


async def test_a_root_key_whose_worker_died_is_taken_over_by_the_others(workers_of, monkeypatch):
    one, two = await workers_of(one_node=True)
    node, keys = one.node, one.answer["keys"]
    node.wipe()
    for key in keys[:2]:
        await ask(one, Verb.UPDATE, "sys/unseal", key=key)
    before = node.root_key()

    def dies(key):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(node, "replace_root_key", dies)
        with pytest.raises(KeyboardInterrupt):
            await ask(one, Verb.UPDATE, "sys/rotate/root")
    await asyncio.to_thread(wait_until, lambda: node.root_key() != before)
    await ask(two, Verb.UPDATE, "sys/rotate")
    assert (await ask(one, Verb.READ, "sys/key-status"))["term"] == 2


async def test_a_root_key_that_was_never_stored_is_never_taken_over(workers_of):
    one, _ = await workers_of(one_node=True)
    before = one.node.root_key()
    one.node.write_ceremony(NEXT_ROOT_KEY, bytes(32))
    await settle_root_key(one.seal_state)
    assert one.node.root_key() == before
    await ask(one, Verb.UPDATE, "sys/rotate")


def test_a_root_key_that_arrives_after_the_seal_opens_nothing():
    node = NodePage(lock_memory=False)
    node.install_root_key(b"1" * 32)
    node.wipe()
    node.replace_root_key(b"2" * 32)
    assert node.root_key() is None
    with pytest.raises(ValueError, match="32 bytes"):
        node.replace_root_key(b"short")
