"""Times as the log shows them: RFC 3339, UTC, nanoseconds without trailing zeros (Go's RFC3339Nano)."""

import time
from collections.abc import Callable

NANOSECONDS = 1_000_000_000


def seconds_text(unix_seconds: float) -> str:
    """``2026-01-02T03:04:05``, without the zone."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(unix_seconds))


def nano_text(unix_ns: int) -> str:
    """``2026-01-02T03:04:05.6Z``.

    >>> nano_text(1_600_000_000)
    '1970-01-01T00:00:01.6Z'
    """
    seconds, fraction = divmod(unix_ns, NANOSECONDS)
    if not fraction:
        return seconds_text(seconds) + "Z"
    return f"{seconds_text(seconds)}.{fraction:09d}".rstrip("0") + "Z"


class Stamp:
    """The time now, as bytes. The text of the current second is kept, for it is used thousands of times."""

    __slots__ = ("_now_ns", "_second", "_text")

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._now_ns = now_ns
        self._second = -1
        self._text = b""

    def now(self) -> bytes:
        """The current time, always with nine digits: lines of equal width, and no trimming on the hot path."""
        now = self._now_ns()
        second = now // NANOSECONDS
        if second != self._second:
            self._text = seconds_text(second).encode()
            self._second = second
        return b"%b.%09dZ" % (self._text, now % NANOSECONDS)
