"""The server's log: one handler for gunicorn's lines and ours.

A line is an event's constant name and what there is to say about it (``extra``). An exception is told by its type
and the places it passed; its own text may quote a value, so only errors that are written in our words show theirs.
"""

import errno
import json
import logging
import time
import traceback
from typing import Any

from gunicorn.glogging import Logger

from broker.plugin.errors import BrokerError

__all__ = ["ServerLogger"]

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    """Return what the caller gave as ``extra``."""
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _told(error: BaseException) -> str:
    """Return an exception's type, with its text where that holds no value."""
    name = type(error).__qualname__
    if isinstance(error, BrokerError):
        return f"{name}: {error}"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{name}: {errno.errorcode.get(error.errno, error.errno)}"
    return name


class _Plain(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s [%(levelname)s] %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")

    converter = staticmethod(time.gmtime)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802  # logging's name
        return f"{super().formatTime(record, datefmt)}.{int(record.msecs):03d}Z"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        """The line, and behind it ``name=value`` for each fact."""
        facts = "".join(f" {name}={value}" for name, value in _facts(record).items())
        return super().formatMessage(record) + facts

    def formatException(self, ei: Any) -> str:  # noqa: N802  # logging's name
        """The places an exception passed, and those that caused it before; never a value."""
        error: BaseException | None = ei[1]
        told: list[str] = []
        seen: set[int] = set()
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            told.append("".join(traceback.format_tb(error.__traceback__)) + _told(error))
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return "Traceback (most recent call last):\n" + "\nwhile handling\n".join(told)


class _Json(_Plain):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "@timestamp": self.formatTime(record, self.datefmt),
            "@level": record.levelname.lower(),
            "@module": record.name,
            "@message": record.getMessage(),
            "pid": record.process,
            **_facts(record),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


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


FORMATTERS: dict[str, logging.Formatter] = {"standard": _Plain(), "json": _Json()}
"""How a line is written, by the name of the format."""


class _JsonLogger(ServerLogger):
    formatter = _Json()
