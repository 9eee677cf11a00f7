"""A limit on how often something may be done in this worker."""


class Rate:
    """A bucket of ``burst`` uses that fills up again by ``per_second``."""

    def __init__(self, *, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = burst
        self._left = float(burst)
        self._at = 0.0

    def take(self, now: float) -> bool:
        """Take one use. Returns whether there was one; ``now`` in seconds, and a clock set back refills nothing."""
        self._left = min(self._burst, self._left + max(0.0, now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
