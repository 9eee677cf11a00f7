"""The gunicorn application: our settings in its terms."""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gunicorn.app.base import BaseApplication

from broker.plugin.errors import ConfigError
from broker.server import arbiter
from broker.server.dev import DevBootstrap
from broker.server.logs import ServerLogger
from broker.server.nodepage import NodePage, PageLockError
from broker.server.settings import ServerConfig
from broker.server.setup import CreateApp, WorkerSetup
from broker.server.sockets import ListeningSocket
from broker.server.worker import BrokerWorker

__all__ = ["BrokerApplication", "serve"]

Banner = Callable[[Sequence[ListeningSocket]], Iterable[str]]
_WORKER_TIMEOUT_SECONDS = 60  # a worker whose loop stands still this long is replaced


class BrokerApplication(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """Holds what the processes share: the configuration, the node page and the way to build the application."""

    def __init__(
        self,
        config: ServerConfig,
        create_app: CreateApp,
        *,
        node: NodePage | None = None,
        shared: object = None,
        bootstrap: DevBootstrap | None = None,
        banner: Banner = lambda listeners: (),
    ) -> None:
        self.config = config
        self.create_app = create_app
        self.node = node or _node_page(config)
        self.shared = shared
        self.bootstrap = bootstrap
        self.banner = banner
        super().__init__()

    def load_config(self) -> None:
        """Fill gunicorn's settings; nothing is read from files, arguments or the environment."""
        for key, value in self._settings().items():
            self.cfg.set(key, value)

    def _settings(self) -> dict[str, Any]:
        config = self.config
        return {
            "bind": [],  # the arbiter binds
            "workers": config.workers,
            "worker_class": BrokerWorker,
            "timeout": _WORKER_TIMEOUT_SECONDS,
            "graceful_timeout": max(1, int(config.stop_timeout.total_seconds())),
            "worker_tmp_dir": "/dev/shm" if os.path.isdir("/dev/shm") else None,  # noqa: S108  # heartbeats only
            "asgi_loop": "uvloop",
            "asgi_lifespan": "on",
            "control_socket_disable": True,
            "preload_app": False,
            "umask": 0o077,
            "pidfile": str(config.pid_file) if config.pid_file else None,
            "proc_name": "broker",
            "errorlog": str(config.log_file) if config.log_file else "-",
            "loglevel": {"trace": "debug", "warn": "warning"}.get(config.log_level, config.log_level),
            "accesslog": None,
            "logger_class": ServerLogger.for_format(config.log_format),
            "pre_fork": arbiter.pre_fork,
            "child_exit": arbiter.child_exit,
            "when_ready": arbiter.when_ready,
        }

    def load(self) -> Any:
        """gunicorn asks for the application here; the worker builds it itself, after the fork."""
        raise NotImplementedError("the worker builds the application")

    def run(self) -> None:
        """Serve until told to stop, then exit the process. Raises: SystemExit."""
        arbiter.BrokerArbiter(self).run()

    def setup_for(self, index: int) -> WorkerSetup:
        """What worker ``index`` hands to the application."""
        return WorkerSetup(self.config, self.node, index, self.shared)

    def announce_start(self, listeners: Sequence[ListeningSocket]) -> None:
        """Listening: initialise a development server, then say where and how we run."""
        for line in self.banner(listeners):
            print(line, flush=True)
        if self.bootstrap is not None:
            self.bootstrap.run(self.setup_for(0))
            print(self.bootstrap.notice(listeners), flush=True)


def _node_page(config: ServerConfig) -> NodePage:
    try:
        return NodePage(lock_memory=not config.disable_mlock)
    except PageLockError as error:
        raise ConfigError(
            "the node page cannot be locked in memory: allow it (RLIMIT_MEMLOCK of at least 1 MiB) or set disable_mlock = true"
        ) from error


def serve(config: ServerConfig, create_app: CreateApp, **options: Any) -> None:
    """Run a server in this process; see ``BrokerApplication`` for the options. Raises: SystemExit at the end."""
    BrokerApplication(config, create_app, **options).run()
