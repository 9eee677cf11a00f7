"""The HTTP edge on a raw socket: what is served, what is refused, and that a refusal ends the connection."""

import hashlib
import json
import re
import socket
import time
from contextlib import suppress

import pytest

from tests.server.conftest import PLAIN, starter, wait_until

SECOND = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


def read_all(sock):
    """Everything until the server closes."""
    data = b""
    while True:
        try:
            chunk = sock.recv(65536)
        except ConnectionResetError:
            return data
        if not chunk:
            return data
        data += chunk


def read_answer(sock):
    """One answer with a Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = sock.recv(65536)
        assert chunk, f"closed after {data!r}"
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(re.search(rb"content-length: (\d+)", head)[1])
    while len(body) < length:
        body += sock.recv(65536)
    assert len(body) == length, "no bytes beyond the answer"
    return head, body


def statuses(data):
    return re.findall(rb"HTTP/1\.1 (\d+) ", data)


PROBES = {
    "both lengths": b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both lengths, other order": b"POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 4\r\n\r\n",
    "two lengths in a list": b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 0, 4\r\n\r\n",
    "equal lengths twice": b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "signed length": b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: +0\r\n\r\n",
    "negative length": b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "hexadecimal length": b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 0x0\r\n\r\n",
    "length with underscore": b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 0_0\r\n\r\n",
    "length beyond 64 bits": b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    "unknown coding": b"POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "coding on top": b"POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "coding twice": b"POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding in HTTP/1.0": b"POST /p HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "vertical tab in coding": b"POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "space before the colon": b"POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "space before the name": b"GET /p HTTP/1.1\r\n Host: x\r\n\r\n",
    "folded header": b"POST /p HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare LF everywhere": b"GET /p HTTP/1.1\nHost: x\n\n",
    "bare LF after a header": b"GET /p HTTP/1.1\r\nHost: x\nX-A: 1\r\n\r\n",
    "bare LF at the end": b"GET /p HTTP/1.1\r\nHost: x\r\n\n",
    "bare CR in a header": b"GET /p HTTP/1.1\r\nHost: x\r\nX-A: a\rTransfer-Encoding: chunked\r\n\r\n",
    "NUL in a value": b"GET /p HTTP/1.1\r\nHost: x\r\nX-A: a\x00b\r\n\r\n",
    "NUL in a name": b"GET /p HTTP/1.1\r\nHost: x\r\nX\x00A: b\r\n\r\n",
    "no name": b"GET /p HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n",
    "no host": b"GET /p HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /p HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "space in the target": b"GET /p q HTTP/1.1\r\nHost: x\r\n\r\n",
    "control byte in the target": b"GET /p\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
    "relative target": b"GET p HTTP/1.1\r\nHost: x\r\n\r\n",
    "no version": b"GET /p\r\nHost: x\r\n\r\n",
    "HTTP/2 in plain": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "lower-case verb": b"get /p HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS on a plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "chunk size with a sign": b"POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n+0\r\n\r\n",
    "chunk size in 0x": b"POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
    "chunk without its end": b"POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\naXX0\r\n\r\n",
    "chunk size line with bare LF": b"POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
    "chunk extension with bare LF": b"POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;a\nb\r\na\r\n0\r\n\r\n",
    "trailer without a name": b"POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n: x\r\n\r\n",
    "trailer with bare LF": b"POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\n\r\n",
    "chunk size beyond 64 bits": b"POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n",
}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with starter(tmp_path_factory.mktemp("served")) as start:
        yield start(PLAIN.format(workers=1, more=""))


@pytest.mark.parametrize("name", PROBES)
def test_a_request_that_proxies_read_differently_is_refused_and_nothing_behind_it_runs(served, name):
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as sock:
        sock.sendall(PROBES[name] + SECOND)
        found = statuses(read_all(sock))
    assert len(found) == 1
    assert found[0][:1] == b"4"
    assert not [path for path in served.ask()["seen"] if "smuggled" in path]


@pytest.mark.parametrize("verb", [b"HEAD", b"GET", b"LIST", b"DELETE", b"OPTIONS"])
def test_an_announced_body_is_never_taken_for_a_request(served, verb):
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as sock:
        sock.sendall(
            verb
            + b" /p HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(SECOND)
            + SECOND
            + b"GET /after HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        found = read_all(sock)
    assert statuses(found) == [b"200", b"200"]
    assert b'"path": "/after"' in found
    assert not [path for path in served.ask()["seen"] if "smuggled" in path]


@pytest.mark.parametrize("name", ["bare LF at the end", "bare LF after a header", "two hosts"])
def test_a_refusal_does_not_depend_on_how_the_bytes_are_cut(served, name):
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for byte in PROBES[name] + SECOND:
                sock.sendall(bytes((byte,)))
                time.sleep(0.002)
        except (BrokenPipeError, ConnectionResetError):
            pass
        found = statuses(read_all(sock))
    assert found[:1] == [b"400"] or found == []  # the reset may overtake the answer
    assert not [path for path in served.ask()["seen"] if "smuggled" in path]


def test_a_good_request_does_not_depend_on_how_the_bytes_are_cut(served):
    request = (
        b"POST /cut HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nc;a=b\r\nline\nline\n\r\n\r\n0\r\nT: v\r\n\r\n"
        b"POST /next HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\nline\nline\n\r\n"
        b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    sock = served.connect()
    for byte in request:
        sock.sendall(bytes((byte,)))
        time.sleep(0.001)
    data = read_all(sock)
    assert statuses(data) == [b"200"] * 3
    assert re.findall(rb'"body": (\d+)', data) == [b"12", b"12", b"0"]


@pytest.mark.parametrize("verb", ["GET", "LIST", "SCAN", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"])
def test_every_verb_reaches_the_application(served, verb):
    assert served.ask("/v1/secret/metadata//", verb, b"")["method"] == verb


def test_the_raw_path_is_handed_on_untouched(served):
    assert served.ask("/v1/a%2fb%ff/../c;p=1")["raw_path"] == "/v1/a%2fb%ff/../c;p=1"


def test_pipelined_requests_are_answered_in_order(served):
    sock = served.connect()
    sock.sendall(b"".join(f"GET /{n} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for n in range(50)))
    data = b""
    wait_until(lambda: (data := data_so_far(sock)).count(b"HTTP/1.1 200") == 50 and data)
    data = sock_data.pop(sock)
    assert re.findall(rb'"path": ?"/(\d+)"', data) == [str(n).encode() for n in range(50)]


sock_data = {}


def data_so_far(sock):
    sock_data[sock] = sock_data.get(sock, b"") + sock.recv(65536)
    return sock_data[sock]


def test_a_body_arrives_whole_however_it_is_framed(served):
    body = bytes(range(256)) * 20_000
    digest = hashlib.sha256(body).hexdigest()
    assert served.ask("/p", "POST", body)["body_hash"] == digest
    chunked = served.ask("/p", "POST", iter([body[:100_000], body[100_000:]]))
    assert chunked["body_hash"] == digest


def test_a_client_that_waits_for_the_go_ahead_gets_it(served):
    sock = served.connect()
    sock.sendall(b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
    assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    sock.sendall(b"abc")
    assert json.loads(read_answer(sock)[1])["body"] == 3


def test_a_204_has_no_body_and_no_length(served):
    connection = served.open()
    connection.request("GET", "/empty")
    response = connection.getresponse()
    assert (response.status, response.read()) == (204, b"")
    assert response.headers["content-length"] is None
    assert response.headers["transfer-encoding"] is None
    connection.request("GET", "/after")
    assert json.loads(connection.getresponse().read())["path"] == "/after"


def test_a_head_request_gets_the_head_only(served):
    sock = served.connect()
    sock.sendall(
        b"HEAD /h HTTP/1.1\r\nHost: x\r\n\r\nGET /after HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    heads = read_all(sock).split(b"\r\n\r\n")
    assert heads[0].startswith(b"HTTP/1.1 200")
    assert heads[1].startswith(b"HTTP/1.1 200"), "nothing between the heads"


def test_an_answer_of_unknown_length_is_chunked_or_ends_the_connection(served):
    connection = served.open()
    connection.request("GET", "/chunked")
    response = connection.getresponse()
    assert response.headers["transfer-encoding"] == "chunked"
    assert json.loads(response.read())["path"] == "/chunked"
    sock = served.connect()
    sock.sendall(b"GET /chunked HTTP/1.0\r\n\r\n")
    head, _, body = read_all(sock).partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert json.loads(body)["path"] == "/chunked"


def test_a_large_answer_reaches_a_slow_reader_whole(served):
    sock = served.connect()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    sock.sendall(b"GET /big?n=3000000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    time.sleep(0.5)
    assert len(read_all(sock).partition(b"\r\n\r\n")[2]) == 3_000_000


def test_a_refused_body_is_answered_before_it_has_arrived(served):
    sock = served.connect()
    sock.sendall(b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n" + bytes(100_000))
    head, _body = read_answer(sock)
    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in head


def test_a_small_unread_body_does_not_cost_the_connection(served):
    connection = served.open()
    connection.request("POST", "/unread", bytes(1000))
    response = connection.getresponse()
    assert (response.status, response.headers["connection"]) == (413, None)
    response.read()
    connection.request("GET", "/after")
    assert json.loads(connection.getresponse().read())["path"] == "/after"


def test_a_body_nobody_reads_is_not_buffered(served):
    sock = served.connect()
    sock.settimeout(1.0)
    sock.sendall(b"GET /slow?s=3 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + bytes(65536) + b"\r\n"
    sent = 0
    try:
        while sent < 64 << 20:
            sock.sendall(chunk)
            sent += len(chunk)
    except TimeoutError:
        pass
    assert sent < 32 << 20, "the server stopped reading; what was sent sits in the kernel"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Big: " + b"a" * 100_000 + b"\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Many: a\r\n" * 2000 + b"\r\n", b"431"),
    ],
    ids=["target", "one header", "many headers"],
)
def test_an_oversized_head_is_refused_with_its_own_status(served, head, status):
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as sock:
        sock.sendall(head)
        assert statuses(read_all(sock)) == [status]


def test_a_header_with_a_line_break_never_leaves(served):
    sock = served.connect()
    sock.sendall(b"GET /break HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = read_all(sock)
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"X-Evil" not in answer


def test_answers_do_not_name_the_software(served):
    sock = served.connect()
    sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    head = read_all(sock).partition(b"\r\n\r\n")[0].lower()
    assert b"\r\nserver:" not in head
    assert b"gunicorn" not in head
    assert b"\r\ndate: " in head


def test_an_idle_connection_is_closed_after_its_time(plain):
    server = plain(more='http_idle_timeout = "1s"')
    sock = server.connect()
    sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    read_answer(sock)
    assert read_all(sock) == b""


@pytest.mark.parametrize(
    ("first", "drop"),
    [
        (b"GET / HTTP/1.1\r\nX-Slow: ", b"a"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", b"a"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
    ],
    ids=["head", "body", "chunks"],
)
def test_a_trickling_client_is_cut_off_while_others_are_served(plain, first, drop):
    server = plain(more='http_read_header_timeout = "1s" http_read_timeout = "2s"')
    sock = server.connect()
    sock.settimeout(0.05)
    sock.sendall(first)
    answer = b""
    for _ in range(400):
        try:
            answer += sock.recv(65536)
            break
        except TimeoutError:
            with suppress(ConnectionError):  # closed just now: what it said before is still to be read
                sock.sendall(drop)
    assert statuses(answer) == [b"408"]
    assert server.ask()["path"] == "/"


def test_a_silent_connection_is_closed(plain):
    server = plain(more='http_read_header_timeout = "1s"')
    assert read_all(server.connect()) == b""


def test_clients_beyond_the_connection_limit_wait_their_turn(plain):
    server = plain(top="max_connections = 3")
    held = [server.connect() for _ in range(3)]
    for sock in held:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        read_answer(sock)
    waiting = server.connect()
    waiting.sendall(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
    waiting.settimeout(1.0)
    with pytest.raises(TimeoutError):
        waiting.recv(1)
    held[0].close()
    waiting.settimeout(20)
    assert json.loads(read_answer(waiting)[1])["path"] == "/late"
