"""The parent process: owns the sockets and the node page, keeps the workers running, serves nothing itself."""

import gc
import logging
import signal
from typing import TYPE_CHECKING, Any

from gunicorn.arbiter import Arbiter

from broker.server.hardening import harden, raise_descriptor_limit
from broker.server.sockets import bind_all
from broker.server.tls import build_context

if TYPE_CHECKING:
    from broker.server.application import BrokerApplication

__all__ = ["BrokerArbiter"]

log = logging.getLogger("broker.server")

_HELD_BACK = (signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM)


class BrokerArbiter(Arbiter):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's arbiter with our sockets, and with reloads that keep workers and connections."""

    def __init__(self, app: "BrokerApplication") -> None:
        harden()  # before the log file is made
        super().__init__(app)
        self._application = app

    def start(self) -> None:
        """Bind before gunicorn would; it takes listeners that are already there as they are."""
        raise_descriptor_limit()
        for listener in self._application.config.listeners:
            if listener.tls:
                build_context(listener)  # a file that does not work is told before anything starts
        self.LISTENERS = bind_all(self._application.config.listeners)
        super().start()

    def spawn_worker(self) -> Any:
        """Fork a worker, holding back signals that would kill it before it has its handlers."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK)
        try:
            return super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD_BACK)

    def free_index(self) -> int:
        """The lowest worker number not in use, so that a replacement takes its predecessor's."""
        used = {worker.index for worker in self.WORKERS.values()}
        return next(number for number in range(len(used) + 1) if number not in used)

    def handle_hup(self) -> None:
        """Reload in place: log files here, certificates and audit files in the workers."""
        self.log.reopen_files()
        self.kill_workers(signal.SIGHUP)

    def handle_usr2(self) -> None:
        """A new arbiter could not inherit the node page, so there is no takeover."""
        log.warning("SIGUSR2 is not supported")

    def handle_winch(self) -> None:
        """A terminal that changes size is no reason to do anything."""


def pre_fork(arbiter: BrokerArbiter, worker: Any) -> None:
    """Number the worker."""
    worker.index = arbiter.free_index()


def child_exit(arbiter: BrokerArbiter, worker: Any) -> None:
    """A worker is gone: whatever it committed last may be unannounced, so every cache is made to look again."""
    node = arbiter.app.node
    node.set_connections(worker.index, 0)
    node.board.watch(worker.index, 0)
    node.bump_all()


def when_ready(arbiter: BrokerArbiter) -> None:
    """Listening; the workers come next."""
    gc.freeze()  # what is there by now is shared with the workers; a collection must not touch, and copy, it
    arbiter.app.announce_start(arbiter.LISTENERS)
