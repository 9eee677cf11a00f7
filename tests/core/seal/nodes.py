"""A node in this process, whose seal the test chooses at every start."""

from dataclasses import replace
from typing import Any

from broker_plugins.seals.shamir.seal import ShamirSeal
from broker_plugins.seals.static.seal import StaticSeal

from broker.core.compose import Application, prepare
from broker.core.requests import Request
from broker.core.seals import NamedSeal, Seals
from broker.core.system.unsealing import open_by_itself
from broker.plugin.context import Connection
from broker.plugin.secret import Secret
from broker.plugin.verbs import Verb
from broker.server.nodepage import NodePage
from broker.server.settings import ServerConfig, StorageStanza

SHAMIR = NamedSeal("shamir", ShamirSeal())


def static(key_id: str, **more: str) -> NamedSeal:
    """A static seal whose key follows from its id: ids of one character only."""
    key = key_id.encode().hex() * 32
    return NamedSeal("static", StaticSeal.build({"current_key_id": key_id, "current_key": key, **more}))


class Node:
    """The workers of one node. ``restart`` starts it anew over the same store, as after a power cut."""

    def __init__(self, folder: Any, *, workers: int = 1) -> None:
        storage = StorageStanza("sqlite", {"path": str(folder)})
        self._prepared = prepare(ServerConfig(listeners=(), storage=storage, disable_mlock=True))
        self.count = workers
        self.workers: list[Application] = []
        self.root = ""
        self.keys: list[str] = []

    @property
    def worker(self) -> Application:
        return self.workers[0]

    async def restart(self, current: NamedSeal, retired: NamedSeal | None = None) -> bool:
        """Start with these seals; returns whether the node opened by itself."""
        await self.close()
        prepared, page = (
            replace(self._prepared, seals=Seals(current, retired, SHAMIR)),
            NodePage(lock_memory=False),
        )
        self.workers = [Application(prepared, node=page) for _ in range(self.count)]
        return await open_by_itself(self.worker.parts)

    async def close(self) -> None:
        for worker in self.workers:
            await worker.close()
        self.workers = []

    async def init(self, **wanted: Any) -> None:
        """Initialise; ``keys`` are the shares in force, ``root`` the root token."""
        answer = await self.put("sys/init", **wanted)
        self.root, self.keys = answer["root_token"], answer.get("recovery_keys") or answer["keys"]

    async def ask(self, verb: Verb, path: str, *, worker: int = 0, **data: Any) -> Any:
        token = Secret(self.root) if self.root else None
        request = Request("1", verb, path, data=data, token=token, connection=Connection("127.0.0.1"))
        response = await self.workers[worker].core.handle(request)
        return response.plain.body if response.plain else response.data

    async def put(self, path: str, **data: Any) -> Any:
        return await self.ask(Verb.UPDATE, path, **data)

    async def status(self) -> Any:
        return await self.ask(Verb.READ, "sys/seal-status")

    async def is_open(self) -> bool:
        """Whether it is open and the root token still means something: what is stored opened too."""
        if (await self.status())["sealed"]:
            return False
        return bool((await self.ask(Verb.READ, "auth/token/lookup-self"))["policies"] == ["root"])
