"""What a service account's token says of itself, before and besides what the cluster says of it.

Without ``pem_keys`` nothing here is proof: the claims only tell whether it is worth asking the cluster, and the cluster's
answer must agree with them. Sources: RFC 7519; Kubernetes, "Managing Service Accounts".
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from broker.plugin import InvalidRequest, PermissionDenied

RSA_ALGORITHMS = ("RS256", "RS384", "RS512")
CURVE_ALGORITHMS = {"secp256r1": ("ES256",), "secp384r1": ("ES384",), "secp521r1": ("ES512",)}
ALGORITHMS = frozenset((*RSA_ALGORITHMS, "ES256", "ES384", "ES512"))
LEEWAY_SECONDS = 60
MAX_AUDIENCES = 64
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_UID = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)
_FLAT = "kubernetes.io/serviceaccount/"


@dataclass(frozen=True, slots=True)
class Account:
    """A service account as a token names it."""

    name: str
    namespace: str
    uid: str
    secret_name: str
    audiences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Key:
    """A public key that may sign tokens, and the algorithms it may do that with."""

    key: Any
    algorithms: tuple[str, ...]


def read_keys(pems: Sequence[str]) -> tuple[Key, ...]:
    """Read public keys, from certificates too. Raises: InvalidRequest."""
    return tuple(_read_key(pem) for pem in pems)


@lru_cache(maxsize=256)
def _read_key(pem: str) -> Key:
    try:
        if "BEGIN CERTIFICATE" in pem:
            public: Any = x509.load_pem_x509_certificate(pem.encode()).public_key()
        else:
            public = serialization.load_pem_public_key(pem.encode())
    except Exception:  # whatever is wrong with it
        raise InvalidRequest("pem_keys: data does not contain any valid public keys") from None
    if isinstance(public, rsa.RSAPublicKey) and 2048 <= public.key_size <= 8192:
        return Key(public, RSA_ALGORITHMS)
    if isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in CURVE_ALGORITHMS:
        return Key(public, CURVE_ALGORITHMS[public.curve.name])
    raise InvalidRequest("pem_keys: expected RSA keys of 2048 to 8192 bits, or keys on P-256, P-384 or P-521")


def read_token(token: str, keys: Sequence[Key], *, issuer: str, audience: str, now: float) -> Account:
    """Check what can be checked here. ``issuer`` and ``audience`` empty take any; ``now`` in Unix seconds.

    Raises: PermissionDenied, in Vault's words.
    """
    claims = _claims(token, keys)
    if issuer and claims.get("iss") != issuer:
        raise PermissionDenied("invalid issuer (iss) claim")
    audiences = _audiences(claims)
    if audience and audience not in audiences:
        raise PermissionDenied(
            "invalid audience (aud) claim: audience claim does not match any expected audience"
        )
    _check_times(claims, now)
    return _account(claims, audiences)


def _claims(token: str, keys: Sequence[Key]) -> Mapping[str, Any]:
    """Return the claims, of a good signature where there are keys to tell. Header and claims are strict JSON."""
    try:
        header = jwt.get_unverified_header(token)
        if header.get("alg") not in ALGORITHMS or "crit" in header or "b64" in header:
            raise PermissionDenied
        claims = _verified(token, keys, header["alg"]) if keys else _unverified(token)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise PermissionDenied from None
    if not isinstance(claims, dict):
        raise PermissionDenied
    return claims


def _verified(token: str, keys: Sequence[Key], algorithm: str) -> Any:
    for key in keys:
        if algorithm not in key.algorithms:
            continue
        try:
            signed = jwt.api_jws.decode(token, key.key, algorithms=[algorithm])
        except jwt.InvalidSignatureError:
            continue
        return _strict_json(signed)
    raise PermissionDenied


def _unverified(token: str) -> Any:
    # The cluster checks the signature: the token goes to it as it came.
    complete = jwt.api_jws.decode_complete(token, options={"verify_signature": False})
    return _strict_json(complete["payload"])


def _strict_json(text: bytes) -> Any:
    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in found}) != len(found):
            raise ValueError("a name occurs twice")
        return dict(found)

    def constant(name: str) -> None:
        raise ValueError("not a number of JSON")

    return json.loads(text, object_pairs_hook=pairs, parse_constant=constant)


def _audiences(claims: Mapping[str, Any]) -> tuple[str, ...]:
    given = claims.get("aud", [])
    found = [given] if isinstance(given, str) else given
    if (
        not isinstance(found, list)
        or len(found) > MAX_AUDIENCES
        or not all(isinstance(item, str) for item in found)
    ):
        raise PermissionDenied
    return tuple(found)


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    times = {}
    for name in ("exp", "nbf", "iat"):
        value = claims.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise PermissionDenied
        times[name] = value
    if times["nbf"] is not None and times["nbf"] > now + LEEWAY_SECONDS:
        raise PermissionDenied("invalid not before (nbf) claim: token not yet valid")
    if times["exp"] is not None and times["exp"] + LEEWAY_SECONDS < now:
        raise PermissionDenied("invalid expiration time (exp) claim: token is expired")
    if times["iat"] is not None and times["iat"] > now + LEEWAY_SECONDS:
        raise PermissionDenied("invalid issued at (iat) claim: token issued in the future")


def _account(claims: Mapping[str, Any], audiences: tuple[str, ...]) -> Account:
    nested = claims.get("kubernetes.io")
    if isinstance(nested, dict):  # a projected token
        about = nested.get("serviceaccount")
        about = about if isinstance(about, dict) else {}
        found = about.get("name"), nested.get("namespace"), about.get("uid")
    else:
        found = (
            claims.get(f"{_FLAT}service-account.name"),
            claims.get(f"{_FLAT}namespace"),
            claims.get(f"{_FLAT}service-account.uid"),
        )
    secret = claims.get(f"{_FLAT}secret.name", "")
    for text, pattern in zip(found, (_NAME, _NAMESPACE, _UID), strict=True):
        # They go into the cluster's URLs and into aliases: only what the cluster itself would name so.
        if not isinstance(text, str) or not pattern.fullmatch(text):
            raise PermissionDenied
    if secret and not (isinstance(secret, str) and _NAME.fullmatch(secret)):
        raise PermissionDenied
    name, namespace, uid = found
    return Account(str(name), str(namespace), str(uid), str(secret), audiences)
