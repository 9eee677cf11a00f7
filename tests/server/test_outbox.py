"""Answers that leave together: each client gets its own, whole and in order, whoever else is served at the time."""

import asyncio

import pytest

from broker.server.connection import HttpConnection
from broker.server.limits import Limits
from broker.server.outbox import LARGE_BYTES, MOST, Outbox
from broker.server.settings import ListenerConfig
from tests.server.host import Host

GET = b"GET /%s HTTP/1.1\r\nHost: x\r\n%s\r\n"


class Sized(Host):
    """A worker whose application answers with as many bytes as the path says; ``/in-parts/`` streams them."""

    async def asgi(self, scope, receive, send):
        size = int(scope["path"].rpartition("/")[2])
        headers = [(b"content-length", b"%d" % size)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if scope["path"].startswith("/in-parts/"):
            for _ in range(size - 1):
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
            size = 1
        await send({"type": "http.response.body", "body": b"x" * size})


@pytest.fixture
async def served():
    host = Sized()
    limits = Limits.of(ListenerConfig(tls_disable=True))
    server = await host.loop.create_server(lambda: HttpConnection(host, limits), "127.0.0.1", 0)
    yield host, server.sockets[0].getsockname()[1]
    server.close()
    for connection in list(host.live):
        connection.abort()
    await asyncio.sleep(0)


async def lengths(reader, count):
    """The sizes of the answers that come, in order; each body must be whole."""
    found = []
    for _ in range(count):
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        assert await reader.readexactly(size) == b"x" * size
        found.append(size)
    return found


async def ask(port, *paths, last=b""):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for path in paths[:-1]:
        writer.write(GET % (path.encode(), b""))
    writer.write(GET % (paths[-1].encode(), last))
    return reader, writer


@pytest.mark.parametrize(
    "sizes",
    [[1, 2, 3], [5, LARGE_BYTES * 4, 6], [LARGE_BYTES - 1, LARGE_BYTES, 1], list(range(1, 3 * MOST))],
    ids=["small", "a large one between", "around the border", "more than wait"],
)
async def test_answers_on_one_connection_keep_their_order(served, sizes):
    _, port = served
    reader, writer = await ask(port, *map(str, sizes))
    assert await lengths(reader, len(sizes)) == sizes
    writer.close()
    await writer.wait_closed()


async def test_a_streamed_answer_stays_behind_the_one_before(served):
    _, port = served
    reader, writer = await ask(port, "7", "in-parts/40", "8")
    assert await lengths(reader, 3) == [7, 40, 8]
    writer.close()
    await writer.wait_closed()


async def test_the_last_answer_arrives_before_the_connection_closes(served):
    _, port = served
    reader, writer = await ask(port, "3", "4", last=b"Connection: close\r\n")
    assert await lengths(reader, 2) == [3, 4]
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_a_refusal_comes_after_the_answers_before_it(served):
    _, port = served
    reader, writer = await ask(port, "3", "4")
    writer.write(b"nonsense\r\n\r\n")
    assert await lengths(reader, 2) == [3, 4]
    assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    writer.close()
    await writer.wait_closed()


async def test_many_clients_at_once_get_their_own(served):
    _, port = served
    sizes = [n * 37 % 900 + 1 for n in range(5 * MOST)]
    asked = [await ask(port, str(size)) for size in sizes]
    assert [await lengths(reader, 1) for reader, _ in asked] == [[size] for size in sizes]
    for _, writer in asked:
        writer.close()
        await writer.wait_closed()


async def test_an_answer_that_cannot_be_sent_holds_up_nobody(caplog):
    class Sender:
        def __init__(self, broken=False):
            self.broken = broken
            self.sent = []

        def send_now(self, data):
            if self.broken:
                raise RuntimeError("gone")
            self.sent.append(data)

    outbox = Outbox(asyncio.get_running_loop())
    good, bad = Sender(), Sender(broken=True)
    for sender in (good, bad, good):
        outbox.put(sender, b"x")
    assert good.sent == []
    await asyncio.sleep(0)
    assert good.sent == [b"x", b"x"]
    assert "could not be sent" in caplog.text
