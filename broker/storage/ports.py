"""What the storage room needs from its neighbours: a cipher for entries, and news of changes."""

from collections import Counter
from typing import Protocol


class Codec(Protocol):
    """Seals entries before the store sees them. The associated data binds the tenant and the path."""

    def seal(self, path: str, plaintext: bytes) -> bytes:
        """Encrypt an entry for this path. Raises: Sealed when there is no key."""

    def open(self, path: str, sealed: bytes) -> bytes:
        """Decrypt an entry found at this path. Raises: Tampered if it does not open; Sealed without a key."""


class ChangeSignal(Protocol):
    """A counter per tenant, shared by all workers of a node; only equality is meaningful, so it may wrap."""

    def read(self, tenant: str) -> int:
        """Return the counter. Called at the start of every request: must not block."""

    def announce(self, tenant: str) -> int:
        """Move the counter by one and return it: something was committed, or may have been."""


class LocalSignal:
    """A change signal for a process that shares its stores with nobody (tools and tests)."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def read(self, tenant: str) -> int:
        """Return the number of announcements so far."""
        return self._counts[tenant]

    def announce(self, tenant: str) -> int:
        """Count one more."""
        self._counts[tenant] += 1
        return self._counts[tenant]
