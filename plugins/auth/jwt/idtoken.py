"""The token that a provider vouches with for whoever logged in at its page.

Source: OpenID Connect Core 1.0, sections 3.1.3.7 (ID token validation) and 3.1.3.8 (access token hash).
"""

import base64
import hashlib
import hmac
from collections.abc import Collection, Mapping
from typing import Any

from broker.plugin import InvalidRequest

from .remote import Source
from .token import BadToken, Expected, audiences, check_claims, parse

NOT_VERIFIED = "Token verification failed."
AUTH_TIME_LEEWAY = 60
_HASHES = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512}


class NotVerified(InvalidRequest):
    """The provider's token does not prove what it should; says which part."""

    def __init__(self, why: str) -> None:
        super().__init__(f"{NOT_VERIFIED} {why}")


async def verify(
    source: Source,
    text: str,
    *,
    nonce: str,
    accepted: Collection[str],
    access_token: str = "",
    max_age: int = 0,
    now: float,
) -> dict[str, Any]:
    """Return the claims of an ID token. ``accepted`` are audiences besides our client, if the role names any.

    An empty ``nonce`` is for flows that have none (RFC 8628). Raises: NotVerified; Unreachable.
    """
    config = source.config
    claims = await _signed(source, text)
    provider = await source.provider()
    try:
        check_claims(
            claims, Expected(issuer=provider.issuer, audiences=accepted or (config.oidc_client_id,)), now
        )
        named = audiences(claims)
    except InvalidRequest as error:
        raise NotVerified(str(error)) from None
    party = claims.get("azp")
    if (party is not None or len(named) > 1) and party != config.oidc_client_id:
        raise NotVerified("it was made for another party")
    if "exp" not in claims or "iat" not in claims or not isinstance(claims.get("sub"), str):
        raise NotVerified("exp, iat or sub is missing")
    if nonce and not _equal(claims.get("nonce"), nonce):
        raise NotVerified("invalid ID token nonce")
    if access_token and "at_hash" in claims and not _hash_fits(text, claims["at_hash"], access_token):
        raise NotVerified("it belongs to another access token")
    if max_age:
        when = claims.get("auth_time")
        if (
            isinstance(when, bool)
            or not isinstance(when, int | float)
            or when + max_age + AUTH_TIME_LEEWAY < now
        ):
            raise NotVerified("the user authenticated too long ago")
    return claims


async def _signed(source: Source, text: str) -> dict[str, Any]:
    try:
        return await source.claims(text, source.config.jwt_supported_algs or ("RS256",))
    except BadToken:
        raise NotVerified("its signature is not the provider's") from None


def _hash_fits(text: str, claimed: Any, access_token: str) -> bool:
    """Compare ``at_hash``: the left half of the access token's hash, by the token's own algorithm."""
    algorithm = parse(text).algorithm
    digest = (hashlib.sha512 if algorithm == "EdDSA" else _HASHES[algorithm[-3:]])(
        access_token.encode()
    ).digest()
    half = base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
    return _equal(claimed, half)


def _equal(claimed: Any, wanted: str) -> bool:
    return isinstance(claimed, str) and hmac.compare_digest(
        claimed.encode("utf-8", "replace"), wanted.encode()
    )


def merged(claims: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """Add what the provider tells of the user besides; what the signed token says of itself stays."""
    protected = (
        "iss",
        "sub",
        "aud",
        "azp",
        "exp",
        "iat",
        "nbf",
        "nonce",
        "auth_time",
        "at_hash",
        "amr",
        "acr",
    )
    more = {name: value for name, value in told.items() if name not in protected}
    return {**claims, **more}
