"""One HTTP exchange: what the application reads of a request, and how its answer becomes bytes."""

import asyncio
import time
from collections.abc import Awaitable, Iterable, Sequence
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING

from broker.server.setup import Message, Scope

if TYPE_CHECKING:
    from broker.server.connection import HttpConnection

__all__ = ["Exchange", "plain_answer"]

Headers = Iterable[tuple[bytes, bytes]]

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_STATUS_LINES = {
    status: f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
    for status in (int(s) for s in HTTPStatus)
}
_WITHOUT_BODY = frozenset((204, 304))
_READ_AHEAD_LIMIT = 256 * 1024  # bytes of body held for an application that does not ask for them


class _Clock:
    """The Date header, rendered once a second."""

    __slots__ = ("_line", "_second")

    def __init__(self) -> None:
        self._second = 0
        self._line = b""

    def line(self) -> bytes:
        now = int(time.time())
        if now != self._second:
            self._second = now
            self._line = f"date: {formatdate(now, usegmt=True)}\r\n".encode()
        return self._line


_date = _Clock()


class Exchange:
    """The ASGI ``receive`` of one request and, called, its ``send``.

    Body bytes wait here until the application asks; beyond 256 KiB the connection stops reading, so a body is
    never buffered ahead of the application's own limit.
    """

    __slots__ = (
        "_chunked",
        "_chunks",
        "_connection",
        "_delivered",
        "_expects_continue",
        "_gone",
        "_half_closed",
        "_head",
        "_omit_body",
        "_waiter",
        "answered",
        "complete",
        "held",
        "keep_alive",
        "scope",
        "started",
    )

    def __init__(
        self, connection: "HttpConnection", scope: Scope, *, keep_alive: bool, expects_continue: bool
    ) -> None:
        self._connection = connection
        self.scope = scope
        self.keep_alive = keep_alive
        self._expects_continue = expects_continue
        self._chunks: list[bytes] = []
        self.held = 0
        self.complete = False  # the whole request has arrived
        self.started = False  # the answer's head was given
        self.answered = False  # the whole answer was given
        self._delivered = False
        self._gone = False
        self._half_closed = False
        self._waiter: asyncio.Future[None] | None = None
        self._head = b""
        self._chunked = False
        self._omit_body = False

    # -- fed by the connection -------------------------------------------------------------------------------

    def feed(self, chunk: bytes) -> bool:
        """Take body bytes; True asks the connection to stop reading for now."""
        self._chunks.append(chunk)
        self.held += len(chunk)
        self._wake()
        return self.held > _READ_AHEAD_LIMIT

    def finish(self) -> None:
        """The request is complete."""
        self.complete = True
        self._wake()

    def disconnect(self) -> None:
        """The client is gone, or was cut off."""
        self._gone = True
        self._wake()

    def half_close(self) -> None:
        """The client sends nothing more: it may read on, or be gone, which no one can tell without writing to it."""
        self._half_closed = True
        self._wake()

    async def rest_of_request(self) -> None:
        """Wait for the end of a body that nobody wants, or for the end of the connection."""
        self._chunks.clear()
        while not self.complete and not self._gone:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- called by the application ---------------------------------------------------------------------------

    async def receive(self) -> Message:
        """The next piece of the body, or ``http.disconnect`` once there is nobody to read from.

        An application that asks for more than the body wants to know whether the client left: one that closed its side
        counts as such, or an answer without an end would go on for ever.
        """
        if self._expects_continue and not self.started and not self.complete:
            self._expects_continue = False
            self._connection.write(_CONTINUE)
        while not self._gone:
            if self._chunks:
                return self._take_body()
            if self.complete and not self._delivered:
                self._delivered = True
                return {"type": "http.request", "body": b"", "more_body": False}
            if self._half_closed and self._delivered:
                break
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return {"type": "http.disconnect"}

    def _take_body(self) -> Message:
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self.held = 0
        self._delivered = self.complete
        self._connection.resume_body()
        return {"type": "http.request", "body": body, "more_body": not self.complete}

    def answer(
        self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes
    ) -> Awaitable[None] | None:
        """Take a whole answer in one step; its length is not among the headers. The same as two messages of ASGI.

        Returns what to wait for, if the client reads too slowly. Headers in a tuple are rendered once and kept.
        """
        if self._gone:
            return None
        if self.started:
            raise RuntimeError("the answer was started twice")
        connection, scope = self._connection, self.scope
        parts = [_kept_head(status, headers) if type(headers) is tuple else _head(status, headers)]
        bare = status in _WITHOUT_BODY
        if not bare:
            parts.append(b"content-length: %d\r\n" % len(body))
        parts.append(_date.line())
        if not connection.may_keep_alive(self):
            self.keep_alive = False
            parts.append(b"connection: close\r\n")
        elif scope["http_version"] == "1.0":
            parts.append(b"connection: keep-alive\r\n")
        parts.append(b"\r\n")
        if not bare and scope["method"] != "HEAD":
            parts.append(body)
        self.started = self.answered = True
        connection.write(b"".join(parts), last=True)
        return connection.drain() if connection.write_paused and not self._gone else None

    async def __call__(self, message: Message) -> None:
        """Take a part of the answer. Once the client is gone, parts are dropped without a word."""
        if self._gone:
            return
        kind = message["type"]
        if kind == "http.response.start":
            if self.started:
                raise RuntimeError("the answer was started twice")
            self._start(message["status"], list(message.get("headers", ())))
        elif kind == "http.response.body":
            if not self.started or self.answered:
                raise RuntimeError("a body outside of an answer")
            self._write_body(message.get("body", b""), more=message.get("more_body", False))
            if self._connection.write_paused and not self._gone:
                await self._connection.drain()

    def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self._omit_body = self.scope["method"] == "HEAD" or status in _WITHOUT_BODY
        named = {name.lower() for name, _value in headers}
        extra = [] if b"date" in named else [_date.line()]
        self._chunked = False
        if not self._omit_body and b"content-length" not in named:
            if self.scope["http_version"] == "1.1":
                self._chunked = True
                extra.append(b"transfer-encoding: chunked\r\n")
            else:
                self.keep_alive = False
        if status == 204:
            headers = [pair for pair in headers if pair[0].lower() != b"content-length"]
        if not self._connection.may_keep_alive(self):
            self.keep_alive = False
            extra.append(b"connection: close\r\n")
        elif self.scope["http_version"] == "1.0":
            extra.append(b"connection: keep-alive\r\n")
        self._head = _render_head(status, headers, extra)
        self.started = True

    def _write_body(self, body: bytes, *, more: bool) -> None:
        self.answered = not more
        parts = [self._head] if self._head else []
        self._head = b""
        if self._omit_body:
            body = b""
        if body:
            parts.extend((f"{len(body):x}\r\n".encode(), body, b"\r\n") if self._chunked else (body,))
        if self._chunked and not more:
            parts.append(b"0\r\n\r\n")
        if parts and not self._gone:
            self._connection.write(parts[0] if len(parts) == 1 else b"".join(parts), last=not more)


def _head(status: int, headers: Headers) -> bytes:
    """Return the status line and the headers, each with its line break. Raises: ValueError for a break inside one."""
    lines = [_STATUS_LINES.get(status) or f"HTTP/1.1 {status} Status\r\n".encode()]
    for name, value in headers:
        if b"\n" in value or b"\r" in value or b"\n" in name or b"\r" in name:
            raise ValueError("a response header contains a line break")
        lines += (name, b": ", value, b"\r\n")
    return b"".join(lines)


_kept_head = lru_cache(256)(_head)


def _render_head(status: int, headers: Headers, extra: list[bytes]) -> bytes:
    return b"".join((_head(status, headers), *extra, b"\r\n"))


def plain_answer(status: int, message: str) -> bytes:
    """A whole answer in the field's error shape, after which the connection is closed."""
    body = b'{"errors":["' + message.encode("ascii") + b'"]}\n'
    headers = ((b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()))
    return _render_head(status, headers, [_date.line(), b"connection: close\r\n"]) + body
