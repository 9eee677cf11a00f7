"""A device's place among the writers of its node, which checkpoints name one another."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Protocol

NOBODY: Mapping[str, int] = {}


class Writers(Protocol):
    """The writers of a node (``broker.server.writertable.WriterTable``)."""

    def claim(self) -> int | None: ...
    def note(self, place: int, log: bytes, writer: str, seq: int) -> None: ...
    def others(self, place: int | None, log: bytes) -> dict[str, int]: ...
    def withdraw(self, place: int) -> None: ...
    def release(self, place: int) -> None: ...


class Presence:
    """One running device's entry. Without a table, or a place in it, nobody is named and nothing is lost."""

    def __init__(self, writers: Writers | None, device: str) -> None:
        self._writers = writers
        self._device = device
        self._place = writers.claim() if writers is not None else None
        self._said: tuple[bytes, str, int] | None = None

    def say(self, target: str, writer: str, seq: int) -> None:
        """Tell the node's other writers that this one has written ``seq`` lines to ``target``, and all of them arrived."""
        now = (self._log(target), writer, seq)
        if self._writers is not None and self._place is not None and seq and now != self._said:
            self._writers.note(self._place, *now)
            self._said = now

    def others(self, target: str) -> Mapping[str, int]:
        """Return who else writes to ``target``, and how far each had come about a second ago, or later."""
        if self._writers is None:
            return NOBODY
        found = self._writers.others(self._place, self._log(target))
        return dict(sorted(found.items()))

    def withdraw(self) -> None:
        """Say nothing of a writer that has ended."""
        if self._writers is not None and self._place is not None:
            self._writers.withdraw(self._place)
            self._said = None

    def leave(self) -> None:
        """Give the place back."""
        if self._writers is not None and self._place is not None:
            self._writers.release(self._place)
            self._place = None

    def _log(self, target: str) -> bytes:
        return blake2b(f"{self._device}\0{target}".encode(), digest_size=16).digest()


__all__ = ["NOBODY", "Presence", "Writers"]
