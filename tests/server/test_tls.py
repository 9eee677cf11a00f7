"""TLS listeners: whom they serve, what they hand on, and renewing the certificate under way."""

import hashlib
import http.client
import json
import signal
import socket
import ssl
import time

import pytest

from tests.server.conftest import ask, tls_client, wait_until


def tls_listener(pairs, more="", pair="server"):
    found = pairs[pair]
    return (
        f'listener "tcp" {{\n  address = "127.0.0.1:0"\n  tls_cert_file = "{found.certificate}"\n'
        f'  tls_key_file = "{found.key}"\n  {more}\n}}\n'
    )


@pytest.fixture
def secure(start, pairs):
    """Start a server with one TLS listener."""
    return lambda more="", workers=1: start(f"workers = {workers}\n" + tls_listener(pairs, more))


def connect(server, context, port=None):
    connection = http.client.HTTPSConnection("127.0.0.1", port or server.port, context=context, timeout=20)
    server.opened.append(connection)
    return connection


def digest(pair):
    return hashlib.sha256(pair.der).hexdigest()


def test_tls_13_is_the_rule_and_12_the_exception(secure, pairs):
    old = tls_client(pairs)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    strict, relaxed = secure(), secure('tls_min_version = "tls12"')
    with pytest.raises(ssl.SSLError):
        ask(connect(strict, old))
    assert ask(connect(relaxed, old))["tls_version"] == 0x0303
    assert ask(connect(strict, tls_client(pairs)))["tls_version"] == 0x0304


def test_http_1_is_what_is_negotiated(secure, pairs):
    context = tls_client(pairs)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", secure().port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as sock,
    ):
        assert sock.selected_alpn_protocol() == "http/1.1"


def test_a_client_without_certificate_is_served(secure, pairs):
    assert ask(connect(secure(), tls_client(pairs)))["certificates"] == []


@pytest.mark.parametrize("who", ["stranger", "known"])
def test_any_client_certificate_is_asked_for_served_and_handed_on(secure, pairs, who):
    server = secure()
    connection = connect(server, tls_client(pairs, pairs[who]))
    for _ in range(3):
        assert ask(connection)["certificates"][0] == digest(pairs[who])


def test_the_whole_chain_is_handed_on_leaf_first(secure, pairs, tmp_path):
    chain = tmp_path / "chain.pem"
    chain.write_bytes(pairs["known"].certificate.read_bytes() + pairs["authority"].certificate.read_bytes())
    context = tls_client(pairs)
    context.load_cert_chain(chain, pairs["known"].key)
    assert ask(connect(secure(), context))["certificates"] == [
        digest(pairs["known"]),
        digest(pairs["authority"]),
    ]


def test_a_client_certificate_of_no_version_that_there_is_is_handed_on_too(secure, pairs, tmp_path):
    version = b"\xa0\x03\x02\x01"
    der = pairs["stranger"].der.replace(version + b"\x02", version + b"\x07")
    odd = tmp_path / "odd.pem"
    odd.write_text(ssl.DER_cert_to_PEM_cert(der))
    context = tls_client(pairs)
    context.load_cert_chain(odd, pairs["stranger"].key)
    assert ask(connect(secure(), context))["certificates"] == [hashlib.sha256(der).hexdigest()]


def test_certificates_can_be_left_unasked(secure, pairs):
    server = secure("tls_disable_client_certs = true")
    assert ask(connect(server, tls_client(pairs, pairs["stranger"])))["certificates"] == []


def test_a_verifying_listener_serves_its_own_and_nobody_else(secure, pairs):
    server = secure(
        f'tls_require_and_verify_client_cert = true\n  tls_client_ca_file = "{pairs["authority"].certificate}"'
    )
    assert ask(connect(server, tls_client(pairs, pairs["known"])))["certificates"][0] == digest(
        pairs["known"]
    )
    for client in (None, pairs["stranger"]):
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
            ask(connect(server, tls_client(pairs, client)))


def test_listeners_keep_their_own_settings(start, pairs):
    plain = 'listener "tcp" { address = "127.0.0.1:0" tls_disable = true }'
    server = start(
        f"workers = 1\n{plain}\n{tls_listener(pairs, pair='server')}{tls_listener(pairs, pair='renewed')}"
    )
    assert server.ask()["scheme"] == "http"
    ports = [int(address.rsplit(":", 1)[1]) for address in server.addresses]
    for port, name in zip(ports[1:], ("server", "renewed"), strict=True):
        connection = connect(server, tls_client(pairs), port)
        assert ask(connection)["scheme"] == "https"
        assert connection.sock.getpeercert(True) == pairs[name].der


def test_a_hangup_brings_the_new_certificate_and_keeps_open_connections(start, pairs, tmp_path):
    certificate, key = tmp_path / "live.pem", tmp_path / "live.key"

    def put(name):
        certificate.write_bytes(pairs[name].certificate.read_bytes())
        key.write_bytes(pairs[name].key.read_bytes())

    put("server")
    server = start(
        f'workers = 2\nlistener "tcp" {{ address = "127.0.0.1:0" tls_cert_file = "{certificate}" tls_key_file = "{key}" }}'
    )
    before = [connect(server, tls_client(pairs)) for _ in range(4)]
    owners = [ask(connection)["pid"] for connection in before]
    put("renewed")
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: server.log().count("reloaded") == 2)
    for _ in range(6):
        connection = connect(server, tls_client(pairs))
        ask(connection)
        assert connection.sock.getpeercert(True) == pairs["renewed"].der
    assert [ask(connection)["pid"] for connection in before] == owners
    assert {connection.sock.getpeercert(True) for connection in before} == {pairs["server"].der}
    certificate.write_text("not a certificate")
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: server.log().count("not reloaded") == 2)
    assert ask(connect(server, tls_client(pairs)))["path"] == "/"


@pytest.mark.parametrize("size", [1, 16_384, 16_385, 3_000_000])
def test_bodies_and_answers_of_any_size_pass(secure, pairs, size):
    connection = connect(secure(), tls_client(pairs))
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    assert ask(connection, "/p", "POST", body)["body_hash"] == hashlib.sha256(body).hexdigest()
    connection.request("GET", f"/big?n={size}")
    assert len(connection.getresponse().read()) == size


def test_a_slow_reader_gets_a_large_answer_whole(secure, pairs):
    with (
        socket.create_connection(("127.0.0.1", secure().port), timeout=20) as plain,
        tls_client(pairs).wrap_socket(plain, server_hostname="127.0.0.1", suppress_ragged_eofs=False) as sock,
    ):
        sock.sendall(b"GET /big?n=3000000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        time.sleep(0.5)
        data = b""
        while chunk := sock.recv(65536):
            data += chunk
    assert len(data.partition(b"\r\n\r\n")[2]) == 3_000_000, "and ended by a close_notify"


def test_requests_cut_across_records_and_packets_arrive(secure, pairs):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = tls_client(pairs).wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with socket.create_connection(("127.0.0.1", secure().port), timeout=20) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def flush(step):
            data = outgoing.read()
            for at in range(0, len(data), step):
                sock.sendall(data[at : at + step])
                time.sleep(0.001)

        def attempt(action, step):
            while True:
                try:
                    return action()
                except ssl.SSLWantReadError:
                    flush(step)
                    incoming.write(sock.recv(65536))
                finally:
                    flush(step)

        attempt(client.do_handshake, 7)
        for piece in (b"GET /a HTTP/1.1\r\nHo", b"st: x\r\n\r\nGET /b HTTP/1.1\r\n", b"Host: x\r\n\r\n"):
            client.write(piece)
        flush(3)
        data = b""
        while data.count(b"HTTP/1.1 200") < 2:
            data += attempt(lambda: client.read(65536), 11)
    assert data.index(b'"/a"') < data.index(b'"/b"')


@pytest.mark.parametrize(
    "nonsense",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello",
        b"\x00" * 100,
        b"\x16\x03\x01\xff\xff" + bytes(70000),
    ],
    ids=["plain HTTP", "broken hello", "zeros", "endless hello"],
)
def test_a_bad_handshake_ends_that_connection_only(secure, pairs, nonsense):
    server = secure()
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as sock:
        try:
            sock.sendall(nonsense)
            while sock.recv(4096):
                pass
        except ConnectionError:
            pass
    assert ask(connect(server, tls_client(pairs)))["path"] == "/"
    assert "Traceback" not in server.log()


def test_a_handshake_that_never_comes_is_cut_off(secure):
    server = secure('http_read_header_timeout = "1s"')
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as sock:
        assert sock.recv(1) == b""


def test_a_graceful_stop_finishes_requests_over_tls(secure, pairs):
    server = secure()
    connection = connect(server, tls_client(pairs))
    connection.request("GET", "/slow?s=0.5")
    wait_until(lambda: "a slow request has begun\n" in server.log())
    server.process.send_signal(signal.SIGTERM)
    assert json.loads(connection.getresponse().read())["path"] == "/slow"
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"tls_key_file": "locked.key"},
            "locked.key: expected the certificate's PEM key, without a passphrase",
        ),
        ({"tls_cert_file": "missing.pem"}, "missing.pem: cannot be read: No such file or directory"),
        (
            {"tls_key_file": "stranger.key"},
            "stranger.key: expected the certificate's PEM key, without a passphrase",
        ),
        (
            {"tls_key_file": "stranger.pem"},
            "stranger.pem: expected the certificate's PEM key, without a passphrase",
        ),
    ],
    ids=["passphrase", "missing", "foreign key", "no key"],
)
def test_tls_files_that_do_not_work_are_one_line(start, pairs, files, expected):
    names = {"tls_cert_file": "server.pem", "tls_key_file": "server.key", **files}
    settings = " ".join(f'{key} = "{pairs["folder"] / name}"' for key, name in names.items())
    server = start(f'workers = 1\nlistener "tcp" {{ address = "127.0.0.1:0" {settings} }}', ready=False)
    assert server.process.wait(20) == 1
    wait_until(server.log)
    assert server.log().strip() == f"Error: {pairs['folder']}/{expected}"
