"""TLS as a layer between a plain transport and a protocol, on OpenSSL's memory buffers.

Python's ``ssl`` cannot ask for a client certificate without judging it; pyOpenSSL can. The event loop sees an
ordinary TCP protocol and the HTTP connection sees an ordinary transport, so this works alike on every loop.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, cast

from OpenSSL import SSL

from broker.server.tls import ContextHolder, describe_connection

__all__ = ["TlsProtocol", "TlsTransport"]

log = logging.getLogger("broker.server")

NEVER = float("inf")
_RECORD = 16 * 1024  # bytes of plaintext in a TLS record
_SLACK = 4096  # alerts, session messages
_CLIENT_HELLO_LIMIT = 64 * 1024  # bytes before the handshake is done


class TlsHost(Protocol):
    """What the layer needs of its worker."""

    loop: asyncio.AbstractEventLoop

    def opened(self, connection: Any) -> None: ...
    def closed(self, connection: Any) -> None: ...


class TlsProtocol(asyncio.Protocol):
    """The lower side: takes ciphertext from the socket. Swept by the worker until the handshake is done.

    That may take ``handshake_seconds``.
    """

    def __init__(
        self,
        host: TlsHost,
        holder: ContextHolder,
        make_inner: Callable[[], asyncio.Protocol],
        handshake_seconds: float = 10.0,
    ) -> None:
        self._host = host
        self._handshake_seconds = handshake_seconds
        self._make_inner = make_inner
        self._tls = SSL.Connection(holder.context, None)
        self._tls.set_accept_state()
        self._inner: asyncio.Protocol | None = None
        self._transport: asyncio.Transport | None = None
        self._records = _Records()
        self._received = 0
        self._paused = False
        self._closing = False
        self._ended = False
        self.deadline = NEVER

    # -- events of the socket --------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.deadline = self._host.loop.time() + self._handshake_seconds
        self._host.opened(self)

    def data_received(self, data: bytes) -> None:
        if self._ended or self._transport is None:
            return
        one_record = self._records.is_exactly_one(data)
        self._tls.bio_write(data)
        if self._inner is None:
            self._received += len(data)
            self._handshake()
            one_record = False  # it may have come with the end of the handshake
        if self._inner is not None:
            self._deliver(once=one_record)

    def eof_received(self) -> bool:
        return bool(self._inner.eof_received()) if self._inner is not None else False

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._ended = True
        inner, self._inner = self._inner, None
        if inner is not None:
            inner.connection_lost(exc)
        else:
            self._host.closed(self)

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()

    # -- handshake -------------------------------------------------------------------------------------------

    def _handshake(self) -> None:
        try:
            self._tls.do_handshake()
        except SSL.WantReadError:
            self._flush(_SLACK + 64 * 1024)
            if self._received > _CLIENT_HELLO_LIMIT:
                self.abort()
        except SSL.Error as error:
            log.debug("TLS handshake failed: %s", _reason(error))
            self._flush(_SLACK)  # the alert that says why
            self._end()
        else:
            self._flush(_SLACK + 64 * 1024)
            self._begin()

    def _begin(self) -> None:
        """Hand over to the inner protocol, which from here on keeps the deadlines."""
        assert self._transport is not None
        self._host.closed(self)
        self._inner = self._make_inner()
        self._inner.connection_made(TlsTransport(self, self._transport, describe_connection(self._tls)))

    # -- reading ---------------------------------------------------------------------------------------------

    def _deliver(self, *, once: bool = False) -> None:
        """Give the inner protocol what can be decrypted, until it pauses."""
        inner = self._inner
        assert inner is not None
        while not self._paused and not self._ended:
            try:
                data = self._tls.recv(_RECORD)
            except SSL.WantReadError:
                break
            except SSL.ZeroReturnError:  # a proper goodbye
                if not inner.eof_received():
                    self.close()
                break
            except SSL.Error as error:
                log.debug("TLS connection broken: %s", _reason(error))
                self._flush(_SLACK)
                self._end()
                break
            inner.data_received(data)
            if once:
                return

    def pause_reading(self) -> None:
        """Stop delivering; what is already decrypted waits in OpenSSL's buffer."""
        self._paused = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on, first with what was left in the buffer."""
        self._paused = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
            self._host.loop.call_soon(self._deliver_left)

    def _deliver_left(self) -> None:
        if self._inner is not None and not self._ended:
            self._deliver()

    # -- writing and ending ----------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Encrypt and send."""
        if self._closing or self._ended or not data:
            return
        try:
            if len(data) <= _RECORD:
                self._tls.send(data)
                self._flush(len(data) + _SLACK)
            else:
                self._write_records(memoryview(data))
        except SSL.Error as error:
            log.debug("TLS write failed: %s", _reason(error))
            self.abort()

    def _write_records(self, view: memoryview) -> None:
        """A send takes one record; what it yields is passed on before there is much of it."""
        while view:
            sent = self._tls.send(view[:_RECORD])
            view = view[sent:]
            self._flush(_RECORD + _SLACK)

    def _flush(self, at_most: int) -> None:
        """Send what OpenSSL has written. A buffer larger than that takes all of it in one read."""
        if self._transport is None:
            return
        with suppress(SSL.WantReadError):  # nothing to send
            self._transport.write(self._tls.bio_read(at_most))

    def _say_goodbye(self) -> None:
        if not self._closing:
            self._closing = True
            try:
                self._tls.shutdown()
            except SSL.Error:
                return  # never got so far, or already broken
            self._flush(_SLACK)

    def close(self) -> None:
        """Send close_notify after what was written, then close the socket."""
        self._say_goodbye()
        if self._transport is not None:
            self._transport.close()

    def write_eof(self) -> None:
        """Send close_notify and end our side; the client's side stays open."""
        self._say_goodbye()
        if self._transport is not None and self._transport.can_write_eof():
            self._transport.write_eof()

    def _end(self) -> None:
        self._ended = True
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Drop the connection at once."""
        self._ended = True
        if self._transport is not None:
            self._transport.abort()

    # -- what the worker's sweep asks of a connection --------------------------------------------------------

    def expire(self) -> None:
        """The handshake took too long."""
        self.abort()

    def close_if_idle(self) -> None:
        """A handshake under way has no request that could be lost."""
        self.abort()


class TlsTransport(asyncio.Transport):
    """The upper side: what the HTTP connection writes to."""

    def __init__(self, layer: TlsProtocol, below: asyncio.Transport, tls: dict[str, Any]) -> None:
        super().__init__()
        self._layer = layer
        self._below = below
        self._tls = tls

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._tls if name == "broker.tls" else self._below.get_extra_info(name, default)

    def write(self, data: Any) -> None:
        self._layer.write(data)

    def pause_reading(self) -> None:
        self._layer.pause_reading()

    def resume_reading(self) -> None:
        self._layer.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._below.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._below.get_write_buffer_size()

    def is_closing(self) -> bool:
        return self._below.is_closing()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._layer.write_eof()

    def close(self) -> None:
        self._layer.close()

    def abort(self) -> None:
        self._layer.abort()


class _Records:
    """Follows the record boundaries in the ciphertext.

    One request is nearly always one record. Knowing that saves the second read, which would fail with an exception:
    that is OpenSSL's way of saying that there is no more.
    """

    __slots__ = ("_begun", "_missing")

    def __init__(self) -> None:
        self._missing = 0  # bytes still to come of a record
        self._begun = b""  # a header that was cut

    def is_exactly_one(self, data: bytes) -> bool:
        """Take the next bytes; True if they are one whole record and nothing else."""
        aligned = not self._missing and not self._begun
        if aligned and len(data) >= 5 and int.from_bytes(data[3:5], "big") == len(data) - 5:
            return True
        data, at = self._begun + data, self._missing
        while at + 5 <= len(data):
            at += 5 + int.from_bytes(data[at + 3 : at + 5], "big")
        self._begun, self._missing = data[at:], max(0, at - len(data))
        return False


def _reason(error: SSL.Error) -> str:
    """OpenSSL's words for it; they name no secrets."""
    stack = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "; ".join(entry[-1] for entry in stack) or type(error).__name__
