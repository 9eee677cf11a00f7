"""TLS as the configuration says: whom to trust, which versions, who we are."""

import os
import ssl

from .records import LdapConfig

_VERSIONS = {"tls12": ssl.TLSVersion.TLSv1_2, "tls13": ssl.TLSVersion.TLSv1_3}


def context_of(config: LdapConfig) -> ssl.SSLContext:
    """Return a context that verifies the directory's certificate and name, unless that is switched off.

    With ``certificate`` only the CAs in it are trusted, otherwise the system's. Raises: ssl.SSLError or ValueError for
    certificates and keys that are none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = _VERSIONS.get(config.tls_min_version, ssl.TLSVersion.TLSv1_2)
    context.maximum_version = _VERSIONS[config.tls_max_version]
    if config.insecure_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if config.certificate:
        if not config.certificate.isascii():
            raise ValueError("not a certificate in PEM")
        context.load_verify_locations(cadata=config.certificate)
    else:
        context.load_default_certs()
    if config.client_tls_cert:
        _load_pair(context, config.client_tls_cert, config.client_tls_key)
    return context


def _load_pair(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Load a client's certificate and key from memory: OpenSSL's interface here knows only files."""
    handle = os.memfd_create("client", os.MFD_CLOEXEC)
    try:
        os.write(handle, f"{certificate}\n{key}\n".encode())
        context.load_cert_chain(f"/proc/self/fd/{handle}", password=lambda: b"")
    finally:
        os.close(handle)
