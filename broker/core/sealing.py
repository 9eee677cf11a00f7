"""Sealed or not: a worker enters and leaves the unsealed state as the shared node page says.

The node page holds the root key while unsealed. ``current`` is asked on every request: one integer compare tells whether
this worker's view still holds. The stored parts of the seal lie in the root store, outside the tenant's codec.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from broker.audit.presence import Writers
from broker.barrier.budget import EncryptionBudget
from broker.barrier.codec import TenantCodec, root_codec
from broker.barrier.keyring import PURPOSE as KEYRING
from broker.barrier.keyring import Keyring, utc_now
from broker.barrier.records import PATHS, BarrierRecords, Writes, keyring_writes, open_keyring
from broker.core.quotas.quotas import Rates
from broker.core.runtime import Runtime
from broker.plugin.errors import NotFound, NotInitialized
from broker.plugin.secret import Secret
from broker.plugin.storage import ABSENT, Backend, Batch, Committed, Store


class Node(Protocol):
    """What the workers of a node share (``broker.server.nodepage.NodePage``)."""

    @property
    def rates(self) -> Rates: ...
    @property
    def writers(self) -> Writers: ...
    def seal_generation(self) -> int: ...
    def root_key(self) -> bytes | None: ...
    def install_root_key(self, key: bytes) -> None: ...
    def replace_root_key(self, key: bytes) -> None: ...
    def wipe(self) -> None: ...
    def read_ceremony(self, name: str) -> bytes | None: ...
    def write_ceremony(self, name: str, blob: bytes | None) -> None: ...
    def locked(self) -> Any: ...
    def read(self, tenant: str) -> int: ...
    def announce(self, tenant: str) -> int: ...
    def add(self, counter: int, amount: int = 1) -> int: ...
    def total(self, counter: int) -> int: ...


class SealState:
    """This worker's grip on the barrier."""

    def __init__(
        self,
        *,
        node: Node,
        backend: Backend,
        build: Callable[["SealState", Store], Awaitable[Runtime]],
    ) -> None:
        self.node = node
        self.backend = backend
        self.budget = EncryptionBudget()
        self._build = build
        self._runtime: Runtime | None = None
        self._generation = -1
        self._keyring: Keyring | None = None
        self._keyring_bytes = b""
        self._root: Store | None = None
        self._entering = asyncio.Lock()

    def keyring(self) -> Keyring | None:
        """Return the keyring in force, ``None`` while sealed."""
        return self._keyring if self.node.seal_generation() == self._generation else None

    def current(self) -> Runtime | None:
        """Return the runtime if this worker is unsealed and up to date, else ``None``: then ``enter``."""
        return self._runtime if self.node.seal_generation() == self._generation else None

    async def runtime(self) -> Runtime | None:
        """Return the runtime, entering the unsealed state if need be; ``None`` while sealed."""
        return self.current() or await self.enter()

    async def enter(self) -> Runtime | None:
        """Follow the node page: build the runtime if the node is unsealed, drop everything if it is sealed."""
        async with self._entering:
            while True:
                generation = self.node.seal_generation()
                if generation == self._generation:
                    return self._runtime
                await self._leave()
                key = self.node.root_key()
                if key is not None:
                    await self._unlock(key)
                    self._generation = generation
                    try:
                        self._runtime = await self._build(self, await self.root_store())
                    except BaseException:
                        self._generation = -1  # not entered: the next request tries again
                        raise
                self._generation = generation

    async def _unlock(self, root_key: bytes) -> None:
        stored = await (await self.root_store()).get(KEYRING)
        if stored is None:
            raise NotInitialized
        self._keyring = open_keyring(stored.value, Secret(root_key))
        self._keyring_bytes = stored.value

    async def _leave(self) -> None:
        runtime, self._runtime, self._keyring = self._runtime, None, None
        if runtime is not None:
            await runtime.close()

    async def close(self) -> None:
        """Drop everything, as when the worker ends."""
        async with self._entering:
            self._generation = -1
            await self._leave()
            await self.backend.close()

    # The stored parts of the seal

    async def root_store(self, *, create: bool = False) -> Store:
        """Return the root tenant's raw store. Raises: NotInitialized if there is none."""
        if self._root is None:
            try:
                self._root = await self.backend.open("root", create=create)
            except NotFound:
                raise NotInitialized from None
        return self._root

    async def initialized(self) -> bool:
        """Tell whether the store has been initialised."""
        try:
            return (await self.records())[0] is not None
        except NotInitialized:
            return False

    async def records(self) -> tuple[BarrierRecords, dict[str, int]]:
        """Return the stored parts of the seal and the revisions they were read at. Raises: NotInitialized."""
        store = await self.root_store()
        stored, seen = {path: await store.get(path) for path in PATHS}, None
        while stored != seen:  # init or a rekey may commit in the middle: read until two looks agree
            seen, stored = stored, {path: await store.get(path) for path in PATHS}
        revisions = {path: ABSENT if entry is None else entry.revision for path, entry in stored.items()}
        values = {path: None if entry is None else entry.value for path, entry in stored.items()}
        return BarrierRecords.load(values), revisions

    async def read_raw(self, path: str) -> bytes | None:
        """Read an entry of the root store that lies outside the codec."""
        stored = await (await self.root_store()).get(path)
        return None if stored is None else stored.value

    async def write_raw(
        self, writes: "Writes | dict[str, bytes | None]", *, expects: dict[str, int] | None = None
    ) -> bool:
        """Write parts of the seal in one durable step. Returns whether the preconditions held."""
        store = await self.root_store()
        (outcome,) = await store.commit([Batch(dict(writes), expects or {})])
        self.node.announce("root")
        return isinstance(outcome, Committed)

    def codec(self, tenant: str, secret: Secret[bytes]) -> TenantCodec:
        """Return the codec of a child tenant."""
        return TenantCodec(self.keyring, tenant, secret, self.budget)

    def root_codec(self) -> TenantCodec:
        """Return the codec of the root tenant. Raises: Sealed."""
        return root_codec(self.keyring, self.budget)

    async def reload_keyring(self) -> None:
        """Take over a keyring that another worker rotated."""
        key = self.node.root_key()
        value = await self.read_raw(KEYRING)
        if key is not None and value is not None and value != self._keyring_bytes:
            self._keyring = open_keyring(value, Secret(key))
            self._keyring_bytes = value

    async def change_keyring(self, change: Callable[[Keyring], Keyring]) -> Keyring:
        """Apply ``change`` to the stored keyring and take it over. Retries if another worker was faster."""
        store = await self.root_store()
        while True:
            key = self.node.root_key()
            stored = await store.get(KEYRING)
            if key is None or stored is None:
                raise NotInitialized
            new = change(open_keyring(stored.value, Secret(key)))
            writes = keyring_writes(new, Secret(key))
            (outcome,) = await store.commit([Batch(dict(writes), {KEYRING: stored.revision})])
            if isinstance(outcome, Committed):
                self.node.announce("root")
                self._keyring, self._keyring_bytes = new, writes[KEYRING]
                return new

    async def reserve_encryptions(self) -> None:
        """Count encryptions in the stored keyring ahead of use, a step at a time."""
        keyring = self._keyring
        if keyring is not None and (count := self.budget.wanted(keyring)):
            new = await self.change_keyring(lambda ring: ring.reserve(count))
            self.budget.granted(new.active, count)

    async def rotate(self) -> Keyring:
        """Install a new keyring term: from now on it encrypts, the old ones still decrypt."""
        return await self.change_keyring(lambda ring: ring.add_term(utc_now(), os.urandom))


__all__ = ["Node", "SealState"]
