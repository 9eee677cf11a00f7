"""One unsealed node with three workers for all tests that leave it whole; a factory for those that do not."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

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


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Callable[..., Path]]:
    """Mount filesystems of a fixed size, given in KiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small filesystem needs root")
    mounted: list[Path] = []

    def mount(size_kib: int, name: str = "disk") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_kib}k", "tmpfs", str(folder)], check=True)
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)
