"""Moving to another seal: who may, what is told meanwhile, and what a node with the wrong configuration says."""

import base64
from contextlib import suppress

import pytest

from broker.barrier.shares import Share
from broker.plugin.errors import ConfigError, InvalidRequest
from broker.plugin.verbs import Verb
from tests.core.seal.nodes import SHAMIR, Node, static

A, B = static("a"), static("b")
GROUPS = {
    "secret_groups": [
        {"name": "security", "threshold": 2, "count": 3},
        {"name": "board", "threshold": 1, "count": 1},
    ],
    "group_threshold": 2,
}


@pytest.fixture
async def node(tmp_path):
    made = Node(tmp_path / "data", workers=2)
    yield made
    await made.close()


@pytest.fixture
async def by_people(node):
    """A node sealed by two of three shares, about to move to the static seal ``a``."""
    await node.restart(SHAMIR)
    await node.init(secret_shares=3, secret_threshold=2)
    assert await node.restart(A) is False, "a node that has to move opened by itself"
    return node


@pytest.fixture
async def by_itself(node):
    """A node with the static seal ``a`` and two of three recovery shares; each test says where it moves to."""
    await node.restart(A)
    await node.init(recovery_shares=3, recovery_threshold=2)
    return node


async def give(node, *keys, **more):
    for key in keys:
        status = await node.put("sys/unseal", key=key, migrate=True, **more)
    return status


def told(status):
    return {
        name: status[name] for name in ("type", "recovery_seal", "sealed", "t", "n", "progress", "migration")
    }


async def test_from_shares_to_a_seal_that_opens_by_itself(by_people):
    node = by_people
    assert told(await node.status()) == {
        "type": "static",
        "recovery_seal": True,
        "sealed": True,
        "t": 2,
        "n": 3,
        "progress": 0,
        "migration": True,
    }
    assert (await give(node, node.keys[0]))["progress"] == 1
    done = await give(node, node.keys[2])
    assert (done["sealed"], done["migration"], done["progress"]) == (False, False, 0)
    assert await node.is_open()
    assert await node.restart(A), "it opens by itself from now on"
    await node.put("sys/seal")
    assert (await node.put("sys/unseal", key=node.keys[0]))["progress"] == 1
    await node.put("sys/unseal", key=node.keys[1])
    assert await node.is_open(), "the unseal shares are recovery shares now"


async def test_from_a_seal_that_opens_by_itself_to_shares(by_itself):
    node = by_itself
    assert await node.restart(SHAMIR, A) is False
    status = await node.status()
    assert (status["type"], status["recovery_seal"], status["migration"]) == ("shamir", False, True)
    await give(node, *node.keys[:2])
    assert await node.is_open()
    await node.put("sys/rotate/root")  # needs the seal key: the node holds what the shares restored
    for disabled in (None, A):  # whether or not the stanza of the seal that was left is still there
        assert await node.restart(SHAMIR, disabled) is False
        assert (await node.status())["migration"] is False
        for key in node.keys[1:]:
            await node.put("sys/unseal", key=key)
        assert await node.is_open()
    with pytest.raises(InvalidRequest, match="recovery rekeying not supported"):
        await node.ask(Verb.READ, "sys/rekey-recovery-key/init")


async def test_from_one_static_seal_to_another(by_itself):
    node = by_itself
    assert await node.restart(B, A) is False
    assert (await node.status())["migration"] is True
    await give(node, *node.keys[:2])
    assert await node.is_open()
    assert await node.restart(B, A), (
        "what was left may stay in the configuration: the node opens all the same"
    )
    assert await node.restart(B)
    attempt = await node.put("sys/generate-root/attempt")
    for key in node.keys[:2]:
        done = await node.put("sys/generate-root/update", key=key, nonce=attempt["nonce"])
    assert done["complete"], "the recovery shares are the same"


async def test_a_share_says_whether_it_is_to_migrate(by_people):
    node = by_people
    with pytest.raises(InvalidRequest, match="migrate option not provided and seal migration is pending"):
        await node.put("sys/unseal", key=node.keys[0])
    assert (await node.status())["progress"] == 0
    await node.restart(SHAMIR)
    with pytest.raises(InvalidRequest, match="can't perform a seal migration, no migration seal found"):
        await give(node, node.keys[0])
    for key in node.keys[:2]:
        await node.put("sys/unseal", key=key)
    assert await node.is_open(), "as long as nothing has moved the old configuration opens"


async def test_a_refused_share_names_its_check_and_changes_nothing(by_people, tmp_path):
    node, stranger = by_people, Node(tmp_path / "other")
    await stranger.restart(SHAMIR)
    await stranger.init(secret_shares=3, secret_threshold=2)
    await give(node, node.keys[0])
    before = await node.status(), await node.worker.seal_state.records()
    damaged = node.keys[1][:20] + ("1" if node.keys[1][20] != "1" else "2") + node.keys[1][21:]
    for bad, check in (
        ("zz", "33 words"),
        (damaged, "checksum is wrong"),
        (stranger.keys[0], "another ceremony"),
        (node.keys[0], "already been provided"),
    ):
        with pytest.raises(InvalidRequest, match=check):
            await give(node, bad)
    assert (await node.status(), await node.worker.seal_state.records()) == before
    await give(node, node.keys[1])
    assert await node.is_open()
    await stranger.close()


async def test_the_attempt_ends_by_its_nonce(by_people):
    node = by_people
    nonce = (await give(node, node.keys[0]))["nonce"]
    with pytest.raises(InvalidRequest, match="nonce"):
        await node.put("sys/unseal", reset=True, migrate=True)
    status = await node.put("sys/unseal", reset=True, nonce=nonce)
    assert (status["progress"], status["migration"]) == (0, True)
    await give(node, *node.keys[:2])
    assert await node.is_open()


async def test_groups_and_every_spelling_of_a_share_go_along(node):
    await node.restart(SHAMIR)
    await node.init(**GROUPS)
    security, board = node.keys[:3], node.keys[3]
    words = Share.parse(security[0]).words
    in_base64 = base64.b64encode(bytes.fromhex(security[2])).decode()
    await node.restart(A)
    status = await give(node, words, board)
    assert [(group["name"], group["progress"]) for group in status["groups"]] == [
        ("security", 1),
        ("board", 1),
    ]
    await give(node, in_base64)
    assert await node.is_open()
    await node.restart(SHAMIR, A)
    assert [group["name"] for group in (await node.status())["groups"]] == ["security", "board"]
    await give(node, board, security[1].upper(), words)
    await node.restart(SHAMIR)
    for key in (security[1], security[2], board):
        await node.put("sys/unseal", key=key)
    assert await node.is_open()


async def test_without_recovery_shares_nobody_can_move_it(node, by_people, tmp_path):
    alone = Node(tmp_path / "alone")
    await alone.restart(A)
    await alone.init()
    await alone.restart(SHAMIR, A)
    with pytest.raises(InvalidRequest, match="nobody can authorise a seal migration"):
        await give(alone, by_people.keys[0])
    assert await alone.restart(A)
    await alone.close()


async def test_a_disabled_stanza_with_another_key_is_told(by_itself):
    node = by_itself
    await node.restart(SHAMIR, B)
    await give(node, node.keys[0])
    with pytest.raises(InvalidRequest, match='wrapped under the key id "a", the configuration has "b"'):
        await give(node, node.keys[1])
    assert (await node.status())["progress"] == 1
    assert await node.restart(A), "nothing has changed"


OTHER = type(A)("transit", A.seal)


@pytest.mark.parametrize(
    ("seals", "text"),
    [
        ((SHAMIR,), 'cannot seal migrate from "static" to Shamir, no disabled seal in configuration'),
        ((OTHER,), 'cannot seal migrate from "static" to "transit", no disabled seal in configuration'),
        (
            (SHAMIR, OTHER),
            'cannot seal migrate from "transit" to "shamir": the storage is sealed by "static"',
        ),
    ],
)
async def test_a_configuration_that_does_not_fit_the_store_is_told_and_opens_nothing(by_itself, seals, text):
    node = by_itself
    with suppress(ConfigError):  # a node that cannot open by itself says so to its log
        assert not await node.restart(*seals)
    for migrate in (False, True):
        with pytest.raises(InvalidRequest, match=text):
            await node.put("sys/unseal", key=node.keys[0], migrate=migrate)
    assert told(await node.status())["migration"] is False
    assert await node.restart(A)
