"""One client connection: bytes in, requests to the application, answers out, and nobody gets to dawdle."""

import asyncio
import logging
from typing import Any, Protocol, cast

from gunicorn.asgi.websocket import WebSocketProtocol
from gunicorn_h1c import H1CProtocol, LimitRequestHeaders, LimitRequestLine, ParseError  # type: ignore[import-untyped]
from gunicorn_h1c._protocol import ParseError as ProtocolParseError  # type: ignore[import-untyped]

from broker.server.exchange import Exchange, plain_answer
from broker.server.framing import BadFraming, ChunkedBody, HeadBuffer, HeadTooLarge, check_fields
from broker.server.limits import Limits
from broker.server.outbox import LARGE_BYTES, Outbox
from broker.server.scope import connection_scope, request_scope, websocket_scope
from broker.server.setup import ASGIApp, Scope

__all__ = ["ConnectionHost", "HttpConnection"]

log = logging.getLogger("broker.server")

NEVER = float("inf")
_TARGET_TOO_LONG = (414, "the request target is too long")
_HEAD_TOO_LARGE = (431, "the request headers are too large")
_LINGER_SECONDS = 5.0  # how long a refused client may take to read the refusal
_AHEAD_LIMIT = 64 * 1024  # bytes of pipelined requests held while one is being answered
_DRAIN_LIMIT = 256 * 1024  # an unread body up to this size is read and dropped to keep the connection


class ConnectionHost(Protocol):
    """What a connection needs of its worker."""

    loop: asyncio.AbstractEventLoop
    outbox: Outbox
    asgi: ASGIApp
    draining: bool
    requests: int

    def opened(self, connection: "HttpConnection") -> None: ...
    def closed(self, connection: "HttpConnection") -> None: ...


class HttpConnection(asyncio.Protocol):
    """An HTTP/1.x connection. Parsing is done by gunicorn's C parser; a request gets one task.

    ``deadline`` is when the worker's sweep cuts the connection off: always the end of the phase it is in (waiting
    for a head, for the rest of a body, for the next request, for the last bytes to go out).
    """

    def __init__(self, host: ConnectionHost, limits: Limits) -> None:
        self._host = host
        self._limits = limits
        self._parser: Any = H1CProtocol(
            on_headers_complete=self._on_head,
            on_body=self._on_body,
            on_message_complete=self._on_complete,
            limit_request_line=limits.request_line,
            limit_request_fields=limits.header_count,
            limit_request_field_size=limits.header_size,
            limit_remaining=1 << 20,
        )
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._task: asyncio.Task[None] | None = None
        self._websocket: Any = None
        self._ahead = bytearray()
        self._head = HeadBuffer(limits.header_count)
        self._chunked: ChunkedBody | None = None
        self._reading_head = False
        self._paused = False
        self._lingering = False
        self._unsent = NEVER
        self._writable: asyncio.Future[None] | None = None
        self._base: Scope = {}
        self.write_paused = False
        self.deadline = NEVER

    # -- transport events ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=64 * 1024)
        self.deadline = self._host.loop.time() + self._limits.head_seconds
        self._base = connection_scope(transport, self._limits.listener)
        self._host.opened(self)

    def data_received(self, data: bytes) -> None:
        if self._websocket is not None:
            self._websocket.feed_data(data)
        elif self._lingering:
            return
        elif self._exchange is not None and self._exchange.complete:
            self._ahead += data
            if len(self._ahead) > _AHEAD_LIMIT:
                self._pause()
        else:
            self._feed(data)

    def eof_received(self) -> bool:
        """A half-closed client still gets the answer it is waiting for."""
        if self._websocket is not None:
            self._websocket.feed_eof()
        exchange = self._exchange
        if exchange is not None and exchange.complete:
            exchange.keep_alive = False
            exchange.half_close()
            return True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.deadline = NEVER
        if self._websocket is not None:
            self._websocket.feed_eof()
        if self._exchange is not None:
            self._exchange.disconnect()
        self.resume_writing()
        self._host.closed(self)
        if self._task is None or self._task.done():
            self._forget()

    def _forget(self) -> None:
        """Let go of what refers back to us. The parser's callbacks are invisible to the garbage collector."""
        self._parser = self._exchange = self._task = self._websocket = None

    def pause_writing(self) -> None:
        self.write_paused = True
        if self._limits.write_seconds:
            self.deadline = self._host.loop.time() + self._limits.write_seconds

    def resume_writing(self) -> None:
        self.write_paused = False
        if self._limits.write_seconds and not self._lingering and self._exchange and self._exchange.complete:
            self.deadline = NEVER
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    # -- reading ---------------------------------------------------------------------------------------------

    def _feed(self, data: bytes) -> None:
        try:
            if self._exchange is None:
                self._feed_head(data)
            elif self._chunked is not None:
                self._feed_chunked(data)
            else:
                self._parser.feed(data)
        except HeadTooLarge as error:
            self._refuse(*_TARGET_TOO_LONG if error.target else _HEAD_TOO_LARGE)
        except LimitRequestLine:
            self._refuse(*_TARGET_TOO_LONG)
        except LimitRequestHeaders:
            self._refuse(*_HEAD_TOO_LARGE)
        except (BadFraming, ParseError, ProtocolParseError):
            self._refuse(400, "malformed HTTP request")

    def _feed_head(self, data: bytes) -> None:
        if not self._reading_head:
            self._reading_head = True
            self.deadline = self._host.loop.time() + self._limits.head_seconds
        found = self._head.take(data)
        if found is None:
            return
        head, rest = found
        self._parser.feed(head)
        if self._exchange is None:  # the parser and we disagree on where a head ends
            raise BadFraming
        if self._exchange.complete:
            self._ahead += rest
        elif self._parser.is_chunked:
            self._chunked = ChunkedBody()
            self._feed_chunked(rest)
        elif rest:
            self._parser.feed(rest)

    def _feed_chunked(self, data: bytes) -> None:
        assert self._chunked is not None
        pieces, rest = self._chunked.take(data)
        for piece in pieces:
            self._on_body(piece)
        if rest is not None:
            self._chunked = None
            self._ahead += rest
            self._on_complete()

    def _on_head(self) -> bool:
        self._reading_head = False
        parser = self._parser
        headers: list[tuple[bytes, bytes]] = parser.asgi_headers
        names = dict(headers)
        version = parser.http_version
        check_fields(names, version)
        scope = request_scope(parser, headers, version, self._base)
        exchange = Exchange(
            self,
            scope,
            keep_alive=parser.should_keep_alive,
            expects_continue=names.get(b"expect", b"").lower() == b"100-continue",
        )
        self._exchange = exchange
        self.deadline = self._host.loop.time() + self._limits.body_seconds
        upgrade = names.get(b"upgrade", b"").lower() == b"websocket" and parser.method == b"GET"
        work = self._run_websocket(exchange, names) if upgrade else self._run(exchange)
        self._task = self._host.loop.create_task(work)
        return False  # whatever the verb: a body that is announced is a body, not the next request

    def _on_body(self, chunk: bytes) -> None:
        exchange = self._exchange
        if exchange is None or exchange.answered:
            return
        if exchange.feed(bytes(chunk)):
            self._pause()

    def _on_complete(self) -> None:
        self.deadline = NEVER
        if self._exchange is not None:
            self._exchange.finish()

    def _pause(self) -> None:
        if not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def resume_body(self) -> None:
        """Go on reading after the application took what was held."""
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    # -- answering -------------------------------------------------------------------------------------------

    async def _run(self, exchange: Exchange) -> None:
        # A request that was refused, or whose client left, before we got to it is not run.
        if not self._lingering and self._transport is not None:
            self._host.requests += 1
            try:
                await self._host.asgi(exchange.scope, exchange.receive, exchange)
            except Exception:
                log.exception("unhandled error in the application")
        if self._transport is None:
            self._forget()
        elif not self._lingering:
            await self._answered(exchange)

    async def _answered(self, exchange: Exchange) -> None:
        if not exchange.started:
            self._refuse(500, "internal error")
        elif not exchange.answered:
            self.abort()
        else:
            await self._after(exchange)

    async def _after(self, exchange: Exchange) -> None:
        """Keep the connection for the next request, or close it so that the client can read the answer."""
        if exchange.keep_alive and not exchange.complete:
            self.resume_body()
            await exchange.rest_of_request()
        if self._transport is None:
            self._forget()
        elif self._lingering:
            return
        elif not exchange.keep_alive or self._host.draining:
            self.close(unread=not exchange.complete)
        else:
            self._next_request()

    def _next_request(self) -> None:
        pipelined = (self._parser.remaining() if self._parser.is_complete else b"") + bytes(self._ahead)
        self._ahead.clear()
        self._parser.reset()
        self._exchange = self._task = None
        self.deadline = self._host.loop.time() + self._limits.idle_seconds
        self.resume_body()
        if pipelined:
            self._feed(pipelined)

    async def _run_websocket(self, exchange: Exchange, names: dict[bytes, bytes]) -> None:
        if self._transport is None:
            return self._forget()
        self.deadline = NEVER
        self._host.requests += 1
        self._host.outbox.flush()
        self._websocket = WebSocketProtocol(
            self._transport, websocket_scope(exchange.scope, names), self._host.asgi, log
        )
        self._websocket.feed_data(self._parser.remaining() + bytes(self._ahead))
        try:
            await self._websocket.run()
        finally:
            self.close()
            if self._transport is None:
                self._forget()
        return None

    def may_keep_alive(self, exchange: Exchange) -> bool:
        """False if this must be the connection's last answer."""
        if not exchange.keep_alive or self._host.draining:
            return False
        return exchange.complete or (self._parser.content_length or NEVER) <= _DRAIN_LIMIT

    def write(self, data: bytes, *, last: bool = False) -> None:
        """Send bytes, unless the client is gone. The ``last`` ones of an answer may leave together with others'."""
        if self._transport is None or self._lingering:
            return
        if last and len(data) < LARGE_BYTES:
            self._host.outbox.put(self, data)
        else:
            self._host.outbox.flush()
            self._transport.write(data)

    def send_now(self, data: bytes) -> None:
        """Send what waited in the outbox, unless the client has gone meanwhile."""
        if self._transport is not None:
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the client has read enough of what was written."""
        self._writable = self._host.loop.create_future()
        await self._writable

    # -- ending ----------------------------------------------------------------------------------------------

    def _refuse(self, status: int, message: str) -> None:
        exchange = self._exchange
        if exchange is None or not exchange.started:
            self.write(plain_answer(status, message))
        if exchange is not None:
            exchange.started = True
            exchange.disconnect()
        self.close(unread=True)

    def close(self, *, unread: bool = False) -> None:
        """Close once everything written is sent.

        With ``unread`` request bytes on the way, closing at once would reset the connection and may take the
        answer with it; so our side is closed first and the rest is read and dropped for a moment.
        """
        transport = self._transport
        if transport is None or self._lingering:
            return
        self._host.outbox.flush()
        self.deadline = self._host.loop.time() + _LINGER_SECONDS
        if not unread:
            transport.close()
            return
        self._lingering = True
        self.resume_body()
        if transport.can_write_eof():
            transport.write_eof()

    def expire(self) -> None:
        """The deadline has passed: tell a client that was heard from, then let go."""
        transport = self._transport
        if transport is None:
            return
        if self._lingering or transport.is_closing() or self.write_paused:
            self._expire_writing(transport)
        elif self._exchange is not None or self._reading_head:
            self._refuse(408, "the request took too long to arrive")
        else:
            self.close()

    def _expire_writing(self, transport: asyncio.Transport) -> None:
        left = transport.get_write_buffer_size()
        if 0 < left < self._unsent:  # slow, but reading
            self._unsent = left
            self.deadline = self._host.loop.time() + (self._limits.write_seconds or _LINGER_SECONDS)
        else:
            transport.abort()

    def close_if_idle(self) -> None:
        """For a worker that stops: leave only connections with a request under way."""
        if self._exchange is None and not self._reading_head:
            self.close()

    def abort(self) -> None:
        """Drop the connection; the client sees it cut short."""
        self._host.outbox.flush()
        if self._transport is not None:
            self._transport.abort()
