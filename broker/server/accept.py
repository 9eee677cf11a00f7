"""Taking connections off a listening socket that all workers share.

A shared socket outlives a killed worker together with the connections still waiting on it, but leaves it to chance
who takes them. So a worker takes one at a time, and one that holds more connections than the others lets them go
first for a moment.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import Protocol

from broker.server.sockets import ListeningSocket

__all__ = ["Acceptor"]

log = logging.getLogger("broker.server")

_YIELD_SECONDS = 0.002
_FULL_SECONDS = 0.05
_OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class AcceptPolicy(Protocol):
    """What the worker knows and an acceptor does not."""

    def full(self) -> bool: ...
    def ahead_of_others(self) -> bool: ...


class Acceptor:
    """Accepts from one listener and hands each connection to a fresh protocol."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listener: ListeningSocket,
        make_protocol: Callable[[], asyncio.Protocol],
        policy: AcceptPolicy,
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._make_protocol = make_protocol
        self._policy = policy
        self._yielded = False
        self._stopped = False
        self._starting: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to accept."""
        if not self._stopped:
            self._loop.add_reader(self._listener.fileno(), self._on_ready)

    def stop(self) -> None:
        """Accept no more; connections that wait on the socket are left to the other workers."""
        self._stopped = True
        self._loop.remove_reader(self._listener.fileno())

    def _rest(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener.fileno())
        self._loop.call_later(seconds, self.start)

    def _on_ready(self) -> None:
        if self._policy.full():
            self._rest(_FULL_SECONDS)
            return
        if not self._yielded and self._policy.ahead_of_others():
            self._yielded = True  # once: if nobody else takes it, we do
            self._rest(_YIELD_SECONDS)
            return
        self._yielded = False
        self._accept_one()

    def _accept_one(self) -> None:
        try:
            sock, _address = self._listener.sock.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno not in _OUT_OF_DESCRIPTORS:
                raise
            log.error("cannot accept a connection: %s", error.strerror)
            self._rest(1.0)
            return
        sock.setblocking(False)
        task = self._loop.create_task(self._adopt(sock))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _adopt(self, sock: socket.socket) -> None:
        try:
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(self._make_protocol, sock)
        except OSError as error:  # reset before we got to it
            log.debug("a connection was lost while being accepted: %s", error)
            sock.close()
