"""Background work gives way to requests: it takes a small part of a busy loop's time, and most of an idle one's."""

import asyncio
import time
from collections.abc import Awaitable, Callable

BREATH = 0.25
"""How long to pause after a step in any case, as a part of the processor time that it took."""

SHARE = 0.1
"""The part of the loop's time that the work may take while requests are served."""

BUSY = 0.3
"""A loop that works for more than this part of a pause has requests to serve."""


class Pace:
    """Paces one piece of work that goes on in steps, each ended by ``rest``. Made where the first step begins.

    A step takes the loop's thread, and so do requests: how much of a pause that thread was at work tells whether anybody
    is kept waiting.
    """

    def __init__(
        self,
        *,
        worked: Callable[[], float] = time.thread_time,
        wall: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._worked = worked
        self._wall = wall
        self._sleep = sleep
        self._began = worked()

    async def rest(self) -> None:
        """Pause between two steps: shortly, and for longer if requests came meanwhile."""
        took = self._worked() - self._began
        worked, since = self._worked(), self._wall()
        await self._sleep(took * BREATH)
        rested = self._wall() - since
        left = took * (1 / SHARE - 1) - rested
        if left > 0 and self._worked() - worked > BUSY * rested:
            await self._sleep(left)
        self._began = self._worked()
