"""The server's log: one handler for gunicorn's lines and ours."""

import json
import logging
import time
from typing import Any

from gunicorn.glogging import Logger

__all__ = ["ServerLogger"]


class _Plain(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s [%(levelname)s] %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")

    converter = staticmethod(time.gmtime)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802  # logging's name
        return f"{super().formatTime(record, datefmt)}.{int(record.msecs):03d}Z"


class _Json(_Plain):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "@timestamp": self.formatTime(record, self.datefmt),
            "@level": record.levelname.lower(),
            "@module": record.name,
            "@message": record.getMessage(),
            "pid": record.process,
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


class ServerLogger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's logger under our name; ``broker.*`` loggers share its handler and level."""

    formatter: logging.Formatter = _Plain()

    @classmethod
    def for_format(cls, name: str) -> type["ServerLogger"]:
        """The class for ``log_format``: ``standard`` lines or ``json`` objects."""
        return _JsonLogger if name == "json" else cls

    def setup(self, cfg: Any) -> None:
        """Configure gunicorn's own logger, then send ours the same way."""
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(self.formatter)
        ours = logging.getLogger("broker")
        ours.handlers = list(self.error_log.handlers)
        ours.setLevel(self.loglevel)
        ours.propagate = False

    @property
    def access_log_enabled(self) -> bool:
        """Requests are recorded by audit devices, never by an access log that knows nothing of masking."""
        return False

    def info(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """gunicorn tells its life at info; that is detail here."""
        self.error_log.debug(msg, *args, **kwargs)

    def debug(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """gunicorn's own details, its hundred settings among them, help nobody here."""


class _JsonLogger(ServerLogger):
    formatter = _Json()
