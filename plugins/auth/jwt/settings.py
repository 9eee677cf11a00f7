"""The configuration of a mount: checked when it is written, shown without its secret."""

from collections.abc import Mapping
from typing import Any

from broker.plugin import BrokerError, Context, InvalidRequest
from broker.plugin.outbound import check_ca, split_url

from . import paths as p
from .keys import ALGORITHMS, keys_from_pem
from .records import FORM_POST, Config
from .remote import Source, Unreachable

PROVIDERS = ("azure", "gsuite", "ibmisam", "kubernetes", "secureauth")
EXACTLY_ONE = (
    "exactly one of 'jwt_validation_pubkeys', 'jwks_url', 'jwks_pairs', 'oidc_discovery_url', "
    "or 'provider_config' must be set"
)


def read(ctx: Context, args: p.WriteConfig, known: Config | None) -> Config:
    """Return the configuration that is to take the place of ``known``. Raises: InvalidRequest, in Vault's words."""
    keep = True if known is None else known.namespace_in_state
    config = Config(
        stamp=ctx.random(16).hex(),
        oidc_discovery_url=args.oidc_discovery_url,
        oidc_discovery_ca_pem=args.oidc_discovery_ca_pem,
        oidc_client_id=args.oidc_client_id,
        oidc_client_secret=args.oidc_client_secret.reveal() if args.oidc_client_secret else "",
        oidc_response_mode=args.oidc_response_mode,
        oidc_response_types=tuple(args.oidc_response_types),
        jwks_url=args.jwks_url,
        jwks_ca_pem=args.jwks_ca_pem,
        jwt_validation_pubkeys=tuple(text.strip() for text in args.jwt_validation_pubkeys),
        jwt_supported_algs=tuple(args.jwt_supported_algs),
        bound_issuer=args.bound_issuer,
        default_role=args.default_role.lower(),
        provider=_provider(args.provider_config),
        override_allowed_server_names=tuple(args.override_allowed_server_names),
        namespace_in_state=keep if args.namespace_in_state is None else args.namespace_in_state,
    )
    _check_source(config)
    _check_client(config)
    for name in config.jwt_supported_algs:
        if name not in ALGORITHMS:
            raise InvalidRequest(f'invalid jwt_supported_algs: unsupported signing algorithm "{name[:32]}"')
    return config


def _check_source(config: Config) -> None:
    given = (config.oidc_discovery_url, config.jwks_url, config.jwt_validation_pubkeys)
    if sum(map(bool, given)) != 1:
        raise InvalidRequest(EXACTLY_ONE)
    if ".well-known" in config.oidc_discovery_url:
        raise InvalidRequest("'oidc_discovery_url' contains '.well-known' component")
    for url in (config.oidc_discovery_url, config.jwks_url):
        if url:
            split_url(url)
    _check_ca("jwks_ca_pem", config.jwks_ca_pem)
    _check_ca("oidc_discovery_ca_pem", config.oidc_discovery_ca_pem)
    keys_from_pem(config.jwt_validation_pubkeys)


def _check_ca(name: str, pem: str) -> None:
    try:
        check_ca(pem)
    except InvalidRequest:
        raise InvalidRequest(f"error checking {name}") from None


def _check_client(config: Config) -> None:
    if bool(config.oidc_client_id) != bool(config.oidc_client_secret):
        raise InvalidRequest("both 'oidc_client_id' and 'oidc_client_secret' must be set for OIDC")
    if config.oidc_client_id and not config.oidc_discovery_url:
        raise InvalidRequest("'oidc_discovery_url' must be set for OIDC")
    if config.oidc_response_mode not in ("", "query", FORM_POST):
        raise InvalidRequest("invalid response_mode: expected 'query' or 'form_post'")
    if not {"code", "id_token"}.issuperset(config.oidc_response_types):
        raise InvalidRequest("invalid response_types: 'code' and 'id_token' are allowed")
    if "id_token" in config.oidc_response_types and config.oidc_response_mode != FORM_POST:
        raise InvalidRequest("query response_mode may not be used with an id_token response_type")


def _provider(given: Mapping[str, Any] | None) -> str:
    if not given:
        return ""
    name = given.get("provider")
    if not isinstance(name, str) or name not in PROVIDERS:
        raise InvalidRequest("invalid provider_config: provider not found in custom providers")
    return name


async def checked(config: Config, *, skip: bool) -> list[str]:
    """Ask the provider for what it must have. Returns warnings. Raises: InvalidRequest, unless told to ``skip`` that."""
    warnings = []
    if config.provider:
        warnings.append(
            f"provider_config has no effect: what is special about {config.provider} is not supported"
        )
    try:
        await Source(config).check()
    except BrokerError as error:
        sentence = (
            f"error checking oidc discovery URL: {error}"
            if config.oidc_discovery_url
            else f"error checking jwks URL: {error}"
        )
        if not skip:
            raise InvalidRequest(sentence) from None
        warnings.append(sentence)
    return warnings


async def shown(config: Config, source: Source) -> tuple[dict[str, Any], list[str]]:
    """Return the configuration as a read answers it, without the client's secret; and warnings."""
    warnings = []
    if config.oidc_discovery_url:
        try:
            await source.provider()
        except Unreachable as error:
            warnings.append(f"failed to construct JWK validator: {error}")
    return {
        "bound_issuer": config.bound_issuer,
        "default_role": config.default_role,
        "jwks_ca_pem": config.jwks_ca_pem,
        "jwks_url": config.jwks_url,
        "jwt_supported_algs": list(config.jwt_supported_algs),
        "jwt_validation_pubkeys": list(config.jwt_validation_pubkeys),
        "namespace_in_state": config.namespace_in_state,
        "oidc_client_id": config.oidc_client_id,
        "oidc_discovery_ca_pem": config.oidc_discovery_ca_pem,
        "oidc_discovery_url": config.oidc_discovery_url,
        "oidc_response_mode": config.oidc_response_mode,
        "oidc_response_types": list(config.oidc_response_types),
        "override_allowed_server_names": list(config.override_allowed_server_names),
        "provider_config": {"provider": config.provider} if config.provider else {},
        "status": "invalid" if warnings else "valid",
    }, warnings
