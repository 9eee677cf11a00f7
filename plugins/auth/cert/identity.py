"""What a client's certificate says of its holder, and whether that is what a role asks for."""

from collections.abc import Callable, Iterable

from cryptography import x509
from cryptography.x509.oid import NameOID

from broker.plugin.names import glob

from . import patterns
from .profile import alternative_names, extension, sole_common_name
from .records import Names, Role

Matcher = Callable[[str, str], bool]
_TEXT_TAGS = {0x0C: "utf-8", 0x12: "ascii", 0x13: "ascii", 0x14: "latin-1", 0x16: "ascii", 0x1E: "utf-16-be"}
"""ASN.1's kinds of text: UTF8String, NumericString, PrintableString, T61String, IA5String, BMPString."""


class Identity:
    """The names in one certificate, read once."""

    def __init__(self, certificate: x509.Certificate) -> None:
        self.certificate = certificate
        self.common_name = sole_common_name(certificate)
        units = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
        self.units = [unit.value for unit in units if isinstance(unit.value, str)]
        self.hosts: list[str] = []
        self.mails: list[str] = []
        self.uris: list[str] = []
        for name in alternative_names(certificate):
            if isinstance(name, x509.DNSName):
                self.hosts.append(name.value)
            elif isinstance(name, x509.RFC822Name):
                self.mails.append(name.value)
            elif isinstance(name, x509.UniformResourceIdentifier):
                self.uris.append(name.value)
        if len(self.uris) > 1 and any(uri.lower().startswith("spiffe:") for uri in self.uris):
            self.uris = []  # a SPIFFE identity stands alone: with two there is no telling whose this is
        self.extensions = {
            extension.oid.dotted_string: _text_of(extension.value) for extension in certificate.extensions
        }

    def satisfies(self, role: Role) -> bool:
        """Tell whether the certificate says all that a role asks for."""
        return (
            self._any_name(role.allowed_names)
            and _any(role.allowed_common_names, [self.common_name], patterns.matches_text)
            and _any(role.allowed_dns_sans, self.hosts, patterns.matches_host)
            and _any(role.allowed_email_sans, self.mails, patterns.matches_mail)
            and _any(role.allowed_uri_sans, self.uris, patterns.matches_uri)
            and _any(role.allowed_organizational_units, self.units, patterns.matches_text)
            and all(self._has(wanted) for wanted in role.required_extensions or ())
        )

    def _any_name(self, allowed: Names) -> bool:
        return (
            _any(allowed, [self.common_name], patterns.matches_text)
            or _any(allowed, self.hosts, patterns.matches_host)
            or _any(allowed, self.mails, patterns.matches_mail)
        )

    def _has(self, wanted: str) -> bool:
        oid, _, pattern = wanted.partition(":")
        return oid in self.extensions and glob(pattern, self.extensions[oid])

    def alias(self, role: Role) -> str:
        """Return the name that the login goes by: the common name, or the one alternative name that the role's patterns match.

        Empty where there is none, or more than one to choose from.
        """
        sources: dict[str, tuple[Iterable[str], Names, Matcher]] = {
            "dns_san": (map(str.lower, self.hosts), role.allowed_dns_sans, patterns.matches_host),
            "email_san": (self.mails, role.allowed_email_sans, patterns.matches_mail),
            "uri_san": (self.uris, role.allowed_uri_sans, patterns.matches_uri),
        }
        if role.alias_name_source not in sources:
            return self.common_name
        names, allowed, matches = sources[role.alias_name_source]
        good = {name for name in names if any(matches(pattern, name) for pattern in allowed or ())}
        return good.pop() if len(good) == 1 else ""

    def metadata(self, role: Role) -> dict[str, str]:
        """Return what a token's metadata says of the certificate."""
        about = {
            "cert_name": role.name,
            "common_name": self.common_name,
            "serial_number": str(self.certificate.serial_number),
            "subject_key_id": _key_id(self.certificate, x509.SubjectKeyIdentifier),
            "authority_key_id": _key_id(self.certificate, x509.AuthorityKeyIdentifier),
        }
        for oid in role.allowed_metadata_extensions or ():
            if oid in self.extensions:
                about[oid.replace(".", "-")] = self.extensions[oid]
        return about


def _any(allowed: Names, names: list[str], matches: Matcher) -> bool:
    """Tell whether a pattern matches a name; where no pattern is given, nothing is asked."""
    return not allowed or any(matches(pattern, name) for pattern in allowed for name in names)


def _key_id(certificate: x509.Certificate, kind: type[x509.ExtensionType]) -> str:
    found = extension(certificate, kind)
    if isinstance(found, x509.AuthorityKeyIdentifier):
        return (found.key_identifier or b"").hex(":")
    return found.digest.hex(":") if isinstance(found, x509.SubjectKeyIdentifier) else ""


def _text_of(value: x509.ExtensionType) -> str:
    """Return an extension's value where it is one ASN.1 text, else nothing. (DER: tag, length, bytes.)"""
    if not isinstance(value, x509.UnrecognizedExtension):
        return ""  # none of those that X.509 itself defines is a text
    try:
        der = value.value
        tag, size, start = der[0], der[1], 2
        if size & 0x80:
            count = size & 0x7F
            size, start = int.from_bytes(der[2 : 2 + count], "big"), 2 + count
        if tag not in _TEXT_TAGS or len(der) != start + size:
            return ""
        return der[start:].decode(_TEXT_TAGS[tag])
    except (IndexError, ValueError):
        return ""
