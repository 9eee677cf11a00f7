"""Where the server meets the core and the HTTP edge: what each worker runs."""

from typing import Any

from broker.core.compose import DevInfo, application, dev_bootstrap, prepare
from broker.http.app import EdgeSettings, create_edge
from broker.http.strictjson import JsonLimits
from broker.server.setup import ASGIApp, WorkerSetup

__all__ = ["DevInfo", "create_app", "dev_bootstrap", "prepare"]


def create_app(setup: WorkerSetup) -> ASGIApp:
    """Return one worker's ASGI application."""
    made = application(setup)
    sizes = [listener.max_request_size for listener in setup.config.listeners]
    settings = EdgeSettings(max_body=max(sizes, default=32 * 1024 * 1024), json=JsonLimits())
    edge: Any = create_edge(made.handle, settings)

    async def reopen() -> None:
        runtime = made.seal_state.current()
        if runtime is not None:
            runtime.auditor.reopen()

    setup.on_reload(reopen)
    return edge  # type: ignore[no-any-return]
