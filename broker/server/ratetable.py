"""How often each client has called lately, counted once for all workers of a node.

A table of fixed size in shared memory, mapped before the workers are forked. It holds hashes and counts, nothing worth
hiding, so it is neither locked in memory nor wiped. Times are the system's monotonic clock in nanoseconds: the same in
every process, and no business of whoever sets the wall clock.
"""

import mmap
import os
from hashlib import blake2b
from typing import NamedTuple

from broker.server.nodelock import NodeLock

__all__ = ["RateTable", "Taken"]

WAYS = 8
SETS = 4096
STRIPES = 16
_WORDS = 4  # of a slot: key, end of its window, uses in it, blocked until


class Taken(NamedTuple):
    """What became of one call. Times in nanoseconds from now; ``reset`` is zero while a client is blocked."""

    allowed: bool
    left: int
    reset: int
    wait: int


class RateTable:
    """Uses per window and client. A table that is full forgets whoever has used the least.

    >>> table = RateTable()
    >>> [table.take("a", limit=2, interval=10, block=0, now=1).allowed for _ in range(3)]
    [True, True, False]
    """

    def __init__(self, sets: int = SETS) -> None:
        self._map = mmap.mmap(-1, sets * WAYS * _WORDS * 8)
        self._words = memoryview(self._map).cast("Q")
        self._sets = sets
        self._lock = NodeLock(STRIPES)
        # Nobody outside can tell which names share a place, and so push a particular one out.
        self._salt = os.urandom(16)

    def take(self, name: str, *, limit: int, interval: int, block: int, now: int) -> Taken:
        """Count a use by ``name``, at most ``limit`` in an ``interval``; who goes over it is blocked for ``block``."""
        key = int.from_bytes(blake2b(name.encode(), digest_size=8, key=self._salt).digest(), "little") or 1
        place = key % self._sets
        with self._lock.hold(place % STRIPES):
            at = self._find(place, key, now)
            return self._use(at, limit, interval, block, now)

    def _find(self, place: int, key: int, now: int) -> int:
        """Return where ``key`` is counted: its slot, else one that it takes over."""
        words = self._words
        first = place * WAYS * _WORDS
        best, least = first, (3, 0)
        for at in range(first, first + WAYS * _WORDS, _WORDS):
            if words[at] == key:
                return at
            if words[at + 3] > now:
                worth = (2, words[at + 3])
            elif words[at + 1] > now:
                worth = (1, words[at + 2])
            else:
                worth = (0, 0)
            if worth < least:
                best, least = at, worth
        words[best + 1] = words[best + 2] = words[best + 3] = 0
        words[best] = key
        return best

    def _use(self, at: int, limit: int, interval: int, block: int, now: int) -> Taken:
        words = self._words
        if words[at + 3] > now:
            return Taken(False, 0, 0, words[at + 3] - now)
        if words[at + 1] <= now:
            words[at + 1], words[at + 2] = now + interval, 0
        reset, used = words[at + 1] - now, words[at + 2]
        if used < limit:
            words[at + 2] = used + 1
            return Taken(True, limit - used - 1, reset, 0)
        if block:
            words[at + 3] = now + block
        return Taken(False, 0, reset, block or reset)
