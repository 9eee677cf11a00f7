"""Decrypted entries in memory: bounded in bytes, exact because the change feed drops what moved."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from broker.plugin.storage import ABSENT

ENTRY_OVERHEAD_BYTES = 400
"""What an entry costs besides its path and value: two objects, a dict slot, a list node."""

DECODED_FACTOR = 8
"""A decoded record, with what is made of it for its readers, is taken to cost this many times its JSON."""


class Entry:
    """One path as it was at a revision: plaintext, or ``None`` for nothing stored.

    ``revision`` is what a precondition expects (``ABSENT`` for nothing stored). ``seen`` is a revision at which
    this was known to be true, so that an older piece of news does not drop it. ``decoded`` is the record of
    type ``kind`` last read from ``value``; sharing it is sound because records are frozen.
    """

    __slots__ = ("cost", "decoded", "kind", "revision", "seen", "value")

    def __init__(self, value: bytes | None, revision: int, seen: int) -> None:
        self.value = value
        self.revision = revision
        self.seen = seen
        self.kind: type | None = None
        self.decoded: Any = None
        self.cost = 0

    def __repr__(self) -> str:
        return f"Entry(revision={self.revision}, seen={self.seen})"


class PlainCache:
    """Least recently used entries go when the budget is spent.

    ``entries`` is public for the hot path: a hit is one lookup and one ``move_to_end``.
    """

    __slots__ = ("_budget", "_used", "entries")

    def __init__(self, budget_bytes: int) -> None:
        self.entries: OrderedDict[str, Entry] = OrderedDict()
        self._budget = budget_bytes
        self._used = 0

    @property
    def used_bytes(self) -> int:
        """What the cached entries are taken to cost."""
        return self._used

    def remember(self, path: str, entry: Entry) -> None:
        """Keep an entry, unless a newer one is already there."""
        present = self.entries.get(path)
        if present is not None:
            if present.seen > entry.seen:
                return
            self._used -= present.cost
        entry.cost = ENTRY_OVERHEAD_BYTES + len(path) + (len(entry.value) if entry.value is not None else 0)
        self._used += entry.cost
        self.entries[path] = entry
        self.entries.move_to_end(path)
        self._shrink()

    def charge_decoded(self, path: str, entry: Entry) -> None:
        """Account for a record that was just attached to an entry."""
        if self.entries.get(path) is entry and entry.value is not None:
            extra = DECODED_FACTOR * len(entry.value)
            entry.cost += extra
            self._used += extra
            self._shrink()

    def apply(self, changes: Mapping[str, int]) -> None:
        """Drop exactly what is older than the last change of its path."""
        for path, revision in changes.items():
            entry = self.entries.get(path)
            if entry is not None and entry.seen < revision:
                self.drop(path)

    def drop(self, path: str) -> None:
        """Forget one path, if it is known."""
        entry = self.entries.pop(path, None)
        if entry is not None:
            self._used -= entry.cost

    def clear(self) -> None:
        """Forget everything."""
        self.entries.clear()
        self._used = 0

    def _shrink(self) -> None:
        while self._used > self._budget and self.entries:
            _, entry = self.entries.popitem(last=False)
            self._used -= entry.cost


def absent(seen: int) -> Entry:
    """Return the entry of a path that holds nothing."""
    return Entry(None, ABSENT, seen)
