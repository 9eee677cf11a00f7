"""One unsealed node with three workers for all tests that leave it whole; a factory for those that do not."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.invariants.node import Node


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node that every test of a process shares: make mounts, policies and tokens of your own."""
    made = Node.begin(tmp_path_factory.mktemp("node"), "shared", workers=3, log_level="trace")
    yield made
    made.end()


@pytest.fixture
def begin(tmp_path) -> Iterator[Callable[..., Node]]:
    """Start a node of one's own: ``begin(**settings)``."""
    started: list[Node] = []

    def start(name: str = "own", **settings: object) -> Node:
        folder = tmp_path / name
        folder.mkdir()
        started.append(Node.begin(folder, name, **settings))
        return started[-1]

    yield start
    for made in started:
        made.end()


_numbers = itertools.count(1)


@pytest.fixture
def fresh() -> str:
    """A name nobody else uses on the shared node."""
    return f"t{next(_numbers)}"
