"""A node that knows the engine ``target``, which no installed package offers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.invariants.node import Node, Reply, eventually


def offer(site: Path, module: Path) -> None:
    """Make a folder that, on the path, offers ``module`` as an installed plugin."""
    site.mkdir(parents=True, exist_ok=True)
    shutil.copy(module, site / module.name)
    info = site / "broker_target-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broker-target\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[broker.plugins]\ntarget = broker_target\n")


class Target:
    """A mount of the engine, and the folder that it hands out credentials to."""

    def __init__(self, node: Node, path: str, folder: Path, namespace: str = "") -> None:
        self.node = node
        self.path = path
        self.folder = folder
        self.namespace = namespace
        folder.mkdir(parents=True)
        body = {"type": "target", "options": {"folder": str(folder)}}
        node.ok("POST", f"sys/mounts/{path}", body, namespace=namespace)

    def mode(self, mode: str) -> None:
        (self.folder / "mode").write_text(mode)

    def issue(self, role: str = "app", *, token: str | None = None, **query: object) -> Reply:
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        reply = self.node.call(
            "GET", f"{self.path}/creds/{role}?{asked}", token=token, namespace=self.namespace
        )
        assert reply.status == 200, reply
        return reply

    def live(self) -> set[str]:
        """The credentials that work at the target."""
        return {path.name for path in self.folder.iterdir()} - {"mode", "revoked.log"}

    def tries(self) -> list[str]:
        path = self.folder / "revoked.log"
        return path.read_text().splitlines() if path.exists() else []

    def emptied(self, seconds: float = 15) -> bool:
        return eventually(lambda: not self.live(), seconds)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The engine's package on the path of every server that is started."""
    folder = tmp_path_factory.mktemp("site")
    offer(folder, Path(__file__).with_name("broker_target.py"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        yield folder


@pytest.fixture(scope="session")
def shared(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node for all tests that leave it whole."""
    made = Node.begin(tmp_path_factory.mktemp("leases"), "leases")
    yield made
    made.end()


@pytest.fixture
def begin(site: Path, tmp_path: Path) -> Iterator[Callable[..., Node]]:
    """Start a node of one's own."""
    started: list[Node] = []

    def start(name: str = "own", **settings: object) -> Node:
        folder = tmp_path / name
        folder.mkdir()
        started.append(Node.begin(folder, name, **settings))
        return started[-1]

    yield start
    for made in started:
        made.end()


_count = iter(range(1, 1 << 30))


@pytest.fixture
def target(shared: Node, tmp_path: Path) -> Target:
    """A mount of its own on the shared node."""
    return Target(shared, f"target{next(_count)}", tmp_path / "target")


def lookup(node: Node, lease_id: str, **more: object) -> Reply:
    return node.call("PUT", "sys/leases/lookup", {"lease_id": lease_id}, **more)
