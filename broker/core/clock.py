"""The node's clock: the time of day, as long as that does not go back.

Somebody, or a time server, may set the machine's clock back by an hour while the node runs. Nothing may live an hour longer
for it. So the time of day is kept as the time since boot, which only goes forward, plus the largest offset that any worker
has seen: set forward, the clock is followed; set back, it is not, until the node is restarted. The offset is shared by
all workers of the node, those that are started later included.
"""

import logging
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

log = logging.getLogger("broker.core")

OFFSET: Final = 63
"""The node page's shared counter that holds the offset, in nanoseconds."""
NOTED_NS = 1_000_000
"""Offsets that grow by less are not worth a write."""
STRANGE_NS = 60_000_000_000


class Shared(Protocol):
    """The part of the node page that the clock uses."""

    def add(self, counter: int, amount: int = 1) -> int: ...
    def total(self, counter: int) -> int: ...
    def locked(self) -> Any: ...


def _since_boot() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)  # counts on while the machine sleeps


class NodeClock:
    """Calling it gives Unix seconds."""

    def __init__(
        self,
        shared: Shared,
        *,
        wall: Callable[[], int] = time.time_ns,
        steady: Callable[[], int] = _since_boot,
    ) -> None:
        self._shared = shared
        self._wall = wall
        self._steady = steady
        self._behind = False

    def __call__(self) -> float:
        wall = self._wall()  # first: a pause between the two reads must not look like a step forward
        steady = self._steady()
        offset, known = wall - steady, self._shared.total(OFFSET)
        if offset > known + NOTED_NS:
            self._raise(offset)
        elif offset < known - STRANGE_NS and not self._behind:
            self._behind = True
            log.warning("clock.set_back seconds=%d", (known - offset) // 1_000_000_000)
        return (steady + max(offset, known)) / 1e9

    def _raise(self, offset: int) -> None:
        with self._shared.locked():
            known = self._shared.total(OFFSET)
            if offset > known:
                self._shared.add(OFFSET, offset - known)
        if known and offset > known + STRANGE_NS:
            log.warning("clock.set_forward seconds=%d", (offset - known) // 1_000_000_000)
