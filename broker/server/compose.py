"""Where the server meets the core and the HTTP edge: what each worker runs."""

import asyncio
import logging
from typing import Any

from broker.core.compose import Application, DevInfo, application, dev_bootstrap, prepare
from broker.core.system.opening import open_by_itself
from broker.http.app import create_edge
from broker.http.listener import RuleBook
from broker.plugin.errors import BrokerError, Unavailable
from broker.server.setup import ASGIApp, WorkerSetup

__all__ = ["DevInfo", "create_app", "dev_bootstrap", "prepare"]


log = logging.getLogger("broker.server")

RETRY_SECONDS = 5.0
"""Between attempts to open a node whose seal's service does not answer."""


class Lifecycle:
    """What a worker's core does when the worker starts and when it stops. Source: the ASGI lifespan protocol."""

    def __init__(self, made: Application) -> None:
        self._made = made
        self._opening: asyncio.Task[None] | None = None

    async def process_startup(self, scope: Any, event: Any) -> None:
        """Open a node whose seal needs no people; the worker serves (sealed) meanwhile."""
        self._opening = asyncio.create_task(self._open(), name="open-by-itself")

    async def process_shutdown(self, scope: Any, event: Any) -> None:
        """Leave every part in order: audit chains are signed, stores are closed, plaintext is dropped."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        await self._made.close()

    async def _open(self) -> None:
        while True:
            try:
                await open_by_itself(self._made.parts)
            except Unavailable as error:
                log.warning("seal.unavailable error=%s", type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)
            except BrokerError as error:
                log.error("seal.cannot_open error=%s", type(error).__name__)
                return
            else:
                return


def create_app(setup: WorkerSetup) -> ASGIApp:
    """Return one worker's ASGI application."""
    made = application(setup)
    edge: Any = create_edge(made.core.handle, RuleBook.of(setup.config))

    edge.add_middleware(Lifecycle(made))

    async def reopen() -> None:
        runtime = made.seal_state.current()
        if runtime is not None:
            runtime.auditor.reopen()

    setup.on_reload(reopen)
    return edge  # type: ignore[no-any-return]
