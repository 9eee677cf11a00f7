"""What ``auth/jwt`` and ``auth/oidc`` take. Source: Vault's JWT/OIDC auth API documentation."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from broker.plugin import Field, Json, Secret, TokenParams
from broker.plugin.tokenparams import (
    OldBoundCidrs,
    OldMaxTtl,
    OldNumUses,
    OldPeriod,
    OldPolicies,
    OldTtl,
)

MAX_LIST = 100
MAX_TEXT = 1 << 16
Leeway = Annotated[timedelta | None, Field("Leeway in seconds; 0 for the default, below 0 for none.")]
State = Annotated[str, Field("The state that the login began with.", max_length=1024)]
ClientNonce = Annotated[Secret[str] | None, Field("The secret of the client that began.", max_length=512)]


@dataclass(frozen=True, slots=True)
class WriteConfig:
    oidc_discovery_url: Annotated[str, Field("The provider's issuer URL, without /.well-known/...")] = ""
    oidc_discovery_ca_pem: Annotated[str, Field("CA of the provider.", max_length=MAX_TEXT)] = ""
    oidc_client_id: Annotated[str, Field("This mount's name at the provider.", max_length=1024)] = ""
    oidc_client_secret: Annotated[
        Secret[str] | None, Field("This mount's secret at the provider.", max_length=4096)
    ] = None
    oidc_response_mode: Annotated[str, Field("query or form_post.")] = ""
    oidc_response_types: Annotated[list[str], Field("code, id_token, or both.")] = ()  # type: ignore[assignment]
    jwks_url: Annotated[str, Field("Where the provider publishes its keys.")] = ""
    jwks_ca_pem: Annotated[str, Field("CA of the server of jwks_url.", max_length=MAX_TEXT)] = ""
    jwt_validation_pubkeys: Annotated[
        list[str], Field("Public keys as PEM, in place of a URL.", max_length=MAX_LIST)
    ] = ()  # type: ignore[assignment]
    jwt_supported_algs: Annotated[
        list[str], Field("Algorithms that tokens may be signed with; all asymmetric ones if empty.")
    ] = ()  # type: ignore[assignment]
    bound_issuer: Annotated[str, Field("What the iss claim must be.", max_length=2048)] = ""
    default_role: Annotated[str, Field("Role of logins that name none.", max_length=256)] = ""
    provider_config: Annotated[dict[str, Json] | None, Field("Provider's specialties; have no effect.")] = (
        None
    )
    override_allowed_server_names: Annotated[
        list[str], Field("Names to accept in the provider's certificate.", max_length=16)
    ] = ()  # type: ignore[assignment]
    namespace_in_state: Annotated[bool | None, Field("Carry the namespace in state, not in the URI.")] = None
    skip_jwks_validation: Annotated[bool, Field("Warn, rather than refuse, if no keys can be had.")] = False


RoleName = Annotated[str, Field("Name of the role; upper and lower case are the same.", max_length=256)]


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRole(TokenParams):
    name: RoleName
    role_type: Annotated[str, Field("jwt, or oidc (the default).")] = ""
    user_claim: Annotated[str | None, Field("The claim that names the user.", max_length=512)] = None
    user_claim_json_pointer: Annotated[bool | None, Field("Whether user_claim is a JSON pointer.")] = None
    bound_audiences: Annotated[list[str] | None, Field("aud must be one of these.", max_length=MAX_LIST)] = (
        None
    )
    bound_subject: Annotated[str | None, Field("sub must be this.", max_length=2048)] = None
    bound_claims: Annotated[
        dict[str, Json] | None, Field("Claims and the values they must have.", max_length=MAX_LIST)
    ] = None
    bound_claims_type: Annotated[str, Field("How values are compared: string or glob.")] = "string"
    claim_mappings: Annotated[
        dict[str, str] | None, Field("Claims and the metadata they become.", max_length=MAX_LIST)
    ] = None
    groups_claim: Annotated[str | None, Field("The claim that names the groups.", max_length=512)] = None
    expiration_leeway: Leeway = None
    not_before_leeway: Leeway = None
    clock_skew_leeway: Leeway = None
    oidc_scopes: Annotated[list[str] | None, Field("Scopes besides openid.", max_length=MAX_LIST)] = None
    allowed_redirect_uris: Annotated[
        list[str] | None, Field("Where the provider may send people back to.", max_length=MAX_LIST)
    ] = None
    oauth2_metadata: Annotated[
        list[str] | None, Field("Of access_token, id_token, refresh_token: what to keep as metadata.")
    ] = None
    callback_mode: Annotated[str, Field("client, direct or device.")] = "client"
    oidc_disable_confirmation: Annotated[bool | None, Field("Do not ask before a direct callback.")] = None
    poll_interval: Annotated[int | None, Field("Seconds between polls.", minimum=0, maximum=600)] = None
    max_age: Annotated[
        timedelta | None, Field("How long ago the user may have authenticated.", minimum=0)
    ] = None
    verbose_oidc_logging: Annotated[bool | None, Field("Has no effect: tokens are never logged.")] = None
    token_policies_template_claims: Annotated[
        bool | None, Field("Whether token_policies hold {{.claim}} to fill in.")
    ] = None
    policies: OldPolicies = None
    ttl: OldTtl = None
    max_ttl: OldMaxTtl = None
    period: OldPeriod = None
    num_uses: OldNumUses = None
    bound_cidrs: OldBoundCidrs = None


@dataclass(frozen=True, slots=True)
class OneRole:
    name: RoleName


@dataclass(frozen=True, slots=True)
class LogIn:
    role: Annotated[str, Field("The role to log in with; the mount's default_role if left out.")] = ""
    jwt: Annotated[Secret[str] | None, Field("The signed token.")] = None


@dataclass(frozen=True, slots=True)
class AuthUrl:
    role: Annotated[str, Field("The role to log in with; the mount's default_role if left out.")] = ""
    redirect_uri: Annotated[str, Field("Where the provider is to send the answer.", max_length=4096)] = ""
    client_nonce: ClientNonce = None


@dataclass(frozen=True, slots=True)
class Callback:
    state: State = ""
    code: Annotated[Secret[str] | None, Field("The provider's code.", max_length=8192)] = None
    id_token: Annotated[
        Secret[str] | None, Field("The provider's token, if it sends one here.", max_length=65536)
    ] = None
    client_nonce: ClientNonce = None
    error: Annotated[str, Field("The provider's word for what went wrong.")] = ""
    error_description: Annotated[str, Field("The provider's sentence; never shown.")] = ""
    error_uri: Annotated[str, Field("The provider's page; never shown.")] = ""
    confirmation: Annotated[str, Field("Given once the user has confirmed.")] = ""
    rest: Annotated[dict[str, Json], Field("What else a provider sends.", rest=True)] = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Poll:
    state: State = ""
    client_nonce: ClientNonce = None
