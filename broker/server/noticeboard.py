"""What the workers of a node tell each other now and then: shared memory, of fixed size, looked at a few times a second.

Nothing here is on a request's way. A worker that asks raises a number; the others see that and answer in their own part.
Log lines go round in a ring, but only while somebody reads it. Nothing secret is written here.
"""

import mmap

from broker.server.nodelock import NodeLock

__all__ = ["ANSWER_BYTES", "LINES", "LINE_BYTES", "Noticeboard"]

WORKERS = 128
SETTINGS_BYTES = 16 * 1024
ANSWER_BYTES = 64 * 1024
LINES = 512
LINE_BYTES = 4 * 1024

_ASKED, _CHANGED, _SETTINGS_SIZE, _NEXT = range(4)
_ANSWERED = 8  # per worker: the number of the question it answered last
_SIZES = _ANSWERED + WORKERS  # per worker: bytes of its answer
_WATCHED = _SIZES + WORKERS  # per worker: the lowest level that its readers want, 0 for no reader
_LINE_SIZES = _WATCHED + WORKERS
_WORDS = _LINE_SIZES + LINES
_SETTINGS_AT = _WORDS * 8
_ANSWERS_AT = _SETTINGS_AT + SETTINGS_BYTES
_LINES_AT = _ANSWERS_AT + WORKERS * ANSWER_BYTES
_SIZE = _LINES_AT + LINES * LINE_BYTES


class Noticeboard:
    """Create it before forking; use it from any thread or process."""

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, _SIZE)
        self._bytes = memoryview(self._map)
        self._words = self._bytes[:_SETTINGS_AT].cast("Q")
        self._lock = NodeLock(1)

    # Questions

    def ask(self) -> int:
        """Ask every worker for an answer. Returns the question's number."""
        with self._lock.hold(0):
            self._words[_ASKED] += 1
            return self._words[_ASKED]

    def asked(self) -> int:
        """Return the number of the latest question."""
        return self._words[_ASKED]

    def answer(self, worker: int, number: int, blob: bytes) -> None:
        """Answer questions up to ``number``. Raises: ValueError for more than 64 KiB."""
        if len(blob) > ANSWER_BYTES:
            raise ValueError(f"an answer has at most {ANSWER_BYTES} bytes")
        at = _ANSWERS_AT + worker * ANSWER_BYTES
        with self._lock.hold(0):
            self._bytes[at : at + len(blob)] = blob
            self._words[_SIZES + worker] = len(blob)
            self._words[_ANSWERED + worker] = number

    def answered(self, worker: int, number: int) -> bytes | None:
        """Return a worker's answer to a question, or to a later one; ``None`` if there is none yet."""
        at = _ANSWERS_AT + worker * ANSWER_BYTES
        with self._lock.hold(0):
            if self._words[_ANSWERED + worker] < number:
                return None
            return bytes(self._bytes[at : at + self._words[_SIZES + worker]])

    # Settings

    def changed(self) -> int:
        """Count of changes of the settings so far."""
        return self._words[_CHANGED]

    def settings(self) -> bytes:
        with self._lock.hold(0):
            return bytes(self._bytes[_SETTINGS_AT : _SETTINGS_AT + self._words[_SETTINGS_SIZE]])

    def set_settings(self, blob: bytes) -> None:
        """Replace the settings of all workers. Raises: ValueError for more than 16 KiB."""
        if len(blob) > SETTINGS_BYTES:
            raise ValueError(f"the settings have at most {SETTINGS_BYTES} bytes")
        with self._lock.hold(0):
            self._bytes[_SETTINGS_AT : _SETTINGS_AT + len(blob)] = blob
            self._words[_SETTINGS_SIZE] = len(blob)
            self._words[_CHANGED] += 1

    # The log

    def watch(self, worker: int, level: int) -> None:
        """Say from which level on a worker's readers want the log; 0: it has none (or is dead)."""
        self._words[_WATCHED + worker] = level

    def watched(self) -> int:
        """Return the lowest level that anybody reads, 0 for nobody."""
        return min(
            (level for level in self._words[_WATCHED : _WATCHED + WORKERS].tolist() if level), default=0
        )

    def write_line(self, line: bytes) -> None:
        """Add a line for the readers, cut to 4 KiB; the oldest one gives way."""
        line = line[:LINE_BYTES]
        with self._lock.hold(0):
            number = self._words[_NEXT]
            place = number % LINES
            at = _LINES_AT + place * LINE_BYTES
            self._bytes[at : at + len(line)] = line
            self._words[_LINE_SIZES + place] = len(line)
            self._words[_NEXT] = number + 1

    def next_line(self) -> int:
        """Return the number that the next line will have."""
        return self._words[_NEXT]

    def read_lines(self, number: int) -> tuple[int, int, list[bytes]]:
        """Return lines from ``number`` on: the number to go on with, how many were missed, and the lines."""
        if self._words[_NEXT] <= number:
            return number, 0, []
        with self._lock.hold(0):
            end = self._words[_NEXT]
            first = max(number, end - LINES)
            lines = []
            for place in (at % LINES for at in range(first, end)):
                at = _LINES_AT + place * LINE_BYTES
                lines.append(bytes(self._bytes[at : at + self._words[_LINE_SIZES + place]]))
        return end, first - number, lines
