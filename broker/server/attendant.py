"""One worker's part in what all workers of the node do together: log levels, requests under way, the log for readers.

Implements ``broker.core.attendance.Attendant`` over the noticeboard.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from broker.core.attendance import LEVELS
from broker.plugin.errors import QuotaExceeded
from broker.server.logs import FORMATTERS
from broker.server.noticeboard import ANSWER_BYTES, LINE_BYTES, Noticeboard

__all__ = ["NodeAttendant"]

LOOK_SECONDS = 0.25
PATIENCE_SECONDS = 2.0
"""How long an answer of another worker is waited for: one that hangs is told of by its silence."""
MAX_READERS = 8
MAX_PATH = 512
_OURS = "broker"


class NodeAttendant:
    """``under_way`` is kept by the edge: the ASGI scopes of requests by id, each with the Unix time it came in at."""

    def __init__(self, board: Noticeboard, index: int, workers: int) -> None:
        self.under_way: dict[str, tuple[Mapping[str, Any], float]] = {}
        self._board = board
        self._index = index
        self._workers = max(workers, index + 1)
        self._answered = board.asked()
        self._applied: tuple[int, int] = (0, 0)
        self._levels = LogLevels()
        self._readers: list[int] = []
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        logging.getLogger(_OURS).addHandler(_Ring(board))

    def start(self) -> None:
        """Look at the noticeboard from now on."""
        self._task = asyncio.create_task(self._run(), name="attendant")

    def stop(self) -> None:
        """Let readers go: the worker is about to end."""
        self._stopping = True

    async def close(self) -> None:
        self.stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Do what the noticeboard asks for."""
        asked = self._board.asked()
        if asked != self._answered:
            self._board.answer(self._index, asked, self._snapshot())
            self._answered = asked
        seen = self._board.changed(), self._board.watched()
        if seen != self._applied:
            self._applied = seen
            self._levels.apply(self._settings(), seen[1])

    # Log levels

    def levels(self) -> Mapping[str, str]:
        self.look()
        return self._levels.shown()

    def set_levels(self, names: Collection[str] | None, level: str | None) -> None:
        settings = self._settings()
        if names is None:
            settings = {} if level is None else {"": level}
        else:
            settings |= {name: level for name in names if level is not None}
            settings = {
                name: kept for name, kept in settings.items() if level is not None or name not in names
            }
        self._board.set_settings(json.dumps(settings).encode())
        self.look()

    def _settings(self) -> dict[str, str]:
        blob = self._board.settings()
        found: dict[str, str] = json.loads(blob) if blob else {}
        return found

    # Requests under way

    async def in_flight(self) -> Mapping[str, Mapping[str, Any]]:
        number = self._board.ask()
        self.look()
        found: dict[str, Any] = {}
        waiting = set(range(self._workers))
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while True:
            for worker in sorted(waiting):
                blob = self._board.answered(worker, number)
                if blob is not None:
                    found |= json.loads(blob)
                    waiting.discard(worker)
            if not waiting or asyncio.get_running_loop().time() >= deadline:
                return found
            await asyncio.sleep(LOOK_SECONDS / 5)

    def _snapshot(self) -> bytes:
        """Return this worker's requests, oldest first, as many as an answer has room for."""
        shown: dict[str, Any] = {}
        room = ANSWER_BYTES - 2
        for number, (scope, began) in self.under_way.items():
            line = {number: _described(scope, began)}
            room -= len(json.dumps(line))
            if room < 0:
                break
            shown |= line
        return json.dumps(shown).encode()

    # The log for readers

    def monitor(
        self, level: str, form: str, alive: Callable[[], Awaitable[bool]]
    ) -> AsyncGenerator[bytes, None]:
        if len(self._readers) >= MAX_READERS:
            raise QuotaExceeded(f"{MAX_READERS} readers of the log are served already; try again later")
        return self._lines(LEVELS[level], form, alive)

    async def _lines(
        self, least: int, form: str, alive: Callable[[], Awaitable[bool]]
    ) -> AsyncGenerator[bytes, None]:
        self._readers.append(least)
        self._publish()
        number = self._board.next_line()
        try:
            yield b""
            while not self._stopping and await alive():
                number, missed, lines = self._board.read_lines(number)
                kept = [line for line in map(json.loads, lines) if line["level"] >= least]
                if missed:
                    kept.insert(0, _told_missing(missed))
                yield b"".join(line[form].encode() + b"\n" for line in kept)
                await asyncio.sleep(LOOK_SECONDS / 2)
        finally:
            self._readers.remove(least)
            self._publish()

    def _publish(self) -> None:
        self._board.watch(self._index, min(self._readers, default=0))
        self.look()


def _described(scope: Mapping[str, Any], began: float) -> dict[str, Any]:
    host, port = scope.get("client") or ("", 0)
    return {
        "start_time": datetime.fromtimestamp(began, UTC).isoformat().replace("+00:00", "Z"),
        "client_remote_address": f"{host}:{port}",
        "request_path": scope["raw_path"].decode("latin-1")[:MAX_PATH],
        "request_method": scope["method"],
        "client_id": "",
    }


def _told_missing(count: int) -> dict[str, str]:
    text = f"{count} lines were written faster than they were read, and are missing here"
    return {"standard": text, "json": json.dumps({"@level": "warning", "@message": text})}


class _Ring(logging.Handler):
    """Hands on what is logged while somebody reads it."""

    def __init__(self, board: Noticeboard) -> None:
        super().__init__()
        self._board = board

    def emit(self, record: logging.LogRecord) -> None:
        least = self._board.watched()
        if not least or record.levelno < least:
            return
        try:
            self._board.write_line(_line_of(record))
        except Exception:
            self.handleError(record)


def _line_of(record: logging.LogRecord) -> bytes:
    """Return a record in every format a reader may ask for; one that is too long for the ring is cut."""
    told = {name: formatter.format(record) for name, formatter in FORMATTERS.items()}
    line = json.dumps({"level": record.levelno, **told}).encode()
    if len(line) <= LINE_BYTES:
        return line
    start = told["standard"][:500]
    short = {"@level": record.levelname.lower(), "@module": record.name, "@message": start}
    return json.dumps({"level": record.levelno, "standard": start, "json": json.dumps(short)}).encode()


class LogLevels:
    """Levels of the ``broker.*`` loggers: as configured, as set at run time, and as low as readers of the log ask for.

    A reader may want more than the log itself is to have: then the loggers are opened, and the log's own handlers keep
    out what is below the level that holds for them.
    """

    def __init__(self) -> None:
        self._root = logging.getLogger(_OURS)
        self._configured = self._root.level or logging.INFO
        self._settings: Mapping[str, str] = {}
        for handler in self._root.handlers:
            handler.addFilter(self._passes)

    def shown(self) -> dict[str, str]:
        return {name: _name_of(self._level_of(name)) for name in sorted(_names())}

    def apply(self, settings: Mapping[str, str], watched: int) -> None:
        """Take over settings (by logger, empty for all); ``watched`` is the lowest level that readers want, or 0."""
        self._settings = settings
        self._root.setLevel(min(self._level_of(""), watched or logging.CRITICAL))
        for name in _names():
            level = self._level_of(name)
            own = level != self._level_of("")
            logging.getLogger(f"{_OURS}.{name}").setLevel(
                min(level, watched or logging.CRITICAL) if own else logging.NOTSET
            )

    def _level_of(self, name: str) -> int:
        """Return the level that holds for a logger: its own, that of one above it, or that of all."""
        while name:
            if name in self._settings:
                return LEVELS[self._settings[name]]
            name = name.rpartition(".")[0]
        return LEVELS[self._settings[""]] if "" in self._settings else self._configured

    def _passes(self, record: logging.LogRecord) -> bool:
        ours, _, name = record.name.partition(".")
        return ours != _OURS or record.levelno >= self._level_of(name)


def _names() -> list[str]:
    """Return our loggers' names, without the part they share."""
    known = logging.root.manager.loggerDict
    start = _OURS + "."
    return [
        name.removeprefix(start)
        for name, logger in known.items()
        if name.startswith(start) and isinstance(logger, logging.Logger)
    ]


def _name_of(level: int) -> str:
    return next((name for name in ("error", "warn", "info", "debug") if level >= LEVELS[name]), "trace")
