"""A view over a dictionary: the storage of an engine under test."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from broker.plugin.context import View
from broker.plugin.errors import Tampered

R = TypeVar("R", bound=msgspec.Struct)


class MemoryStore:
    """Committed entries, path to bytes. ``loads`` and ``writes`` count what the engine asked for.

    ``damaged`` are paths whose entries do not open, until something is written there.
    """

    def __init__(self) -> None:
        self.damaged: set[str] = set()
        self.entries: dict[str, bytes] = {}
        self.loads: list[str] = []
        self.writes: list[str] = []

    def transaction(self) -> "MemoryTransaction":
        """Begin a transaction; nothing is seen by others until it commits."""
        return MemoryTransaction(self)


class MemoryTransaction:
    """Writes on their way: all of them are stored by ``commit``, none without it."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.pending: dict[str, bytes | None] = {}

    def get(self, path: str) -> bytes | None:
        self.store.loads.append(path)
        if path in self.store.damaged and path not in self.pending:
            raise Tampered(f"stored entry at {path!r} does not open")
        return self.pending[path] if path in self.pending else self.store.entries.get(path)

    def put(self, path: str, value: bytes | None) -> None:
        if path == "" or path.endswith("/"):
            raise ValueError(f"an entry needs a name: {path!r}")
        self.pending[path] = value

    def paths(self, prefix: str) -> list[str]:
        """Return what lies below a prefix, relative to it, ordered as UTF-8 bytes."""
        if prefix and not prefix.endswith("/"):
            raise ValueError(f"a prefix ends in a slash: {prefix!r}")
        seen = {
            path: value for path, value in {**self.store.entries, **self.pending}.items() if value is not None
        }
        return sorted((path[len(prefix) :] for path in seen if path.startswith(prefix)), key=str.encode)

    def commit(self) -> None:
        """Store every write."""
        for path, value in self.pending.items():
            self.store.writes.append(path)
            self.store.damaged.discard(path)
            if value is None:
                self.store.entries.pop(path, None)
            else:
                self.store.entries[path] = value
        self.pending = {}


class MemoryView:
    """A ``View`` on one transaction."""

    def __init__(self, transaction: MemoryTransaction, prefix: str = "") -> None:
        self._transaction = transaction
        self._prefix = prefix

    @property
    def prefix(self) -> str:
        return self._prefix

    async def get(self, path: str) -> bytes | None:
        return self._transaction.get(self._prefix + path)

    async def load(self, path: str, kind: type[R]) -> R | None:
        value = self._transaction.get(self._prefix + path)
        return None if value is None else msgspec.json.decode(value, type=kind)

    def put(self, path: str, value: bytes) -> None:
        self._transaction.put(self._prefix + path, value)

    def save(self, path: str, record: msgspec.Struct) -> None:
        self._transaction.put(self._prefix + path, msgspec.json.encode(record))

    def delete(self, path: str) -> None:
        self._transaction.put(self._prefix + path, None)

    async def discard(self, path: str) -> None:
        self.delete(path)

    async def list(self, prefix: str = "", *, after: str = "", limit: int | None = None) -> Sequence[str]:
        return _page(self._transaction.paths(self._prefix + prefix), _child, after, limit)

    async def scan(self, prefix: str = "", *, after: str = "", limit: int | None = None) -> Sequence[str]:
        return _page(self._transaction.paths(self._prefix + prefix), str, after, limit)

    def view(self, prefix: str) -> View:
        return MemoryView(self._transaction, self._prefix + prefix)


def _child(path: str) -> str:
    name, slash, _ = path.partition("/")
    return name + slash


def _page(paths: Sequence[str], name: Callable[[str], str], after: str, limit: int | None) -> list[str]:
    names = sorted({name(path) for path in paths}, key=str.encode)
    return [each for each in names if each.encode() > after.encode()][:limit]
