"""Which audit writers live on this node and how far each has come, in shared memory of fixed size.

Each running device of each worker has a place of its own, written about once a second. A checkpoint names what stands
here, so that a writer's lines cannot be taken out of a log unnoticed. Nothing here is on a request's way, or secret.
"""

import mmap
import os

from broker.server.nodelock import NodeLock

__all__ = ["WriterTable"]

PLACES = 512
LOG_BYTES = 16
WRITER_BYTES = 8
_STRIDE = 8 + LOG_BYTES + WRITER_BYTES + 8  # process id, log, writer, sequence number


class WriterTable:
    """Create it before forking; use it from any thread or process.

    >>> table = WriterTable()
    >>> one, other = table.claim(), table.claim()
    >>> table.note(one, b"sixteen bytes...", "00000000000000aa", 5)
    >>> table.others(other, b"sixteen bytes...")
    {'00000000000000aa': 5}
    """

    def __init__(self, places: int = PLACES) -> None:
        self._map = mmap.mmap(-1, places * _STRIDE)
        self._bytes = memoryview(self._map)
        self._places = range(0, places * _STRIDE, _STRIDE)
        self._lock = NodeLock(1)

    def claim(self) -> int | None:
        """Take a place that is free, or was that of a process that is gone; ``None`` if all are taken."""
        with self._lock.hold(0):
            found = None
            for at in self._places:
                owner = self._number(at)
                if owner and not _alive(owner):
                    self._clear(at)
                    owner = 0
                if not owner and found is None:
                    found = at
            if found is not None:
                self._bytes[found : found + 8] = os.getpid().to_bytes(8, "little")
            return found

    def note(self, place: int, log: bytes, writer: str, seq: int) -> None:
        """Say which log this place's writer writes, and the sequence number of its last line there."""
        with self._lock.hold(0):
            self._bytes[place + 8 : place + _STRIDE] = log + bytes.fromhex(writer) + seq.to_bytes(8, "little")

    def others(self, place: int | None, log: bytes) -> dict[str, int]:
        """Return the other writers of a log (16 bytes, not all zero), and how far each has come."""
        with self._lock.hold(0):
            whole = bytes(self._bytes)
        found = {}
        at = whole.find(log)
        while at >= 0:
            begin, writer, seq = (
                at - 8,
                whole[at + LOG_BYTES : at + LOG_BYTES + WRITER_BYTES],
                at + _STRIDE - 16,
            )
            if begin % _STRIDE == 0 and begin != place:
                found[writer.hex()] = int.from_bytes(whole[seq : seq + 8], "little")
            at = whole.find(log, at + 1)
        return found

    def withdraw(self, place: int) -> None:
        """Name this place's writer no more; the place stays taken."""
        with self._lock.hold(0):
            self._bytes[place + 8 : place + _STRIDE] = bytes(_STRIDE - 8)

    def release(self, place: int) -> None:
        """Give a place back."""
        with self._lock.hold(0):
            self._clear(place)

    def _clear(self, at: int) -> None:
        self._bytes[at : at + _STRIDE] = bytes(_STRIDE)

    def _number(self, at: int) -> int:
        return int.from_bytes(self._bytes[at : at + 8], "little")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
