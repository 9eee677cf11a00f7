"""What is asked of a single certificate: keys and signatures that hold, times, and the rights that it says it has.

Source: RFC 5280, sections 4.2 and 6.1. The signatures themselves are checked by ``cryptography``.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPResponse
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

MAX_CERTIFICATE = 64 * 1024
RSA_BITS = range(2048, 8193)
CURVES = ("secp256r1", "secp384r1", "secp521r1")
WEAK = "expected an RSA key of 2048 to 8192 bits, one on P-256, P-384 or P-521, or Ed25519 or Ed448"
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512, hashes.SHA3_256, hashes.SHA3_384, hashes.SHA3_512)
E = TypeVar("E", bound=x509.ExtensionType)
_CLIENT = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
_UNDERSTOOD = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.NAME_CONSTRAINTS,
    ExtensionOID.CERTIFICATE_POLICIES,
    ExtensionOID.CRL_DISTRIBUTION_POINTS,
}


class Refused(Exception):
    """A certificate, or a chain of them, is not good for a login. The reason is for tests, never for the caller."""


def read_der(der: bytes) -> x509.Certificate:
    """Read a certificate as a client offered it. Raises: Refused for one that is too large or not well formed."""
    if len(der) > MAX_CERTIFICATE:
        raise Refused("over the size limit")
    try:
        found = x509.load_der_x509_certificate(der)
        # Everything is looked at once, so that no later step meets what cannot be read.
        _ = found.extensions, found.subject, found.issuer, found.serial_number, found.not_valid_after_utc
    except (
        Exception
    ) as error:  # x509's own errors share no base: doubled extensions, versions, kinds of names
        raise Refused("not well formed") from error
    if found.version is not x509.Version.v3:
        raise Refused("not of version 3")
    if found.public_bytes(Encoding.DER) != der:
        raise Refused("not in its canonical form")
    return found


def is_authority(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate says that it may issue others."""
    found = extension(certificate, x509.BasicConstraints)
    return found is not None and found.ca


def strong_key(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate's key is one that nobody can find today."""
    try:
        key = certificate.public_key()
    except Exception:  # whatever it is, it is no key that we know
        return False
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size in RSA_BITS
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.curve.name in CURVES
    return isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey)


def strong_signature(certificate: x509.Certificate) -> bool:
    """Tell whether the hash under a certificate's signature is one to rely on (SHA-1 is not)."""
    try:
        used = certificate.signature_hash_algorithm
    except Exception:
        return False
    return used is None or is_strong_hash(used)


def is_strong_hash(used: hashes.HashAlgorithm) -> bool:
    """Tell whether a signature over such a hash is one to rely on."""
    return isinstance(used, _HASHES)


def client_usage(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate is meant for TLS clients: it says so, or does not say what it is meant for."""
    usage = extension(certificate, x509.ExtendedKeyUsage)
    return usage is None or not _CLIENT.isdisjoint(usage)


def check_common(certificate: x509.Certificate, now: float) -> None:
    """Check what holds for every certificate of a chain. Raises: Refused."""
    at = datetime.fromtimestamp(now, UTC)
    if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
        raise Refused("expired or not yet valid")
    if not strong_key(certificate):
        raise Refused("weak key")
    if not client_usage(certificate):
        raise Refused("not meant for TLS clients")
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD:
            raise Refused("critical extension that is not understood")


def check_leaf(certificate: x509.Certificate, now: float) -> None:
    """Check the client's own certificate, apart from who issued it. Raises: Refused."""
    check_common(certificate, now)
    usage = extension(certificate, x509.KeyUsage)
    if usage is not None and not usage.digital_signature:
        raise Refused("not meant for signatures, which TLS asks of clients")


def check_issuer(certificate: x509.Certificate, below: Iterable[x509.Certificate], now: float) -> None:
    """Check that a certificate may issue a chain: ``below`` are the authorities under it. Raises: Refused."""
    check_common(certificate, now)
    basic = extension(certificate, x509.BasicConstraints)
    if basic is None or not basic.ca:
        raise Refused("not an authority")
    usage = extension(certificate, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        raise Refused("not meant for signing certificates")
    depth = sum(1 for authority in below if authority.subject != authority.issuer)
    if basic.path_length is not None and depth > basic.path_length:
        raise Refused("chain longer than its authority allows")


def sole_common_name(certificate: x509.Certificate) -> str:
    """Return the subject's common name, or nothing where there is none, or more than one to choose from."""
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(found) != 1 or not isinstance(found[0].value, str):
        return ""
    return found[0].value if found[0].value.isprintable() else ""


def extension(found: x509.Certificate | OCSPResponse, kind: type[E]) -> E | None:
    """Return what an extension of a certificate or an OCSP response says, ``None`` if there is no such extension."""
    try:
        return found.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def alternative_names(certificate: x509.Certificate) -> Iterable[x509.GeneralName]:
    """Return the names that a certificate is for besides its subject."""
    return extension(certificate, x509.SubjectAlternativeName) or ()
