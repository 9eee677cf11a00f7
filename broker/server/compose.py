"""Where the server meets the core and the HTTP edge: what each worker runs."""

from typing import Any

from broker.core.compose import DevInfo, application, dev_bootstrap, prepare
from broker.http.app import create_edge
from broker.http.listener import RuleBook
from broker.server.setup import ASGIApp, WorkerSetup

__all__ = ["DevInfo", "create_app", "dev_bootstrap", "prepare"]


def create_app(setup: WorkerSetup) -> ASGIApp:
    """Return one worker's ASGI application."""
    made = application(setup)
    edge: Any = create_edge(made.core.handle, RuleBook.of(setup.config))

    async def reopen() -> None:
        runtime = made.seal_state.current()
        if runtime is not None:
            runtime.auditor.reopen()

    setup.on_reload(reopen)
    return edge  # type: ignore[no-any-return]
