"""Roles: writing them, showing them, and the way from a certificate to the roles that trust it."""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

from cryptography import x509

from broker.plugin import InvalidRequest, TokenSettings, UnsupportedPath, View
from broker.plugin.outbound import split_url

from .bundle import read_bundle, read_pem
from .paths import WriteRole
from .patterns import check_patterns
from .records import AUTHORITIES, LEAVES, Mark, Role, fingerprint, name_hash, role_path

_NAME = re.compile(r"\w(?:[\w.-]*\w)?", re.ASCII)
_OID = re.compile(r"[0-2](\.\d{1,39}){1,63}", re.ASCII)
LISTS = (
    "allowed_names",
    "allowed_common_names",
    "allowed_dns_sans",
    "allowed_email_sans",
    "allowed_uri_sans",
    "allowed_organizational_units",
    "required_extensions",
    "allowed_metadata_extensions",
    "ocsp_servers_override",
)
PLAIN = (
    "certificate",
    "display_name",
    "alias_name_source",
    "ocsp_enabled",
    "ocsp_ca_certificates",
    "ocsp_fail_open",
    "ocsp_query_all_servers",
)


def canonical(name: str) -> str:
    """Return a role's or list's name as it is stored. Raises: UnsupportedPath for one that no path has."""
    if not is_name(name):
        raise UnsupportedPath
    return name.lower()


def is_name(name: str) -> bool:
    """Tell whether a role or list may be called so."""
    return _NAME.fullmatch(name) is not None


def changed(known: Role | None, name: str, args: WriteRole) -> Role:
    """Return a role with what was given put in. Raises: InvalidRequest, and nothing is stored."""
    before = known or Role(name=name, certificate="", tokens=TokenSettings())
    given: dict[str, Any] = {
        field: getattr(args, field) for field in PLAIN if getattr(args, field) is not None
    }
    for field in LISTS:
        items = getattr(args, field)
        if items is not None:
            _check_list(field, items)
            given[field] = tuple(items)
    role = _replaced(before, given | {"tokens": _tokens(before, args)})
    role = _replaced(role, {"display_name": role.display_name or name})
    read_bundle(role.certificate)
    if role.ocsp_ca_certificates:
        read_pem(role.ocsp_ca_certificates)
    _check_alias_source(role)
    return role


def _replaced(role: Role, given: Mapping[str, Any]) -> Role:
    fields = {field: getattr(role, field) for field in role.__struct_fields__}
    return Role(**{**fields, **given})


def _tokens(before: Role, args: WriteRole) -> TokenSettings:
    if args.lease is not None and args.ttl is None and args.token_ttl is None:
        args = dataclasses.replace(args, ttl=args.lease)
    return before.tokens.changed(args)


def _check_list(field: str, items: list[str]) -> None:
    if any(len(item) > 1024 or not item.isprintable() for item in items):
        raise InvalidRequest(f"{field}: expected printable texts of up to 1024 characters")
    check_patterns(field, items)
    if field == "required_extensions":
        for item in items:
            oid, colon, _ = item.partition(":")
            if not colon or not _OID.fullmatch(oid):
                raise InvalidRequest(f"{field}: expected OID:PATTERN, such as 1.2.3.4:web*")
    if field == "allowed_metadata_extensions" and not all(_OID.fullmatch(item) for item in items):
        raise InvalidRequest(f"{field}: expected OIDs, such as 1.2.3.4")
    if field == "ocsp_servers_override":
        for item in items:
            split_url(item)


def _check_alias_source(role: Role) -> None:
    patterns = {
        "dns_san": role.allowed_dns_sans,
        "email_san": role.allowed_email_sans,
        "uri_san": role.allowed_uri_sans,
    }
    if not patterns.get(role.alias_name_source, ("",)):
        raise InvalidRequest(
            f'alias_name_source "{role.alias_name_source}" needs allowed_{role.alias_name_source}s'
        )


def beyond(tokens: TokenSettings, *, default: float, longest: float) -> Iterator[str]:
    """Yield a warning for each time (seconds) that the mount will cut short. ``longest`` zero is no limit."""
    limit = "is greater than current mount/system default of"
    if tokens.ttl > default:
        yield f"Given ttl of {int(tokens.ttl)} seconds {limit} {int(default)} seconds"
    if longest and tokens.max_ttl > longest:
        yield f"Given max_ttl of {int(tokens.max_ttl)} seconds {limit} {int(longest)} seconds"
    if longest and tokens.period > longest:
        most = f"the backend's maximum TTL of {int(longest)} seconds"
        yield f"Given period of {int(tokens.period)} seconds is greater than {most}"


def shown(role: Role) -> dict[str, Any]:
    """Return what a read answers."""
    about: dict[str, Any] = {field: getattr(role, field) for field in PLAIN}
    if role.alias_name_source == "common_name":
        del about["alias_name_source"]  # Vault's clients do not know it, and nothing was asked for
    for field in LISTS:
        items = getattr(role, field)
        about[field] = None if items is None else list(items)
    old = role.tokens.shown()
    return about | {name: value for name, value in old.items() if name.startswith("token_") or value}


def save(storage: View, before: Role | None, role: Role) -> None:
    """Store a role, and where its certificates lead."""
    if before is not None and before.certificate != role.certificate:
        forget(storage, before)
    for path in _marks(role):
        storage.save(path, Mark())
    storage.save(role_path(role.name), role)


def forget(storage: View, role: Role) -> None:
    """Delete a role and the ways to it."""
    for path in _marks(role):
        storage.delete(path)
    storage.delete(role_path(role.name))


async def discard(storage: View, name: str) -> None:
    """Delete a role that does not open. The ways to it, which it does not tell any more, are looked for."""
    await storage.discard(role_path(name))
    for folder, depth in ((LEAVES, 1), (AUTHORITIES, 2)):
        for path in await storage.scan(folder):
            if path.split("/", depth)[depth] == name:
                storage.delete(folder + path)


def _marks(role: Role) -> Iterator[str]:
    bundle = read_bundle(role.certificate)
    for certificate in bundle.pinned:
        yield f"{LEAVES}{fingerprint(certificate)}/{role.name}"
    for certificate in bundle.authorities:
        yield f"{AUTHORITIES}{name_hash(certificate.subject)}/{fingerprint(certificate)}/{role.name}"


async def load(storage: View, name: str) -> Role | None:
    """Return a role by its stored name."""
    return await storage.load(role_path(name), Role)


async def pinning(storage: View, leaf: x509.Certificate) -> list[str]:
    """Return the names of the roles that trust this very certificate."""
    return list(await storage.list(f"{LEAVES}{fingerprint(leaf)}/"))


async def authorities(storage: View, subject: x509.Name) -> list[str]:
    """Return the fingerprints of the trusted authorities of a name."""
    found = await storage.list(f"{AUTHORITIES}{name_hash(subject)}/")
    return [folder.rstrip("/") for folder in found]


async def trusting(storage: View, subject: x509.Name, print_: str) -> list[str]:
    """Return the names of the roles that trust an authority."""
    return list(await storage.list(f"{AUTHORITIES}{name_hash(subject)}/{print_}/"))
