"""TLS contexts: what a listener offers, what it asks of the client, and loading it anew."""

import logging
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from OpenSSL import SSL, crypto

from broker.plugin.errors import ConfigError
from broker.server.settings import ListenerConfig

__all__ = ["ContextHolder", "build_context", "describe_connection"]

log = logging.getLogger("broker.server")

_VERSIONS: Final = {"tls12": SSL.TLS1_2_VERSION, "tls13": SSL.TLS1_3_VERSION}
_WIRE_VERSIONS: Final = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}

# TLS 1.2 suites by the names the field's files use; those of TLS 1.3 are not a matter of choice.
_SUITES: Final = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
}


def build_context(listener: ListenerConfig) -> SSL.Context:
    """A server context for one listener. Raises: ConfigError naming the file that does not work."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(_VERSIONS[listener.tls_min_version])
    context.set_max_proto_version(_VERSIONS[listener.tls_max_version])
    # Resumed sessions would carry the leaf of the client's chain but not the rest, and need keys shared by workers.
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_cipher_list(_cipher_list(listener))
    context.set_alpn_select_callback(_choose_protocol)
    _load_certificate(context, listener)
    _ask_client(context, listener)
    return context


def _cipher_list(listener: ListenerConfig) -> bytes:
    names = listener.tls_cipher_suites or tuple(_SUITES)
    unknown = [
        name for name in names if name not in _SUITES and not name.startswith(("TLS_AES", "TLS_CHACHA20"))
    ]
    if unknown:
        raise ConfigError(f"tls_cipher_suites: {unknown[0]!r} is not one of {', '.join(_SUITES)}")
    return ":".join(_SUITES[name] for name in names if name in _SUITES).encode() or b"ECDHE+AESGCM"


def _choose_protocol(_connection: SSL.Connection, offered: list[bytes]) -> Any:
    return b"http/1.1" if b"http/1.1" in offered else SSL.NO_OVERLAPPING_PROTOCOLS


def _load_certificate(context: SSL.Context, listener: ListenerConfig) -> None:
    certificate, key = listener.tls_cert_file, listener.tls_key_file
    assert certificate is not None
    assert key is not None
    _try(certificate, lambda: context.use_certificate_chain_file(str(certificate)), "a PEM certificate chain")
    _try(key, lambda: _load_key(context, key), "the certificate's PEM key, without a passphrase")


def _load_key(context: SSL.Context, file: Path) -> None:
    # Not OpenSSL's own reading of the file: it would ask for a passphrase on the terminal, and a worker would wait.
    key = serialization.load_pem_private_key(file.read_bytes(), None)
    if not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey)):
        raise ValueError("a kind of key that TLS servers do not use")
    context.use_privatekey(key)


def _ask_client(context: SSL.Context, listener: ListenerConfig) -> None:
    """Ask for a certificate; unless told to verify it, whoever answers what is welcome: auth methods judge it."""
    if listener.tls_disable_client_certs:
        context.set_verify(SSL.VERIFY_NONE)
    elif listener.tls_require_and_verify_client_cert:
        authority = listener.tls_client_ca_file
        assert authority is not None
        _try(authority, lambda: context.load_verify_locations(str(authority)), "PEM certificates")
        for certificate in x509.load_pem_x509_certificates(authority.read_bytes()):
            context.add_client_ca(certificate)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _verify)
    else:
        context.set_verify(SSL.VERIFY_PEER, _welcome)


def _verify(_connection: Any, _certificate: Any, _error: int, _depth: int, verdict: int) -> bool:
    return bool(verdict)


def _welcome(_connection: Any, _certificate: Any, _error: int, _depth: int, _verdict: int) -> bool:
    return True


def _try(file: Path, load: Any, expected: str) -> None:
    try:
        file.read_bytes()
        load()
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    except (SSL.Error, crypto.Error, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{file}: expected {expected}") from error


@dataclass(slots=True)
class ContextHolder:
    """The context for new connections. Those already open keep the one they began with."""

    listener: ListenerConfig
    context: SSL.Context

    @classmethod
    def of(cls, listener: ListenerConfig) -> "ContextHolder":
        """Raises: ConfigError."""
        return cls(listener, build_context(listener))

    def reload(self) -> None:
        """Read the files again; if they do not work, say so and keep what works."""
        try:
            self.context = build_context(self.listener)
        except ConfigError as error:
            log.error("TLS files not reloaded for %s: %s", self.listener.address, error)


def describe_connection(connection: SSL.Connection) -> dict[str, Any]:
    """The connection for ASGI's ``tls`` extension.

    ``client_cert_chain_der`` (ours): what the client offered, as DER, leaf first; empty if nothing. Unless the
    listener verifies, nobody has judged these certificates, only that the client holds the leaf's key.
    """
    chain = _offered_chain(connection)
    return {
        "server_cert": None,
        "client_cert_chain": [ssl.DER_cert_to_PEM_cert(der) for der in chain],
        "client_cert_chain_der": chain,
        "client_cert_name": _subject(chain[0]) if chain else None,
        "client_cert_error": None,
        "tls_version": _WIRE_VERSIONS.get(connection.get_protocol_version_name()),
        "cipher_suite": None,
        "server_name": _server_name(connection),
    }


def _offered_chain(connection: SSL.Connection) -> tuple[bytes, ...]:
    leaf = connection.get_peer_certificate()
    if leaf is None:
        return ()
    rest = connection.get_peer_cert_chain() or []
    ders = [crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate) for certificate in (leaf, *rest)]
    return tuple(dict.fromkeys(ders))


def _subject(leaf: bytes) -> str | None:
    """The leaf's subject as RFC 4514 writes it, or None: OpenSSL passes certificates that are not well formed."""
    with suppress(ValueError, x509.InvalidVersion):
        return x509.load_der_x509_certificate(leaf).subject.rfc4514_string()
    return None


def _server_name(connection: SSL.Connection) -> str | None:
    name = connection.get_servername()
    return name.decode("ascii", "replace") if name else None
