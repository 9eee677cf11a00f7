"""The anchor: a mark kept outside the store, so that an older copy of the store is noticed when it is opened.

The store holds the same mark, sealed. Both change together while the node serves: the file says which mark comes next, the
store takes it, the file forgets the one before. So the store's mark is always in the file, wherever a crash falls between,
unless the store was put back. A mark is random and says nothing; whoever can put back the file together with the store is not noticed.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path

import msgspec

from broker.plugin.errors import ConfigError
from broker.plugin.files import sync_directory

MARK_BYTES = 16
NONE = ""
"""The mark of a store that was never anchored."""


class Marks(msgspec.Struct, frozen=True):
    """The mark that a store has, and the one it is about to take."""

    mark: str = NONE
    next: str = NONE
    v: int = 1

    def fit(self, mark: str) -> bool:
        """Tell whether a store with this mark is the one that was left."""
        return mark in (self.mark, self.next)

    @staticmethod
    def leave(mark: str) -> "Marks":
        """Return the marks of a store that is about to leave ``mark`` for a new one."""
        return Marks(mark, secrets.token_hex(MARK_BYTES))

    def arrive(self) -> "Marks":
        """Return the marks of the store once it has taken the next one: from then on no other fits."""
        return Marks(self.next, self.next)


class AnchorFile:
    """The anchor of a node's root store, in a file of its own: one line of JSON, replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"AnchorFile({str(self.path)!r})"

    def read(self) -> Marks:
        """Return the marks; without a file those of a store that was never anchored. Raises: ConfigError."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Marks)
        except FileNotFoundError:
            return Marks()
        except (msgspec.DecodeError, OSError) as error:
            raise ConfigError(f"rollback_anchor {self.path}: not a readable anchor: {error}") from None

    def write(self, marks: Marks) -> None:
        """Replace the file, durably. Raises: OSError; then the old one is still there."""
        folder = self.path.parent
        fresh = folder / f".{self.path.name}.{os.getpid()}"
        try:
            fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with open(fd, "wb") as file:
                file.write(msgspec.json.encode(marks) + b"\n")
                file.flush()
                os.fsync(fd)
            os.replace(fresh, self.path)
        except OSError:
            with suppress(OSError):
                fresh.unlink()
            raise
        sync_directory(folder)


__all__ = ["NONE", "AnchorFile", "Marks"]
