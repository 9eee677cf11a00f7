"""Work in a thread that is waited for to the end."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")


class Job(Generic[T]):
    """One piece of work, handed to a thread when it is made. ``then`` is called on the loop as soon as that has worked.

    ``done`` ends with the work, however that ends, and is for those who only want to know when. Between the thread's
    last word and the waiting task lie two turns of the loop; ``run_in_executor`` behind a shield takes twice as many, and on a
    busy loop each is milliseconds.
    """

    def __init__(
        self, executor: Executor, work: Callable[[], T], then: Callable[[], None] | None = None
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._work = work
        self._then = then
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._waiter = self._loop.create_future()
        self.done: asyncio.Future[None] = self._loop.create_future()
        executor.submit(self._run)

    async def outcome(self) -> T:
        """Return what the work returned, or raise what it raised. A caller that is cancelled stays until it is done."""
        cancelled = await self.end()
        if cancelled is not None:
            raise cancelled
        if self._error is not None:
            raise self._error
        return self._result[0]

    async def end(self) -> asyncio.CancelledError | None:
        """Wait until it is done, however that ends. Returns what a cancelled caller has to raise."""
        cancelled: asyncio.CancelledError | None = None
        while not self.done.done():
            try:
                await self._waiter
            except asyncio.CancelledError as error:
                cancelled = error
                self._waiter = self._loop.create_future()
        return cancelled

    def _run(self) -> None:
        try:
            self._result.append(self._work())
        except BaseException as error:
            self._error = error
        with suppress(RuntimeError):  # the loop has ended: nobody waits
            self._loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        if self._then is not None and self._error is None:
            try:
                self._then()
            except BaseException as error:
                self._error = error
        self.done.set_result(None)
        if not self._waiter.done():
            self._waiter.set_result(None)
