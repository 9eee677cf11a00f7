"""The configuration: what may be written, and how it is shown."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import msgspec

from broker.plugin import InvalidRequest, Secret, TokenParams

from . import filters
from .arguments import TLS_VERSIONS, WriteConfig
from .records import SECRET_FIELDS, LdapConfig
from .tls import context_of

USER_NAMES = ("UserAttr", "Username")
GROUP_NAMES = ("UserDN", "Username")
COLLIDING = (
    "userfilter configured does not consider userattr and may result in colliding entity aliases on logins"
)
_TOKEN_FIELDS = {field.name for field in fields(TokenParams)}
_OWN_FIELDS = [field.name for field in fields(WriteConfig) if field.name not in _TOKEN_FIELDS]
_LOWERED = frozenset(("url", "userattr"))


@dataclass(frozen=True, slots=True)
class Address:
    """Where a directory listens."""

    host: str
    port: int
    tls: bool


def addresses(url: str) -> Iterator[Address]:
    """Return where the directories listen, in order. Raises: InvalidRequest."""
    for one in url.split(","):
        parts = urlsplit(one.strip())
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if parts.scheme not in ("ldap", "ldaps") or not host:
            raise InvalidRequest('field "url": expected ldap://host[:port] or ldaps://host[:port]')
        if parts.username or parts.password or parts.query or parts.path.strip("/"):
            raise InvalidRequest('field "url": expected nothing but a host and a port behind the scheme')
        tls = parts.scheme == "ldaps"
        yield Address(host, port or (636 if tls else 389), tls)


def changed(known: LdapConfig, args: WriteConfig) -> LdapConfig:
    """Return the configuration with what is given put in. Raises: InvalidRequest."""
    given: dict[str, Any] = {}
    for name in _OWN_FIELDS:
        value = getattr(args, name)
        if isinstance(value, Secret):
            value = value.reveal()
        if isinstance(value, timedelta):
            value = int(value.total_seconds())
        if value is not None:
            given[name] = value.lower() if name in _LOWERED else value
    new = msgspec.structs.replace(known, **given, tokens=known.tokens.changed(args))
    _check(new)
    return new


def _check(config: LdapConfig) -> None:
    list(addresses(config.url))
    for name, template, names in (
        ("userfilter", config.userfilter, USER_NAMES),
        ("groupfilter", config.groupfilter, GROUP_NAMES),
    ):
        try:
            if template:
                filters.encoded(filters.rendered(template, dict.fromkeys(names, "x")))
        except filters.BadFilter as error:
            raise InvalidRequest(f"invalid {name}: {error}") from None
    for version in ("tls_min_version", "tls_max_version"):
        if getattr(config, version) not in TLS_VERSIONS:
            raise InvalidRequest(f"invalid '{version}'")
    if config.tls_max_version < config.tls_min_version:
        raise InvalidRequest("'tls_max_version' must be greater than or equal to 'tls_min_version'")
    if config.tls_max_version < "tls12":
        raise InvalidRequest("invalid 'tls_max_version': TLS below 1.2 is not spoken")
    if bool(config.client_tls_cert) != bool(config.client_tls_key):
        raise InvalidRequest("both client_tls_cert and client_tls_key must be set")
    try:
        context_of(config)
    except (ssl.SSLError, ValueError):
        what = "client_tls_cert, client_tls_key or certificate" if config.client_tls_cert else "certificate"
        raise InvalidRequest(f"failed to parse {what}: expected PEM") from None


def colliding(config: LdapConfig) -> bool:
    """Tell whether the user filter finds people by something else than the attribute that names their entities."""
    return bool(config.userfilter) and not (
        "{{.UserAttr}}" in config.userfilter or config.userattr in config.userfilter
    )


def shown(config: LdapConfig) -> dict[str, Any]:
    """Return the configuration as a read answers it, without anything secret."""
    about = {name: getattr(config, name) for name in _OWN_FIELDS if name not in SECRET_FIELDS}
    if not config.nested_groups:
        del about["nested_groups"]
    return {**about, **config.tokens.shown()}
