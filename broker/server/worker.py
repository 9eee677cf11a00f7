"""A worker process: gunicorn's life cycle, our event loop, connections and application."""

import asyncio
import inspect
import logging
import os
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gunicorn.arbiter import Arbiter
from gunicorn.workers.gasgi import ASGIWorker

from broker.plugin.errors import BrokerError
from broker.server.accept import Acceptor
from broker.server.connection import HttpConnection
from broker.server.gcpace import GcPace
from broker.server.hardening import die_with_parent, harden, lock_all_memory
from broker.server.limits import Limits
from broker.server.outbox import Outbox
from broker.server.setup import ASGIApp
from broker.server.sockets import ListeningSocket
from broker.server.tls import ContextHolder
from broker.server.tlstransport import TlsProtocol

if TYPE_CHECKING:
    from broker.server.application import BrokerApplication

__all__ = ["BrokerWorker"]

Connection = HttpConnection | TlsProtocol

log = logging.getLogger("broker.server")

_TICK_SECONDS = 1.0
_SWEEP_PARTS = 10
_FAIR_LEAD = 2  # connections a worker may be ahead before it lets the others accept first


class BrokerWorker(ASGIWorker):  # type: ignore[misc]  # gunicorn has no types
    """Serves one application on all listeners. Signals: TERM stops gracefully, HUP and USR1 reload."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.index = 0
        self.draining = False
        self.requests = 0
        self._connections: set[Connection] = set()
        self._acceptors: list[Acceptor] = []
        self._failed = False
        self._reloads: set[asyncio.Task[None]] = set()
        self._broker: BrokerApplication = self.app

    # -- life ------------------------------------------------------------------------------------------------

    def init_process(self) -> None:
        """Run in the new process, before anything else; returns when the worker is done."""
        harden()
        die_with_parent(self.ppid, signal.SIGTERM)
        if not self._broker.config.disable_mlock:
            self._broker.node.pin()
            problem = lock_all_memory()
            if problem and self.index == 0:
                log.warning(problem)
        super().init_process()

    def load_wsgi(self) -> None:
        """Build the application: after the fork, so that it owns its threads and files."""
        self._setup = self._broker.setup_for(self.index)
        try:
            self.asgi: ASGIApp = self._broker.create_app(self._setup)
        except BrokerError as error:
            log.error("cannot start: %s", error)
            sys.exit(self._failure_status())
        self._pace = GcPace()

    def init_signals(self) -> None:
        """Take over the signals. Those blocked since before the fork stay so: the loop hears them once it runs."""
        super().init_signals()
        self._stop_asked = asyncio.Event()
        for number in (signal.SIGHUP, signal.SIGUSR1):
            self.loop.add_signal_handler(number, self._on_reload_signal)

    def run(self) -> None:
        """Serve until stopped."""
        super().run()
        if self._failed:
            sys.exit(self._failure_status())

    def _failure_status(self) -> int:
        """A server whose first workers cannot start ends; one that has served keeps trying, once a second."""
        if not self._broker.node.was_ready():
            return int(Arbiter.WORKER_BOOT_ERROR)
        time.sleep(1.0)
        return 1

    def handle_exit_signal(self) -> None:
        """SIGTERM: finish what was begun."""
        self.alive = False
        self._stop_asked.set()

    def handle_quit_signal(self) -> None:
        """SIGQUIT, SIGINT: stop now."""
        self._quick_shutdown = True
        self.handle_exit_signal()

    async def _serve(self) -> None:
        self.outbox = Outbox(self.loop)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM))
        lifespan = await self._start_lifespan()
        if lifespan is None:
            self._failed = True
            return
        self.lifespan = lifespan
        self._open_listeners()
        self._broker.node.mark_ready()
        log.info("worker %d ready", self.index)
        part = 0
        while self.alive:
            if part == 0:
                self.notify()
                self._pace.tick(self.requests)
            self._sweep(part)
            part = (part + 1) % _SWEEP_PARTS
            if self.ppid != os.getppid():
                log.warning("the arbiter is gone; stopping")
                break
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop_asked.wait(), _TICK_SECONDS / _SWEEP_PARTS)
        await self._shutdown()

    async def _start_lifespan(self) -> Any:
        from gunicorn.asgi.lifespan import LifespanManager

        manager = LifespanManager(self.asgi, self.log, self.state)
        try:
            await manager.startup()
        except Exception:
            log.exception("the application did not start")
            return None
        return manager

    def _open_listeners(self) -> None:
        for listener in self.sockets:
            acceptor = Acceptor(self.loop, listener, self._protocol_factory(listener), self)
            acceptor.start()
            self._acceptors.append(acceptor)

    def _protocol_factory(self, listener: ListeningSocket) -> Any:
        limits = Limits.of(listener.config)
        if not listener.config.tls:
            return lambda: HttpConnection(self, limits)
        holder = ContextHolder.of(listener.config)
        self._setup.on_reload(holder.reload)
        return lambda: TlsProtocol(self, holder, lambda: HttpConnection(self, limits), limits.head_seconds)

    async def _shutdown(self) -> None:
        """Accept no more, let idle connections go, wait for the rest, then stop the application."""
        self.draining = True
        for hook in self._setup.stop_hooks:
            hook()
        for acceptor in self._acceptors:
            acceptor.stop()
        deadline = self.loop.time() + self.cfg.graceful_timeout
        while self._connections and self.loop.time() < deadline and not self._quick_shutdown:
            for connection in list(self._connections):
                connection.close_if_idle()
            self._sweep()
            self.notify()
            await asyncio.sleep(0.02)
        for connection in list(self._connections):
            connection.abort()
        if not self._quick_shutdown:
            await self.lifespan.shutdown()

    # -- connections -----------------------------------------------------------------------------------------

    def opened(self, connection: Connection) -> None:
        """A connection was made."""
        self._connections.add(connection)
        self.nr_conns = len(self._connections)
        self._broker.node.set_connections(self.index, self.nr_conns)

    def closed(self, connection: Connection) -> None:
        """A connection has ended."""
        self._connections.discard(connection)
        self.nr_conns = len(self._connections)
        self._broker.node.set_connections(self.index, self.nr_conns)

    def full(self) -> bool:
        """True at the connection limit; further clients wait on the socket."""
        return self.nr_conns >= self._broker.config.max_connections

    def ahead_of_others(self) -> bool:
        """True if this worker holds clearly more connections than the one with the fewest."""
        counts = self._broker.node.connections(self.cfg.workers)
        return self.nr_conns >= min(counts) + _FAIR_LEAD

    def _sweep(self, part: int | None = None) -> None:
        """Cut off what is overdue: among all connections, or in one part of them, so that no request waits for long.

        Which part a connection is in may shift as others come and go; it is looked at within a few seconds anyway.
        """
        now = self.loop.time()
        connections = list(self._connections)
        if part is not None:
            connections = connections[part::_SWEEP_PARTS]
        for connection in [c for c in connections if c.deadline <= now]:
            connection.expire()

    # -- reload ----------------------------------------------------------------------------------------------

    def _on_reload_signal(self) -> None:
        self.log.reopen_files()
        task = self.loop.create_task(self._reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def _reload(self) -> None:
        """Run every hook, also after one has failed."""
        for hook in tuple(self._setup.reload_hooks):
            try:
                outcome = hook()
                if inspect.isawaitable(outcome):
                    await outcome
            except Exception:
                log.exception("a reload hook failed")
        log.info("worker %d reloaded", self.index)
