"""Public keys that tokens are verified with: from PEM, from JWK. Only kinds whose algorithms are asymmetric.

Sources: RFC 7517 (JWK), RFC 7518 (algorithms and key sizes), RFC 8037 (Ed25519).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import jwt
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from broker.plugin import InvalidRequest

PublicKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

RSA_ALGS = frozenset(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"))
CURVE_ALGS = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
ALGORITHMS = RSA_ALGS | {*CURVE_ALGS.values(), "EdDSA"}
MIN_RSA_BITS, MAX_RSA_BITS = 2048, 8192
MAX_KEYS = 100


@dataclass(frozen=True, slots=True)
class Key:
    """One public key, and the algorithms that a token may name with it."""

    public: PublicKey = field(repr=False)
    algorithms: frozenset[str]
    id: str = ""


@dataclass(frozen=True, slots=True)
class KeySet:
    """Keys of one source. With ``by_id`` a token that names a key is verified with keys of that name alone."""

    keys: tuple[Key, ...]
    by_id: bool = True

    def fitting(self, algorithm: str, key_id: str) -> Iterator[Key]:
        """The keys that a token with this header may be signed with."""
        for key in self.keys:
            if algorithm in key.algorithms and (not self.by_id or not key_id or key.id == key_id):
                yield key

    def knows(self, key_id: str) -> bool:
        return any(key.id == key_id for key in self.keys)


def keys_from_pem(texts: Iterable[str]) -> KeySet:
    """Read static keys: ``PUBLIC KEY`` or ``CERTIFICATE`` blocks. Raises: InvalidRequest."""
    return KeySet(tuple(_from_pem(text) for text in texts), by_id=False)


def keys_from_jwks(document: Any) -> KeySet:
    """Read a key set as a provider publishes it. Keys that cannot verify a signature here are left out.

    Raises: ValueError if it is no key set.
    """
    found = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(found, list):
        raise ValueError("no key set")
    keys = [key for item in found[: 10 * MAX_KEYS] if (key := _from_jwk(item)) is not None]
    return KeySet(tuple(keys[:MAX_KEYS]))


def _from_pem(text: str) -> Key:
    unusable = InvalidRequest("error parsing public key: data does not contain any valid public keys")
    try:
        data = text.strip().encode("ascii")
        if data.startswith(b"-----BEGIN CERTIFICATE-----"):
            public: Any = x509.load_pem_x509_certificate(data).public_key()
        else:
            public = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise unusable from None
    allowed = _allowed(public)
    if not allowed:
        raise InvalidRequest(
            f"error parsing public key: expected RSA of {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, "
            "EC on P-256, P-384 or P-521, or Ed25519"
        )
    return Key(public, allowed)


def _from_jwk(item: Any) -> Key | None:
    if not isinstance(item, dict) or item.get("kty") not in ("RSA", "EC", "OKP") or "d" in item:
        return None
    if item.get("use", "sig") != "sig" or "verify" not in item.get("key_ops", ("verify",)):
        return None
    try:
        # The algorithm is decided here by the kind of key; what the entry says can only narrow it.
        plain = {name: value for name, value in item.items() if name in ("kty", "n", "e", "crv", "x", "y")}
        public: Any = jwt.PyJWK(plain).key
    except (jwt.PyJWTError, ValueError, TypeError, UnsupportedAlgorithm):
        return None
    allowed = _allowed(public) & _named(item)
    name = item.get("kid", "")
    return Key(public, allowed, name) if allowed and isinstance(name, str) else None


def _named(item: Mapping[str, Any]) -> frozenset[str]:
    return frozenset((item["alg"],)) if isinstance(item.get("alg"), str) else ALGORITHMS


def _allowed(public: Any) -> frozenset[str]:
    """The algorithms that a key of this kind and size may be used with; none for a key we do not take."""
    if isinstance(public, RSAPublicKey) and MIN_RSA_BITS <= public.key_size <= MAX_RSA_BITS:
        return RSA_ALGS
    if isinstance(public, EllipticCurvePublicKey) and public.curve.name in CURVE_ALGS:
        return frozenset((CURVE_ALGS[public.curve.name],))
    return frozenset(("EdDSA",)) if isinstance(public, Ed25519PublicKey) else frozenset()
