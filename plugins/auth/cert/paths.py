"""What ``auth/cert`` takes. Source: Vault's cert auth API documentation."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from broker.plugin import Field, TokenParams
from broker.plugin.tokenparams import OldBoundCidrs, OldMaxTtl, OldPeriod, OldPolicies, OldTtl

from .bundle import MAX_PEM

MAX_LIST = 256
MAX_CRL = 8 * 1024 * 1024
ALIAS_SOURCES = ("common_name", "dns_san", "email_san", "uri_san")

Name = Annotated[str, Field("Name of the role; case does not count.", max_length=256)]
CrlName = Annotated[str, Field("Name of the revocation list; case does not count.", max_length=256)]


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRole(TokenParams):
    name: Name
    certificate: Annotated[
        str | None,
        Field("The trusted authority, or the one client's certificate, as PEM.", max_length=MAX_PEM),
    ] = None
    display_name: Annotated[str | None, Field("Shown in audit; the name if left out.", max_length=256)] = None
    allowed_names: Annotated[
        list[str] | None,
        Field(
            "One must match the common name, a DNS or an e-mail name.", max_length=MAX_LIST, deprecated=True
        ),
    ] = None
    allowed_common_names: Annotated[
        list[str] | None, Field("One must match the common name.", max_length=MAX_LIST)
    ] = None
    allowed_dns_sans: Annotated[
        list[str] | None, Field("One must match a DNS name; * stands within one label.", max_length=MAX_LIST)
    ] = None
    allowed_email_sans: Annotated[
        list[str] | None, Field("One must match an e-mail name.", max_length=MAX_LIST)
    ] = None
    allowed_uri_sans: Annotated[
        list[str] | None,
        Field("One must match a URI, as of SPIFFE; * stands within one segment.", max_length=MAX_LIST),
    ] = None
    allowed_organizational_units: Annotated[
        list[str] | None, Field("One must match an organizational unit.", max_length=MAX_LIST)
    ] = None
    required_extensions: Annotated[
        list[str] | None, Field("OID:PATTERN; all must match an extension's text.", max_length=MAX_LIST)
    ] = None
    allowed_metadata_extensions: Annotated[
        list[str] | None, Field("OIDs whose text goes into the token's metadata.", max_length=MAX_LIST)
    ] = None
    alias_name_source: Annotated[
        str | None,
        Field("What the entity's alias is: the common name, or the SAN that matched.", choices=ALIAS_SOURCES),
    ] = None
    ocsp_enabled: Annotated[bool | None, Field("Whether to ask an OCSP responder about the certificate.")] = (
        None
    )
    ocsp_ca_certificates: Annotated[
        str | None, Field("Further certificates that OCSP answers may be signed by, PEM.", max_length=MAX_PEM)
    ] = None
    ocsp_servers_override: Annotated[
        list[str] | None, Field("Responders to ask instead of the certificate's.", max_length=16)
    ] = None
    ocsp_fail_open: Annotated[bool | None, Field("Whether a login goes on if no responder answers.")] = None
    ocsp_query_all_servers: Annotated[bool | None, Field("Whether all responders must agree.")] = None
    policies: OldPolicies = None
    ttl: OldTtl = None
    lease: Annotated[timedelta | None, Field("Oldest name of token_ttl.", minimum=0, deprecated=True)] = None
    max_ttl: OldMaxTtl = None
    period: OldPeriod = None
    bound_cidrs: OldBoundCidrs = None


@dataclass(frozen=True, slots=True)
class NamedRole:
    name: Name


@dataclass(frozen=True, slots=True)
class WriteCrl:
    name: CrlName
    crl: Annotated[str | None, Field("The revocation list, as PEM.", max_length=MAX_CRL)] = None
    url: Annotated[str | None, Field("Where to fetch it, now and whenever it is due.", max_length=2048)] = (
        None
    )


@dataclass(frozen=True, slots=True)
class NamedCrl:
    name: CrlName


@dataclass(frozen=True, slots=True)
class WriteConfig:
    disable_binding: Annotated[
        bool | None, Field("Renew tokens without the certificate that they were given for.")
    ] = None
    enable_identity_alias_metadata: Annotated[
        bool | None, Field("Keep the certificate's metadata with the alias too.")
    ] = None
    ocsp_cache_size: Annotated[int | None, Field("How many OCSP answers to keep in memory.")] = None
    role_cache_size: Annotated[int | None, Field("Kept for Vault's clients; roles are cached anyway.")] = None
    enable_metadata_on_failures: Annotated[
        bool | None, Field("Only false: a failed login tells nothing of the certificate.")
    ] = None


@dataclass(frozen=True, slots=True)
class LogIn:
    name: Annotated[str, Field("Log in with this role only.", max_length=256)] = ""
