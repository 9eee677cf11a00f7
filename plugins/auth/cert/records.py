"""What is stored below a mount.

``config``; ``role/<name>``, one record per role; ``by/leaf/<fingerprint>/<name>`` and ``by/ca/<subject>/<fingerprint>/<name>``,
which lead from a certificate to the roles that trust it, so that a login reads the roles of its own issuer and no others;
``crl/<name>`` and ``by/crl/<issuer>/<name>`` likewise. Subjects, issuers and fingerprints are SHA-256 as hex.
"""

import hashlib

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from broker.plugin import TokenSettings

CONFIG = "config"
LEAVES = "by/leaf/"
AUTHORITIES = "by/ca/"
CRLS_OF = "by/crl/"
Names = tuple[str, ...] | None
"""A list as it was given; ``None`` was never given, which a read tells from an empty list, as Vault does."""


class Config(msgspec.Struct, frozen=True, omit_defaults=True):
    """What holds for the mount. Cache sizes are kept for those who set them: entries are cached below, bounded."""

    v: int = 1
    disable_binding: bool = False
    enable_identity_alias_metadata: bool = False
    ocsp_cache_size: int = 0
    role_cache_size: int = 0


class Role(msgspec.Struct, frozen=True, omit_defaults=True):
    """A role: the certificates it trusts (PEM), what a client's certificate must say, and the tokens it gives."""

    name: str
    certificate: str
    tokens: TokenSettings
    v: int = 1
    display_name: str = ""
    allowed_names: Names = None
    allowed_common_names: Names = None
    allowed_dns_sans: Names = None
    allowed_email_sans: Names = None
    allowed_uri_sans: Names = None
    allowed_organizational_units: Names = None
    required_extensions: Names = None
    allowed_metadata_extensions: Names = None
    alias_name_source: str = "common_name"
    ocsp_enabled: bool = False
    ocsp_ca_certificates: str = ""
    ocsp_servers_override: Names = None
    ocsp_fail_open: bool = False
    ocsp_query_all_servers: bool = False


class Crl(msgspec.Struct, frozen=True, omit_defaults=True):
    """A revocation list as DER. ``valid_until`` is its end (Unix seconds, 0 for never), ``fetch_at`` when to fetch it again."""

    der: bytes
    issuer: str
    v: int = 1
    url: str = ""
    valid_until: float = 0
    fetch_at: float = 0


class Mark(msgspec.Struct, frozen=True):
    """That a path is there is all it says."""

    v: int = 1


def role_path(name: str) -> str:
    """Return where a role is stored."""
    return f"role/{name}"


def crl_path(name: str) -> str:
    """Return where a revocation list is stored."""
    return f"crl/{name}"


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of the whole certificate, as hex."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def name_hash(name: x509.Name) -> str:
    """Return the SHA-256 of a distinguished name, as hex."""
    return hashlib.sha256(name.public_bytes()).hexdigest()
