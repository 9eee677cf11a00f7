"""Where the server meets the core and the HTTP edge: what each worker runs."""

import asyncio
import logging
from typing import Any

from broker.core import seals
from broker.core.compose import Application, DevInfo, Prepared, application, dev_bootstrap, prepare
from broker.core.system.unsealing import open_by_itself, tell_why
from broker.http.app import create_edge
from broker.http.listener import RuleBook
from broker.http.stored import StoredSettings
from broker.plugin.errors import BrokerError, Unavailable
from broker.server.attendant import NodeAttendant
from broker.server.setup import ASGIApp, WorkerSetup

__all__ = ["DevInfo", "create_app", "dev_bootstrap", "prepare", "seal_to_leave"]


log = logging.getLogger("broker.server")

FOLLOW_SECONDS = 1.0
"""How often a worker that no request reaches looks whether the node was unsealed."""
RETRY_SECONDS = 5.0
"""Between attempts to open a node whose seal's service does not answer."""


class Lifecycle:
    """What a worker's core does when the worker starts and when it stops. Source: the ASGI lifespan protocol."""

    def __init__(self, made: Application, attendant: NodeAttendant) -> None:
        self._made = made
        self._attendant = attendant
        self._opening: asyncio.Task[None] | None = None

    async def process_startup(self, scope: Any, event: Any) -> None:
        """Open a node whose seal needs no people, and follow an open one; the worker serves meanwhile."""
        self._attendant.start()
        self._opening = asyncio.create_task(self._live(), name="open-by-itself")

    async def process_shutdown(self, scope: Any, event: Any) -> None:
        """Leave every part in order: audit chains are signed, stores are closed, plaintext is dropped."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        await self._attendant.close()
        await self._made.close()

    async def _live(self) -> None:
        """Open the node if it can be, then follow its state: what falls due must not wait for a request."""
        await self._open()
        seal = self._made.seal_state
        while True:
            if seal.current() is None:
                try:
                    await seal.enter()
                except BrokerError as error:
                    log.warning("seal.follow_failed error=%s reason=%s", type(error).__name__, error)
                except OSError as error:
                    log.warning("seal.follow_failed error=%s", type(error).__name__)
            await asyncio.sleep(FOLLOW_SECONDS)

    async def _open(self) -> None:
        while True:
            try:
                await open_by_itself(self._made.parts)
            except Unavailable as error:
                log.warning("seal.unavailable error=%s", type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)
            except BrokerError as error:
                tell_why(error)
                return
            else:
                return


async def seal_to_leave(prepared: Prepared) -> str:
    """Look at the store; returns the type of the seal that it has to leave, ``""`` if none. Raises: ConfigError."""
    return await seals.seal_to_leave(prepared.seals, prepared.backend, prepared.storage)


def create_app(setup: WorkerSetup) -> ASGIApp:
    """Return one worker's ASGI application."""
    attendant = NodeAttendant(setup.node.board, setup.index, setup.config.workers)
    made = application(setup, attendant)
    edge: Any = create_edge(
        made.core.handle,
        RuleBook.of(setup.config),
        stored=StoredSettings(made.seal_state.runtime),
        under_way=attendant.under_way,
        check_live=made.core.check_live,
    )

    edge.add_middleware(Lifecycle(made, attendant))
    setup.on_stop(attendant.stop)

    async def reopen() -> None:
        runtime = made.seal_state.current()
        if runtime is not None:
            runtime.auditor.reopen()

    setup.on_reload(reopen)
    return edge  # type: ignore[no-any-return]
