import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PROBE = Path(__file__).with_name("probe.py")


def wait_until(check, seconds=20.0):
    """Poll until ``check`` gives something true, and return that."""
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError("waited in vain")
        time.sleep(0.02)


@dataclass
class Pair:
    """A certificate and its key, in files."""

    certificate: Path
    key: Path
    der: bytes

    def __iter__(self):
        return iter((str(self.certificate), str(self.key)))


def make_pair(folder, name, issuer=None, serial=None):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    signer_name, signer_key = subject, key
    if issuer is not None:
        signer_name = x509.load_pem_x509_certificate(issuer.certificate.read_bytes()).subject
        signer_key = serialization.load_pem_private_key(issuer.key.read_bytes(), None)
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(signer_name, subject, key.public_key(), serial or x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(signer_key, hashes.SHA256())
    )
    pair = Pair(
        folder / f"{name}.pem", folder / f"{name}.key", certificate.public_bytes(serialization.Encoding.DER)
    )
    pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pair.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return pair


@dataclass
class Server:
    process: subprocess.Popen
    addresses: list
    output: list = field(default_factory=list)
    opened: list = field(default_factory=list)

    @property
    def port(self):
        return int(self.addresses[0].rsplit(":", 1)[1])

    def log(self):
        return "".join(self.output)

    def connect(self, port=None):
        sock = socket.create_connection(("127.0.0.1", port or self.port), timeout=20)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.opened.append(sock)
        return sock

    def open(self, timeout=20):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        self.opened.append(connection)
        return connection

    def ask(self, path="/", method="GET", body=None):
        connection = self.open()
        try:
            return ask(connection, path, method, body)
        finally:
            connection.close()

    def workers(self):
        found = subprocess.run(
            ["ps", "--ppid", str(self.process.pid), "-o", "pid="], capture_output=True, text=True, check=False
        )
        return {int(pid) for pid in found.stdout.split()}

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait(20)


def ask(connection, path="/", method="GET", body=None):
    connection.request(method, path, body)
    return json.loads(connection.getresponse().read())


@contextmanager
def starter(folder):
    """Give a function that starts the probe with a configuration text; all of them are stopped at the end."""
    running = []

    def start_server(text, ready=True, lock=False):
        config = folder / f"server{len(running)}.hcl"
        config.write_text(f'{text}\nstorage "inmem" {{}}\ndisable_mlock = {str(not lock).lower()}\n')
        process = subprocess.Popen(
            [sys.executable, str(PROBE), str(config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONWARNINGS": "error::DeprecationWarning"},
        )
        server = Server(process, [])
        running.append(server)
        server.reader = threading.Thread(target=lambda: server.output.extend(process.stdout), daemon=True)
        server.reader.start()
        if ready:
            wanted = int(re.search(r"workers = (\d+)", text)[1])
            wait_until(lambda: server.log().count(" ready\n") >= wanted or process.poll() is not None)
            assert process.poll() is None, server.log()
            server.addresses = re.findall(r"Listener \d+: (\S+)", server.log())
        return server

    yield start_server
    for server in running:
        for connection in server.opened:
            connection.close()
        server.stop()
        server.reader.join(20)
        server.process.stdout.close()


@pytest.fixture
def start(tmp_path):
    """Start the probe with a configuration text; give back a Server that is ready."""
    with starter(tmp_path) as start_server:
        yield start_server


PLAIN = 'workers = {workers}\nlistener "tcp" {{ address = "127.0.0.1:0" tls_disable = true {more} }}'


@pytest.fixture
def plain(start):
    """Start a server with one plain listener."""

    def start_plain(workers=1, more="", top=""):
        return start(PLAIN.format(workers=workers, more=more) + "\n" + top)

    return start_plain


@pytest.fixture(scope="session")
def pairs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    authority = make_pair(folder, "authority")
    server = make_pair(folder, "server", authority)
    key = serialization.load_pem_private_key(server.key.read_bytes(), None)
    (folder / "locked.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"passphrase"),
        )
    )
    return {
        "folder": folder,
        "authority": authority,
        "server": server,
        "renewed": make_pair(folder, "renewed", authority),
        "known": make_pair(folder, "known", authority),
        "stranger": make_pair(folder, "stranger"),
    }


def tls_client(pairs, client=None, chain=None):
    context = ssl.create_default_context(cafile=str(pairs["authority"].certificate))
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if client is not None:
        context.load_cert_chain(*client)
    return context
