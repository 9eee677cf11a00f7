"""Certificate authorities, clients and revocation lists, made in the test and thrown away with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CLIENT = (ExtendedKeyUsageOID.CLIENT_AUTH,)
SERVER = (ExtendedKeyUsageOID.SERVER_AUTH,)
NOW = datetime.now(UTC)
OWN_OID = "1.3.6.1.4.1.99999.1"


def dns(*names: str) -> list[x509.GeneralName]:
    """DNS names exactly as given, also those that no authority should write."""
    return [x509.DNSName(name) for name in names]


def uri(*names: str) -> list[x509.GeneralName]:
    return [x509.UniformResourceIdentifier(name) for name in names]


def mail(*names: str) -> list[x509.GeneralName]:
    return [x509.RFC822Name._init_without_validation(name) for name in names]


def ip(*names: str) -> list[x509.GeneralName]:
    return [x509.IPAddress(ip_address(name)) for name in names]


def text_extension(text: str, oid: str = OWN_OID) -> x509.ExtensionType:
    """An extension of our own whose value is a UTF8String."""
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), bytes([0x0C, len(text)]) + text.encode())


def key_of(kind: str) -> Any:
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind.startswith("rsa"):
        return rsa.generate_private_key(65537, int(kind[3:]))
    return ec.generate_private_key(ec.SECP256R1())


@dataclass
class Holder:
    """A certificate, its key, and the authorities that its holder sends along."""

    certificate: x509.Certificate
    key: Any = field(repr=False)
    chain: tuple[Holder, ...] = ()

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def ders(self) -> tuple[bytes, ...]:
        return (self.der, *(holder.der for holder in self.chain))

    @property
    def serial(self) -> int:
        return self.certificate.serial_number

    def files(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write what a TLS client loads: the chain and the key."""
        chain, key = folder / f"{name}.pem", folder / f"{name}.key"
        chain.write_text(self.pem + "".join(holder.pem for holder in self.chain))
        key.write_bytes(
            self.key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return chain, key

    def with_chain(self, *others: Holder) -> Holder:
        return Holder(self.certificate, self.key, others)


def make(
    *common_names: str,
    issuer: Holder | None = None,
    ca: bool | None = False,
    path_length: int | None = None,
    names: Sequence[x509.GeneralName] = (),
    usage: Sequence[x509.ObjectIdentifier] = (),
    units: Sequence[str] = (),
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    since: float = -1,
    until: float = 2,
    kind: str = "ec",
    key: Any = None,
    serial: int | None = None,
    hash_: Any = None,
    subject: x509.Name | None = None,
) -> Holder:
    """Issue a certificate; self-signed without an issuer. ``since`` and ``until`` are days from now."""
    key = key or key_of(kind)
    if subject is None:
        subject = x509.Name(
            [x509.NameAttribute(NameOID.COMMON_NAME, name) for name in common_names]
            + [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in units]
        )
    signer = issuer.key if issuer else key
    builder = x509.CertificateBuilder(
        issuer.certificate.subject if issuer else subject,
        subject,
        key.public_key(),
        serial or x509.random_serial_number(),
        NOW + timedelta(days=since),
        NOW + timedelta(days=until),
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca, path_length if ca else None), critical=True)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    if isinstance(signer, ed25519.Ed25519PrivateKey):
        return Holder(builder.sign(signer, None), key)
    return Holder(builder.sign(signer, hash_ or hashes.SHA256()), key)


def authority(name: str = "Test CA", **more: Any) -> Holder:
    return make(name, ca=True, **more)


def client(issuer: Holder, *common_names: str, **more: Any) -> Holder:
    return make(*common_names, issuer=issuer, **{"usage": CLIENT, **more})


def revocation_list(
    issuer: Holder,
    *serials: int,
    until: float | None = 1,
    key: Any = None,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> str:
    """A list as PEM; ``until`` in days from now."""
    builder = x509.CertificateRevocationListBuilder(
        issuer_name=issuer.certificate.subject,
        last_update=NOW - timedelta(days=3),
        next_update=NOW + timedelta(days=until or 0),
    )
    for serial in serials:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder(serial, NOW - timedelta(days=3)).build()
        )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    made = builder.sign(key or issuer.key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()
