"""What a worker hands to the application it is about to run."""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from broker.server.nodepage import NodePage
from broker.server.settings import ServerConfig

__all__ = ["ASGIApp", "CreateApp", "ReloadHook", "WorkerSetup"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
ReloadHook = Callable[[], Awaitable[None] | None]


@dataclass(frozen=True, slots=True)
class WorkerSetup:
    """One worker's view of the node.

    ``index`` is 0..workers-1; a replacement takes the index of the worker that died. ``shared`` is whatever the
    application prepared in the arbiter, before the workers were forked.
    """

    config: ServerConfig
    node: NodePage
    index: int = 0
    shared: object = None
    reload_hooks: list[ReloadHook] = field(default_factory=list, repr=False)
    stop_hooks: list[Callable[[], None]] = field(default_factory=list, repr=False)

    def on_stop(self, hook: Callable[[], None]) -> None:
        """Call ``hook`` (quick) when the worker begins to stop, before it waits for answers that are under way."""
        self.stop_hooks.append(hook)

    def on_reload(self, hook: ReloadHook) -> None:
        """Call ``hook`` (sync or async, on the event loop) at every SIGHUP: reopen files, reread settings."""
        self.reload_hooks.append(hook)


CreateApp = Callable[[WorkerSetup], ASGIApp]
