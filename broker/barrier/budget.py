"""Counting encryptions ahead of use, so that no key comes near the limit of AES-GCM with random nonces."""

from typing import Final

from broker.barrier.keyring import Keyring

STEP: Final = 2**16
"""How many encryptions a worker reserves at a time."""


class EncryptionBudget:
    """What one worker may still encrypt before it must reserve more in the stored keyring.

    ``TenantCodec`` spends; the worker, whenever ``wanted`` is not 0, commits ``keyring.reserve(wanted)`` and then
    calls ``granted``. Reserving early keeps ``seal`` free of waiting. A worker that could not reserve in time goes
    on and asks for more the next time: the overdraft of a burst is thousands where the limit is billions.
    """

    __slots__ = ("_left", "_term")

    def __init__(self) -> None:
        self._left = 0
        self._term = 0

    def spend(self) -> None:
        """Note one encryption."""
        self._left -= 1

    def wanted(self, keyring: Keyring) -> int:
        """Return how many encryptions to reserve now; 0 while more than half a step is left.

        What was reserved under an older term does not count for the new one.
        """
        left = self._left if self._term == keyring.active else min(self._left, 0)
        return STEP - left if left < STEP // 2 else 0

    def granted(self, term: int, count: int) -> None:
        """Take over a reservation that is durable."""
        if term != self._term:
            self._term, self._left = term, min(self._left, 0)
        self._left += count
