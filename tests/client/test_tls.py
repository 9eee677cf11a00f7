"""Whom the client trusts over TLS, and whom it does not."""

import datetime
import ipaddress
import ssl
from http.server import ThreadingHTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from broker.client import Client, Tls, Unreachable
from broker.plugin.secret import Secret

from .conftest import Handler, serving


def issued(name, subject_names, signer=None):
    """A certificate and its key; signed by ``signer`` (certificate, key), or a CA of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, signing_key = (signer[0].subject, signer[1]) if signer else (subject, key)
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
    )
    if subject_names:
        builder = builder.add_extension(x509.SubjectAlternativeName(subject_names), critical=False)
    return builder.sign(signing_key, hashes.SHA256()), key


def pem(path, certificate, key=None):
    text = certificate.public_bytes(serialization.Encoding.PEM)
    if key is not None:
        text += key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    path.write_bytes(text)
    return str(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    authority, other = issued("authority", []), issued("other", [])
    names = [x509.DNSName("broker.example"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    by_name = [x509.DNSName("broker.example")]
    return {
        "ca": pem(folder / "ca.pem", authority[0]),
        "other": pem(folder / "other.pem", other[0]),
        "server": pem(folder / "server.pem", *issued("server", names, authority)),
        "named": pem(folder / "named.pem", *issued("named", by_name, authority)),
    }


class Quiet(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """A client that turns away is what half of these tests are about."""


def listening(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = Quiet(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    yield from serving(server)


@pytest.fixture
def server(files):
    yield from listening(files["server"])


@pytest.fixture
def named(files):
    yield from listening(files["named"])


def address(server) -> str:
    return server.address.replace("http://", "https://")


def test_a_server_signed_by_the_given_ca_is_trusted(server, files):
    with Client(address(server), tls=Tls(ca_cert=files["ca"])) as client:
        assert client.read("a") is None
    assert len(server.asked) == 1


@pytest.mark.parametrize("ca", [None, "other"])
def test_any_other_server_gets_no_token(server, files, ca):
    tls = Tls(ca_cert=files[ca]) if ca else Tls()
    with (
        Client(address(server), Secret("hvs.canary"), tls=tls) as client,
        pytest.raises(Unreachable, match="trust"),
    ):
        client.read("a")
    assert server.asked == []


def test_a_certificate_for_another_name_is_refused_unless_that_name_is_asked_for(named, files):
    with Client(address(named), tls=Tls(ca_cert=files["ca"])) as client, pytest.raises(Unreachable):
        client.read("a")
    assert named.asked == []
    with Client(address(named), tls=Tls(ca_cert=files["ca"], server_name="broker.example")) as client:
        assert client.read("a") is None
    with (
        Client(address(named), tls=Tls(ca_cert=files["ca"], server_name="else.example")) as client,
        pytest.raises(Unreachable),
    ):
        client.read("a")
    assert len(named.asked) == 1


def test_skipping_verification_is_a_choice_that_prints_no_python_warning(server):
    with Client(address(server), tls=Tls(skip_verify=True)) as client:
        assert client.read("a") is None


def test_variables_meant_for_the_http_library_do_not_widen_the_trust(server, files, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", files["ca"])
    monkeypatch.setenv("CURL_CA_BUNDLE", files["ca"])
    with Client(address(server)) as client, pytest.raises(Unreachable):
        client.read("a")
