"""Garbage collection at our own pace, away from requests."""

import gc
import time

__all__ = ["GcPace"]

_QUIET_SECONDS = 5.0
_AT_LEAST_EVERY = 900.0  # seconds; bounds what cycles can pile up under load that never rests
_AT_MOST_EVERY = 60.0


class GcPace:
    """Young garbage is collected as usual; full collections wait for a quiet moment.

    A full collection walks every object of every open connection: with 10,000 of them a pause of tens of
    milliseconds. What was built at start is frozen, so no collection walks it at all.
    """

    def __init__(self) -> None:
        gc.collect()
        gc.freeze()
        gc.set_threshold(5_000, 20, 1_000_000)
        self._last_full = self._last_busy = time.monotonic()
        self._requests = 0

    def tick(self, requests: int) -> None:
        """Call once a second with the number of requests so far."""
        now = time.monotonic()
        if requests != self._requests:
            self._requests = requests
            self._last_busy = now
        since_full = now - self._last_full
        quiet = now - self._last_busy >= _QUIET_SECONDS and self._last_busy > self._last_full
        if (quiet and since_full >= _AT_MOST_EVERY) or since_full >= _AT_LEAST_EVERY:
            gc.collect()
            self._last_full = now
