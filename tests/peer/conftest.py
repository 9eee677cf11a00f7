"""Pairs of servers. With ``PEER_SELF_CHECK=1`` both sides are OpenBao, which proves the scripts and the masks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest

from tests.fixtures.issuer import Issuer, IssuerServer
from tests.fixtures.servers import RunningServer, config_server, dev_server
from tests.peer.client import Client
from tests.peer.harness import Pair, Side
from tests.peer.mode import SELF_CHECK


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/peer/" in item.nodeid:
            item.add_marker(pytest.mark.peer)


@pytest.fixture(scope="session")
def ours_dev(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """Our dev server; a second OpenBao in the self-check."""
    if not SELF_CHECK:
        yield request.getfixturevalue("broker_dev")
        return
    server = dev_server("bao", tmp_path_factory.mktemp("second"), "bao-in-our-place")
    yield server
    server.stop()


@pytest.fixture
def word(request: pytest.FixtureRequest) -> str:
    """A short word that only this test uses, the same on both servers and in every run."""
    return "t" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:7]


@pytest.fixture
def pair(ours_dev: RunningServer, bao: RunningServer, word: str) -> Iterator[Pair]:
    """Both dev servers, unsealed; what the test left behind is removed afterwards."""
    names = {"m": word, "root": "root"}
    both = Pair(
        Side(Client(ours_dev.address), dict(names)),
        Side(Client(bao.address), dict(names)),
        word,
        SELF_CHECK,
        (ours_dev, bao),
    )
    yield both
    for side in (both.ours, both.peer):
        _remove_leftovers(side, word)
        side.client.close()


@pytest.fixture
def sealed_pair(request: pytest.FixtureRequest, word: str) -> Iterator[Callable[..., Pair]]:
    """Start two fresh servers that are not initialised: ``sealed_pair(**settings)``."""
    ours_factory = request.getfixturevalue("bao_server" if SELF_CHECK else "broker_server")
    peer_factory = request.getfixturevalue("bao_server")
    started: list[Pair] = []

    def start(**settings: object) -> Pair:
        servers = ours_factory("ours", **settings), peer_factory("peer", **settings)
        sides = [Side(Client(server.address), {"m": word}) for server in servers]
        started.append(Pair(*sides, word, SELF_CHECK, servers))
        return started[-1]

    yield start
    for both in started:
        both.ours.client.close()
        both.peer.client.close()


@pytest.fixture(scope="module")
def sealed_once_servers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[RunningServer, RunningServer]]:
    """Two servers that stay uninitialised, for tests that must not change that."""
    command = "bao" if SELF_CHECK else "broker"
    folder = tmp_path_factory.mktemp("once")
    storage = {"inmem": {}} if SELF_CHECK else {"sqlite": {"path": str(folder / "ours" / "data")}}
    ours = config_server(command, folder / "ours", "ours", storage)
    try:
        peer = config_server("bao", folder / "peer", "bao-peer", {"inmem": {}})
    except BaseException:
        ours.stop()
        raise
    yield ours, peer
    ours.stop()
    peer.stop()


@pytest.fixture
def sealed_once(sealed_once_servers: tuple[RunningServer, RunningServer], word: str) -> Iterator[Pair]:
    """A pair over servers that are shared and never initialised."""
    sides = [Side(Client(server.address), {"m": word}) for server in sealed_once_servers]
    yield Pair(*sides, word, SELF_CHECK, sealed_once_servers)
    for side in sides:
        side.client.close()


def _remove_leftovers(side: Side, word: str) -> None:
    root = {"X-Vault-Token": "root"}
    for listing, target in (("sys/mounts", "sys/mounts"), ("sys/auth", "sys/auth")):
        body = side.client.send("GET", f"/v1/{listing}", root, None).body
        for name in (body or {}).get("data") or {}:
            if name.startswith(word):
                side.client.send("DELETE", f"/v1/{target}/{quote(name.rstrip('/'))}", root, None)
    for kind in ("sys/policies/acl", "sys/namespaces"):
        body = side.client.send("LIST", f"/v1/{kind}", root, None).body
        for name in ((body or {}).get("data") or {}).get("keys") or []:
            if name.startswith(word):
                side.client.send("DELETE", f"/v1/{kind}/{quote(name.rstrip('/'))}", root, None)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """An issuer of tokens that both servers can ask for its keys."""
    server = IssuerServer()
    yield server.issuer
    server.stop()
