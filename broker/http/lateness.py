"""Requests that take too long: cancelled, so that they can be answered.

A request pays two dictionary entries; a timer that runs only while there are requests looks for the old ones, first the
oldest. So a request is cut off no earlier than its time, and up to two ticks later.
"""

import asyncio
import math
from typing import Any

LONGEST_TICK = 1.0
SHORTEST_TICK = 0.01
TICKS = 10
"""Ticks in a short limit; a long one is looked after once a second."""


class Lateness:
    """The requests under way on a listener and how long they may take, ``seconds``.

    ``running`` maps a task to the tick it began in. A caller calls ``start`` if ``timer`` is ``None``, enters its task by
    ``running[task] = tick``, and takes it out by ``running.pop(task)`` before it sends the first byte: it is not
    cancelled from then on. ``loop`` is there once started; asking it for the task is much the quicker way.
    """

    __slots__ = ("_allowed", "_expired", "_interval", "loop", "running", "seconds", "tick", "timer")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._interval = min(LONGEST_TICK, max(seconds / TICKS, SHORTEST_TICK))
        self._allowed = math.ceil(seconds / self._interval)
        self._expired: set[asyncio.Task[Any]] = set()
        self.running: dict[asyncio.Task[Any], int] = {}
        self.tick = 0
        self.timer: asyncio.TimerHandle | None = None
        self.loop: asyncio.AbstractEventLoop

    def start(self) -> None:
        """Let the clock run, on the running loop."""
        self.loop = asyncio.get_running_loop()
        self.timer = self.loop.call_later(self._interval, self._sweep)

    def expired(self, task: "asyncio.Task[Any]") -> bool:
        """Tell whether it was this clock that cancelled the task, and take the cancellation back if so."""
        if task not in self._expired:
            return False
        self._expired.discard(task)
        task.uncancel()
        return True

    def _sweep(self) -> None:
        self.tick += 1
        newest = self.tick - self._allowed  # began before this tick: the limit is over
        late = []
        for task, began in self.running.items():
            if began >= newest:
                break  # entered in order: the rest is younger
            late.append(task)
        for task in late:
            del self.running[task]
            self._expired.add(task)
            task.cancel()
        if self.running:
            self.timer = self.loop.call_later(self._interval, self._sweep)
        else:
            self.timer = None
