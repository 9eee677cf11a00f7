"""The contract of a storage backend: a place that is never trusted to read or to alter what it keeps.

A *backend* opens one *store* per tenant, physically separate from every other. All values arrive encrypted.
``broker.plugin.testing.storage`` holds the suite that every backend must pass.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

ABSENT = 0
"""The revision of a path that holds nothing."""

Names: TypeAlias = list[str]
"""Paths or children, in order. (``Store`` has a method called ``list``.)"""

Outcomes: TypeAlias = "list[Committed | Rejected]"


@dataclass(frozen=True, slots=True)
class Stored:
    """One entry: its bytes and the store revision that wrote it (1 or more)."""

    value: bytes
    revision: int


@dataclass(slots=True)
class Batch:
    """What one transaction wants: writes (``None`` deletes) that apply only if every precondition holds.

    ``expects`` maps a path to the revision it must still have (``ABSENT`` for nothing stored).
    """

    writes: dict[str, bytes | None] = field(default_factory=dict)
    expects: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Committed:
    """The batch is durable; every entry it wrote carries ``revision``."""

    revision: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """The batch had no effect because ``paths`` had moved on."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened after a revision.

    ``paths`` maps each changed path to the last revision that touched it, or is ``None`` if the feed no longer
    reaches back that far, so that the reader must drop all it knows.
    """

    revision: int
    paths: Mapping[str, int] | None


class Store(ABC):
    """One tenant's entries: an ordered map from path to bytes.

    A path is non-empty text without NUL or lone surrogates; paths compare as UTF-8 bytes.
    """

    @abstractmethod
    async def get(self, path: str) -> Stored | None:
        """Return the entry at ``path``, or ``None``."""

    @abstractmethod
    async def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> Names:
        """Return the direct children below ``prefix`` in order, folders ending in ``/``, each once.

        ``prefix`` is empty or ends in ``/``; ``after`` is a child name to start behind; at most ``limit``.
        """

    @abstractmethod
    async def scan(self, prefix: str, *, after: str = "", limit: int | None = None) -> Names:
        """Return all paths below ``prefix``, relative to it, in order, behind ``after``, at most ``limit``."""

    @abstractmethod
    async def commit(self, batches: Sequence[Batch]) -> Outcomes:
        """Apply the batches in order, each atomically, all with one durable write.

        A batch whose preconditions fail (judged after the batches before it) is rejected alone. If the durable
        write fails, all fail with the exception and none has an effect. On return the accepted ones survive a
        power loss.

        Raises: InvalidRequest for an impossible path; InsufficientStorage when the disk is full; Unavailable when
        the store cannot be reached or was dropped; Tampered when it is damaged.
        """

    async def commit_next(self, take: Callable[[], Sequence[Batch]]) -> Outcomes:
        """As ``commit`` of what ``take`` returns.

        ``take`` is called once, from any thread, when the write can really begin. A store that has to wait for other
        writers first should override this: what comes in while it waits is then part of the same write.
        """
        return await self.commit(take())

    @abstractmethod
    async def changes(self, since: int) -> Changes:
        """Return what changed after revision ``since``."""

    @abstractmethod
    async def revision(self) -> int:
        """Return the last committed revision, 0 for a new store."""

    @abstractmethod
    async def close(self) -> None:
        """Release what the store holds open. Closing twice is allowed."""


class Backend(ABC):
    """Where stores live. ``tenant`` is ``root`` or a lowercase UUID; never user text."""

    async def check(self) -> None:  # noqa: B027 - some have nothing to look at
        """Look whether stores can be kept here. Called when the server starts; it may make the place for them.

        Raises: ConfigError, best WrongSetting, for what only the operator can mend.
        """

    @abstractmethod
    async def open(self, tenant: str, *, create: bool = False) -> Store:
        """Open a tenant's store.

        Raises: NotFound if it does not exist and ``create`` is false; ConfigError if it was written by a newer format.
        """

    @abstractmethod
    async def tenants(self) -> list[str]:
        """Return the tenants that have a store."""

    @abstractmethod
    async def drop(self, tenant: str) -> None:
        """Destroy a tenant's store. Dropping one that does not exist is allowed."""

    @abstractmethod
    def lock(self, name: str) -> AbstractAsyncContextManager[Callable[[], bool]]:
        """Hold a cluster-wide lock; waits until it is free; freed when its holder's process dies.

        Yields a function that tells whether the lock is still held.
        """

    @abstractmethod
    async def try_lock(self, name: str) -> "HeldLock | None":
        """Take the lock if it is free, else return ``None``."""

    @abstractmethod
    def snapshot(self, tenant: str) -> AsyncIterator[bytes]:
        """Stream one consistent image of a tenant's store while it serves."""

    @abstractmethod
    async def restore(self, tenant: str, chunks: AsyncIterator[bytes]) -> None:
        """Replace a tenant's store by a snapshot, wholly or not at all. No other process may have it open."""

    @abstractmethod
    async def close(self) -> None:
        """Close every store opened through this backend."""


class HeldLock(Protocol):
    """A lock in hand."""

    def held(self) -> bool:
        """Tell whether it is still ours."""

    async def release(self) -> None:
        """Give it back."""


@dataclass(frozen=True, slots=True)
class BackendType:
    """What a storage plugin registers: the name used in ``storage "NAME" {}`` and how to build it.

    ``build`` receives the stanza's settings; it does no I/O and raises ConfigError for a setting it does not know.
    """

    name: str
    build: Callable[[Mapping[str, object]], Backend]
    summary: str = ""
