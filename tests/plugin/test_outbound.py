"""Outbound requests: what is refused, what is capped, and that errors keep quiet."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from broker.plugin.errors import InvalidRequest
from broker.plugin.outbound import Answer, OutboundFailed, check_ca, fetch, fetch_aside, is_public, split_url
from tests.fixtures.servers import free_port

OK = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 2\r\n\r\n{}"
CANARY = "hunter2-canary"


@contextmanager
def serving(
    respond: Callable[[socket.socket, bytes], None], context: ssl.SSLContext | None = None
) -> Iterator[tuple[int, list[bytes]]]:
    """A server on a port of its own: reads one request's head, then hands the line to ``respond``."""
    seen: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def loop() -> None:
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            try:
                with line if context is None else context.wrap_socket(line, server_side=True) as channel:
                    head = b""
                    while b"\r\n\r\n" not in head and (more := channel.recv(65536)):
                        head += more
                    seen.append(head)
                    respond(channel, head)
            except OSError:
                line.close()

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], seen
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def saying(answer: bytes) -> Callable[[socket.socket, bytes], None]:
    return lambda line, head: line.sendall(answer)


def certificate(name: str) -> tuple[str, str]:
    """A certificate that signs itself, for a name or address, and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    alt = x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([alt]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


@pytest.fixture
def tls(tmp_path):
    def make(name: str) -> tuple[ssl.SSLContext, str]:
        pem, key = certificate(name)
        path = tmp_path / f"{name}.pem"
        path.write_text(pem + key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context, pem

    return make


def test_an_answer_comes_back_whole():
    with serving(saying(OK)) as (port, seen):
        answer = fetch("POST", f"http://127.0.0.1:{port}/a/b?c=d", headers={"X-T": "t"}, body=b"hello")
    assert (answer.status, answer.body, answer.headers["x-a"]) == (200, b"{}", "1")
    assert seen[0].startswith(b"POST /a/b?c=d HTTP/1.1\r\n")
    assert b"X-T: t\r\n" in seen[0]


def test_a_status_that_is_no_success_is_an_answer_too():
    with serving(saying(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")) as (port, _):
        assert fetch("GET", f"http://127.0.0.1:{port}").status == 403


async def test_the_loop_goes_on_meanwhile():
    with serving(saying(OK)) as (port, _):
        assert (await fetch_aside("GET", f"http://127.0.0.1:{port}/")).body == b"{}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(status):
    with serving(saying(OK)) as (other, reached):
        moved = f"HTTP/1.1 {status} Moved\r\nLocation: http://127.0.0.1:{other}/\r\nContent-Length: 0\r\n\r\n"
        refused = pytest.raises(OutboundFailed, match=f"redirects \\({status}\\) are not followed")
        with serving(saying(moved.encode())) as (port, _), refused:
            fetch("GET", f"http://127.0.0.1:{port}/", headers={"Authorization": CANARY})
    assert reached == []


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 300000000", b"Transfer-Encoding: chunked", b"Connection: close"]
)
def test_an_endless_answer_is_cut_off_at_the_cap(framing):
    def flood(line: socket.socket, head: bytes) -> None:
        line.sendall(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n")
        while True:
            line.sendall((b"400\r\n" + b"x" * 1024 + b"\r\n") if b"chunked" in framing else b"x" * 1024)

    with serving(flood) as (port, _), pytest.raises(OutboundFailed, match="over 5000 bytes"):
        fetch("GET", f"http://127.0.0.1:{port}/", max_bytes=5000)


@pytest.mark.parametrize("dripped", [b"H", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_server_that_drips_is_cut_off_at_the_deadline(dripped):
    stop = threading.Event()

    def drip(line: socket.socket, head: bytes) -> None:
        line.sendall(dripped)
        while not stop.wait(0.02):
            line.sendall(b"x")

    with serving(drip) as (port, _):
        with pytest.raises(OutboundFailed, match="no answer in time"):
            fetch("GET", f"http://127.0.0.1:{port}/", timeout=0.3)
        stop.set()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["nothing", "no-http", "short", "compressed", "many-headers", "long-header", "bad-chunk"],
)
def test_a_broken_answer_is_an_error_that_keeps_quiet(answer):
    with serving(saying(answer)) as (port, _), pytest.raises(OutboundFailed) as caught:
        fetch("GET", f"http://127.0.0.1:{port}/{CANARY}?t={CANARY}", headers={"Authorization": CANARY})
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None
    assert str(caught.value).startswith(f"http://127.0.0.1:{port}: ")


def test_headers_that_would_split_the_request_are_not_sent():
    refused = pytest.raises(OutboundFailed, match="cannot be sent")
    with serving(saying(OK)) as (port, seen), refused as caught:
        fetch("GET", f"http://127.0.0.1:{port}/", headers={"Authorization": f"{CANARY}\r\nX: y"})
    assert CANARY not in str(caught.value)
    assert all(CANARY.encode() not in head for head in seen)


def test_nobody_listens():
    with pytest.raises(OutboundFailed, match="connection refused"):
        fetch("GET", f"http://127.0.0.1:{free_port()}/")


def test_proxies_of_the_environment_have_no_say(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with serving(saying(OK)) as (port, _):
        assert fetch("GET", f"http://127.0.0.1:{port}/").status == 200


def test_tls_is_verified_against_the_given_ca(tls, monkeypatch, tmp_path):
    log = tmp_path / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))
    context, pem = tls("127.0.0.1")
    with serving(saying(OK), context) as (port, _):
        assert fetch("GET", f"https://127.0.0.1:{port}/", ca_pem=pem).status == 200
        with pytest.raises(OutboundFailed, match="certificate is not trusted"):
            fetch("GET", f"https://127.0.0.1:{port}/")
        with pytest.raises(OutboundFailed, match="certificate is not trusted"):
            fetch("GET", f"https://127.0.0.1:{port}/", ca_pem=certificate("127.0.0.1")[0])
    assert not log.exists()


def test_the_name_in_the_certificate_must_fit(tls):
    context, pem = tls("other.example")
    with serving(saying(OK), context) as (port, seen):
        with pytest.raises(OutboundFailed, match="certificate is not trusted"):
            fetch("GET", f"https://127.0.0.1:{port}/", ca_pem=pem)
        assert seen == []
        answer = fetch("GET", f"https://127.0.0.1:{port}/", ca_pem=pem, server_name="other.example")
    assert answer.status == 200


@pytest.mark.parametrize(
    "url",
    [
        "",
        "idp.example",
        "ftp://idp.example/",
        "file:///etc/passwd",
        "https://",
        "https://user:pw@idp.example/",
        "https://idp.example:99999/",
        "https://idp.example:0/",
        "https://idp.example/a b",
        "https://idp.example/\r\nX: y",
        "https://idp.example/\u00e9",
        "https://[::1/",
        "https://idp.example/" + "a" * 9000,
    ],
)
def test_a_url_that_cannot_be_meant_is_refused(url):
    with pytest.raises(InvalidRequest) as caught:
        fetch("GET", url)
    assert "pw" not in str(caught.value)


def test_urls_and_cas_can_be_checked_beforehand():
    assert split_url("https://idp.example:8443/keys").hostname == "idp.example"
    check_ca("")
    check_ca(certificate("idp.example")[0])
    for bad in ("nonsense", "n\u00f6", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        with pytest.raises(InvalidRequest, match="CA certificate"):
            check_ca(bad)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.9.1",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%1",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::1",
        "2001:0:7f00:1::1",
    ],
)
def test_a_special_address_is_none_of_the_open_internet_in_any_dress(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["198.41.0.4", "2001:500:2::c", "::ffff:198.41.0.4", "64:ff9b::c629:4"])
def test_other_addresses_are_of_the_open_internet(address):
    assert is_public(address)


def test_a_strangers_url_leads_nowhere_near_whatever_its_name_resolves_to(monkeypatch):
    with serving(saying(OK)) as (port, seen):
        found = socket.getaddrinfo("127.0.0.1", port, type=socket.SOCK_STREAM)
        monkeypatch.setattr("broker.plugin.outbound.socket.getaddrinfo", lambda *args, **more: found)
        with pytest.raises(OutboundFailed, match=r"http://ocsp\.example:\d+: not a public address"):
            fetch("GET", f"http://ocsp.example:{port}/", public_only=True)
        assert not seen
        assert fetch("GET", f"http://ocsp.example:{port}/").status == 200


@pytest.mark.parametrize("body", [b"", b"[]", b"5", b"{", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_none(body):
    assert Answer(200, {}, body).json_object() is None


def test_a_body_that_is_a_json_object_is_read():
    assert Answer(200, {}, b'{"a": 1}').json_object() == {"a": 1}
