"""What the core asks of the process around it: log levels, requests under way, the log as it is written."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from typing import Any, Protocol

LEVELS = {
    "trace": 5,
    "debug": 10,
    "info": 20,
    "notice": 20,
    "warn": 30,
    "warning": 30,
    "err": 40,
    "error": 40,
}
"""Names of levels that are taken, with their numbers in ``logging``."""
FORMATS = ("standard", "json")


class Attendant(Protocol):
    """One worker's hand in what all workers of the node do together (``broker.server.attendant``)."""

    def levels(self) -> Mapping[str, str]:
        """Return the level of every logger, by its name."""

    def set_levels(self, names: Collection[str] | None, level: str | None) -> None:
        """Give loggers (``None``: all) a level in every worker; ``None`` gives them the configured one back."""

    async def in_flight(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the requests that any worker is busy with, by id."""

    def monitor(
        self, level: str, form: str, alive: Callable[[], Awaitable[bool]]
    ) -> AsyncGenerator[bytes, None]:
        """Yield what any worker logs from now on, as long as ``alive``; now and then nothing, so that both look around.

        Raises: QuotaExceeded if too many do so already.
        """


class Unattended:
    """A core without a server around it: alone, idle, silent."""

    def levels(self) -> Mapping[str, str]:
        return {}

    def set_levels(self, names: Collection[str] | None, level: str | None) -> None:
        return None

    async def in_flight(self) -> Mapping[str, Mapping[str, Any]]:
        return {}

    async def monitor(
        self, level: str, form: str, alive: Callable[[], Awaitable[bool]]
    ) -> AsyncGenerator[bytes, None]:
        yield b""
