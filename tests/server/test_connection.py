"""Connections in this process: nothing is left of one that has ended."""

import asyncio
import base64
import gc
import os
import ssl

import pytest

from broker.server.connection import HttpConnection
from broker.server.limits import Limits
from broker.server.settings import ListenerConfig
from broker.server.tls import ContextHolder
from broker.server.tlstransport import TlsProtocol
from tests.server.host import Host

LIVES = {
    "one request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "two at once": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 2,
    "a refused one": b"GET / HTTP/1.1\nHost: x\n\n",
    "half a head": b"GET / HTTP/1.1\r\n",
    "half a body": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nabc",
    "an unread half": b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nabc",
    "nothing": b"",
}


def left_behind():
    gc.collect()
    return [found for found in gc.get_objects() if type(found) in (HttpConnection, TlsProtocol)]


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("life", LIVES)
async def test_an_ended_connection_leaves_nothing_behind(pairs, life, secure):
    host = Host()
    files = {"tls_cert_file": pairs["server"].certificate, "tls_key_file": pairs["server"].key}
    listener = ListenerConfig(tls_disable=not secure, **files)
    limits = Limits.of(listener)
    context = None
    if secure:
        holder = ContextHolder.of(listener)
        context = ssl.create_default_context(cafile=str(pairs["authority"].certificate))
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    plain = lambda: HttpConnection(host, limits)  # noqa: E731
    server = await host.loop.create_server(
        (lambda: TlsProtocol(host, holder, plain)) if secure else plain, "127.0.0.1", 0
    )
    port = server.sockets[0].getsockname()[1]
    for _ in range(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        writer.write(LIVES[life])
        if life not in ("nothing", "half a head", "half a body"):
            assert await reader.read(4)
        writer.transport.abort()
    async with asyncio.timeout(20):
        while host.live or left_behind():
            await asyncio.sleep(0.05)
    server.close()


def test_a_websocket_talks_both_ways(plain):
    sock = plain().connect()
    key = base64.b64encode(os.urandom(16)).decode()
    sock.sendall(
        f"GET /watch HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    assert sock.recv(4096).startswith(b"HTTP/1.1 101 ")
    mask, text = b"abcd", b"ping"
    sock.sendall(bytes([0x81, 0x80 | len(text)]) + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(text)))
    assert sock.recv(4096) == b"\x81\x08pingping"
