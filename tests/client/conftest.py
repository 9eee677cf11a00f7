"""A small HTTP server that answers as it is told and remembers what it was asked."""

import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Remembering:
    """``answers`` maps "METHOD path" to (status, body, headers); ``asked`` lists what came in."""

    def __init__(self, server) -> None:
        self.server = server
        self.answers = {}
        self.asked = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        memory = self.server.memory
        memory.asked.append((self.command, self.path, dict(self.headers), body))
        status, answer, headers = memory.answers.get(f"{self.command} {self.path}", (404, {"errors": []}, {}))
        content = (
            b"" if answer is None else (answer if isinstance(answer, bytes) else json.dumps(answer).encode())
        )
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = do_LIST = answer

    def log_message(self, *args) -> None:
        pass

    def address_string(self) -> str:
        return "client"


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False


def serving(server):
    server.block_on_close = False
    server.memory = Remembering(server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.memory
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def server():
    yield from serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler))


@pytest.fixture
def other():
    yield from serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler))


@pytest.fixture
def unix_server(tmp_path):
    yield from serving(UnixServer(str(tmp_path / "socket"), Handler))
