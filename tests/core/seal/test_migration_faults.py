"""A migration that is cut off: the store is sealed by the old seal or by the new one, never by neither."""

import asyncio

import pytest

from broker.core.system.unsealing import open_by_itself
from broker.plugin.errors import InsufficientStorage, InvalidRequest, Unavailable
from broker.plugin.verbs import Verb
from tests.core.seal.nodes import SHAMIR, Node, static

A, B = static("a"), static("b")
WAYS = {"to static": (SHAMIR, A), "to shamir": (A, SHAMIR), "to another static": (A, B)}


@pytest.fixture(params=WAYS.values(), ids=WAYS)
async def way(request, tmp_path):
    """A node at the last share of a move: the node, the seal it leaves and the one it moves to."""
    old, new = request.param
    node = Node(tmp_path / "data", workers=2)
    await node.restart(old)
    kind = "recovery" if old is A else "secret"
    await node.init(**{f"{kind}_shares": 3, f"{kind}_threshold": 2})
    await moving(node, old, new)
    await node.put("sys/unseal", key=node.keys[0], migrate=True)
    yield node, old, new
    await node.close()


async def moving(node, old, new):
    """Start with the configuration of the move."""
    return await node.restart(new, old if old is A else None)


async def last(node, worker=0, key=1):
    return await node.ask(Verb.UPDATE, "sys/unseal", worker=worker, key=node.keys[key], migrate=True)


async def opens(node, seal):
    """Start with this seal alone, bring shares if it needs them, and see whether all is there."""
    if not await node.restart(seal):
        for key in node.keys[1:]:
            await node.put("sys/unseal", key=key)
    return await node.is_open()


def dying(state, monkeypatch, *, after):
    """Let the worker die at the commit: before it is made, or after it and before anything else."""
    write = state.write_raw

    async def dies(*args, **more):
        if after:
            assert await write(*args, **more)
        raise KeyboardInterrupt

    monkeypatch.setattr(state, "write_raw", dies)


async def test_killed_before_the_commit_the_old_seal_opens_it(way, monkeypatch):
    node, old, _ = way
    dying(node.worker.seal_state, monkeypatch, after=False)
    with pytest.raises(KeyboardInterrupt):
        await last(node)
    assert await opens(node, old)


async def test_killed_after_the_commit_the_new_seal_opens_it(way, monkeypatch):
    node, _, new = way
    dying(node.worker.seal_state, monkeypatch, after=True)
    with pytest.raises(KeyboardInterrupt):
        await last(node)
    assert await opens(node, new)


async def test_the_death_of_the_worker_that_moved_it_is_made_good_by_the_others(way, monkeypatch):
    node, _, new = way
    dying(node.worker.seal_state, monkeypatch, after=True)
    with pytest.raises(KeyboardInterrupt):
        await last(node)
    status = await node.ask(Verb.READ, "sys/seal-status", worker=1)
    assert (status["sealed"], status["migration"]) == (True, False), "moved, and not opened yet"
    if new is SHAMIR:
        await node.ask(Verb.UPDATE, "sys/unseal", worker=1, key=node.keys[2], migrate=True)
    else:
        assert await open_by_itself(node.workers[1].parts), "as the worker that takes the place does"
    assert await node.is_open()


@pytest.mark.parametrize("error", [InsufficientStorage, Unavailable])
async def test_a_store_that_refuses_leaves_the_attempt_where_it_was(way, monkeypatch, error):
    node, _, new = way

    async def refuses(*args, **more):
        raise error("no")

    with monkeypatch.context() as patch:
        patch.setattr(node.worker.seal_state, "write_raw", refuses)
        with pytest.raises(error):
            await last(node)
    status = await node.status()
    assert (status["sealed"], status["migration"], status["progress"]) == (True, True, 1)
    await last(node)
    assert await node.is_open()
    assert await opens(node, new)


async def test_a_store_that_was_put_back_is_not_moved(way, monkeypatch):
    node, old, _ = way

    async def refuses(root):
        raise InvalidRequest("an older copy was put back")

    before = await node.worker.seal_state.records()
    monkeypatch.setattr(node.worker.anchors, "admit", refuses)
    with pytest.raises(InvalidRequest, match="put back"):
        await last(node)
    assert await node.worker.seal_state.records() == before
    assert await opens(node, old)


async def test_of_two_last_shares_at_two_workers_one_moves_it_and_both_are_welcome(way, monkeypatch):
    node, _, new = way
    both, commits = asyncio.Barrier(2), []
    for worker in node.workers:
        write = worker.seal_state.write_raw

        async def together(*args, _write=write, **more):
            if len(commits) < 2:
                await both.wait()
            commits.append(await _write(*args, **more))
            return commits[-1]

        monkeypatch.setattr(worker.seal_state, "write_raw", together)
    statuses = await asyncio.gather(last(node, 0, 1), last(node, 1, 2))
    assert sorted(commits) == [False, True]
    assert [status["sealed"] for status in statuses] == [False, False]
    assert await node.is_open()
    assert await opens(node, new)


async def test_a_share_on_its_way_does_not_open_what_is_sealed_meanwhile(way, monkeypatch):
    node, _, new = way
    write = node.worker.seal_state.write_raw

    async def sealed_meanwhile(*args, **more):
        done = await write(*args, **more)
        node.worker.node.wipe()
        return done

    monkeypatch.setattr(node.worker.seal_state, "write_raw", sealed_meanwhile)
    assert (await last(node))["sealed"] is True
    monkeypatch.undo()
    assert await opens(node, new)


async def test_another_node_that_moved_it_first_is_noticed(way, tmp_path):
    node, old, new = way
    other = Node(tmp_path / "data")
    other.root, other.keys = node.root, node.keys
    await moving(other, old, new)
    for key in node.keys[:2]:
        await other.put("sys/unseal", key=key, migrate=True)
    assert await other.is_open()
    assert (await node.status())["migration"] is False
    await node.put("sys/unseal", key=node.keys[1], migrate=other.worker.parts.seals.retired is not None)
    assert await node.is_open()
    await other.close()


async def test_a_node_with_the_seal_of_before_changes_nothing_under_it(way, tmp_path):
    node, old, new = way
    stale = Node(tmp_path / "data")
    stale.root, stale.keys = node.root, node.keys
    if not await stale.restart(old):
        for key in node.keys[1:]:
            await stale.put("sys/unseal", key=key)
    assert await stale.is_open()
    await last(node)
    with pytest.raises(InvalidRequest):
        await stale.put("sys/rotate/root")
    assert await opens(node, new)
    await stale.close()
