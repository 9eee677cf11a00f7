"""The certificates that a role trusts, as an operator writes them: PEM, one or more."""

import re
from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509

from broker.plugin import InvalidRequest

from .profile import WEAK, client_usage, is_authority, strong_key

MAX_PEM = 256 * 1024
MAX_CERTIFICATES = 32
_BLOCK = re.compile(
    r"-----BEGIN (?:TRUSTED )?CERTIFICATE-----.*?-----END (?:TRUSTED )?CERTIFICATE-----", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Bundle:
    """``authorities`` may issue clients' certificates, ``pinned`` are clients' certificates themselves.

    ``others`` stand behind a pinned certificate and are trusted with nothing but its revocation.
    """

    authorities: tuple[x509.Certificate, ...]
    pinned: tuple[x509.Certificate, ...]
    others: tuple[x509.Certificate, ...]


@lru_cache(maxsize=1024)
def read_bundle(pem: str) -> Bundle:
    """Read a role's certificates. The first says what the role is: an authority, or one client.

    Raises: InvalidRequest, in Vault's words where it has some.
    """
    found = read_pem(pem)
    if not is_authority(found[0]):
        if not client_usage(found[0]):
            raise InvalidRequest(
                "nonCA certificates should have TLS client authentication set as an extended key usage"
            )
        return Bundle((), found[:1], found[1:])
    authorities = tuple(certificate for certificate in found if is_authority(certificate))
    # A self-signed certificate is often both its own authority and the one that its client shows.
    return Bundle(authorities, found, ())


def read_pem(pem: str) -> tuple[x509.Certificate, ...]:
    """Read one or more certificates. Raises: InvalidRequest."""
    blocks = _BLOCK.findall(pem)
    if not blocks or len(blocks) > MAX_CERTIFICATES:
        raise InvalidRequest("failed to parse certificate")
    try:
        found = tuple(x509.load_pem_x509_certificate(block.encode()) for block in blocks)
        _ = [(certificate.extensions, certificate.subject) for certificate in found]
    except Exception:  # x509's own errors share no base
        raise InvalidRequest("failed to parse certificate") from None
    if not all(strong_key(certificate) for certificate in found):
        raise InvalidRequest(f"certificate: weak key, {WEAK}")
    return found
