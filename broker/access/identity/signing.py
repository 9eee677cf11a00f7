"""Keys that sign identity tokens, and the JSON Web Keys that others check them with.

Source: RFC 7515 (JWS), RFC 7517 (JWK), RFC 7518 (RS and ES algorithms), RFC 8037 (EdDSA); all through PyJWT and cryptography.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

RSA_BITS: Final = 2048
_CURVES: Final[dict[str, type[ec.EllipticCurve]]] = {
    "ES256": ec.SECP256R1,
    "ES384": ec.SECP384R1,
    "ES512": ec.SECP521R1,
}
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA")

Private: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class BadToken(Exception):
    """A token that is not to be believed; the text says why, and never quotes it."""


def new_private_key(algorithm: str) -> str:
    """Make a key for one of ``ALGORITHMS``. Returns it as PKCS#8 in PEM. Slow for RSA: call it in a thread."""
    private: Private
    if algorithm == "EdDSA":
        private = ed25519.Ed25519PrivateKey.generate()
    elif algorithm in _CURVES:
        private = ec.generate_private_key(_CURVES[algorithm]())
    else:
        private = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def public_jwk(private: str, *, kid: str, algorithm: str) -> dict[str, str]:
    """Return the public half of a key as others are told it: ``{"use": "sig", "kty": ..., "kid": ..., "alg": ...}``."""
    loaded: Any = serialization.load_pem_private_key(private.encode(), None)
    known = get_default_algorithms()[algorithm]
    shape = known.to_jwk(loaded.public_key(), as_dict=True)
    kept = {name: str(value) for name, value in shape.items() if name in ("kty", "crv", "x", "y", "n", "e")}
    return {"use": "sig", **kept, "kid": kid, "alg": algorithm}


def sign(claims: Mapping[str, Any], private: str, *, kid: str, algorithm: str) -> str:
    """Return ``claims`` as a signed token in compact form."""
    # An empty type leaves the header at what it must have, as the field's servers send it.
    return jwt.encode(dict(claims), private, algorithm=algorithm, headers={"kid": kid, "typ": ""})


def key_id(token: str) -> str:
    """Return the id of the key that a token says it is signed with. Raises: BadToken if it is no token."""
    try:
        return str(jwt.get_unverified_header(token).get("kid", ""))
    except jwt.PyJWTError:
        raise BadToken("error parsing token") from None


def verify(
    token: str, jwk: Mapping[str, str], *, issuer: str, audience: str | None, now: float
) -> dict[str, Any]:
    """Return the claims of a token signed with ``jwk``. Raises: BadToken.

    Only the key's own algorithm is accepted, whatever the token's header says. ``audience`` ``None`` is not asked for.
    """
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            jwt.PyJWK(dict(jwk), jwk["alg"]),
            algorithms=[jwk["alg"]],
            issuer=issuer,
            audience=audience,
            options={
                "require": ["exp", "iat", "iss", "sub", "aud"],
                "verify_aud": audience is not None,
                "verify_exp": False,  # judged by the clock we are given
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except jwt.InvalidSignatureError:
        raise BadToken("unable to validate the token signature") from None
    except jwt.PyJWTError as error:
        raise BadToken(f"error validating claims: {_WHY.get(type(error), 'invalid token')}") from None
    if not isinstance(claims["exp"], int) or claims["exp"] <= now:
        raise BadToken("error validating claims: token is expired (exp)")
    return claims


_WHY: Final[dict[type[jwt.PyJWTError], str]] = {
    jwt.InvalidIssuerError: "invalid issuer claim (iss)",
    jwt.InvalidAudienceError: "invalid audience claim (aud)",
    jwt.MissingRequiredClaimError: "a claim is missing",
}
