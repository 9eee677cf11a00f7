"""One JSON Web Token: taken apart strictly, its signature verified, its times and names judged.

A token whose form or signature is wrong is refused in one sentence, whatever is wrong with it. What is wrong with the
claims of a token that a trusted key did sign may be told to whoever holds it.
Sources: RFC 7515 (JWS), RFC 7519 (JWT), RFC 8725 (best current practices).
"""

import base64
import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt

from broker.plugin import InvalidRequest

from .keys import KeySet

MAX_TOKEN = 64 * 1024
MAX_HEADER = 8 * 1024
MAX_KEY_ID = 512
MAX_TIME = 1 << 40
BAD_TOKEN = "error validating token: error verifying token signature"  # noqa: S105 - a sentence
DEFAULT_LEEWAY = 150
DEFAULT_SKEW = 60
_PART = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_JWS = jwt.PyJWS()


class BadToken(InvalidRequest):
    """Not a token that one of the configured keys signed with an allowed algorithm."""

    def __init__(self) -> None:
        super().__init__(BAD_TOKEN)


class BadClaims(InvalidRequest):
    """A trusted key signed it, but not for this time, place or role."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token must say. Empty means: not asked. Leeways in seconds: 0 the default, below 0 none."""

    issuer: str = ""
    subject: str = ""
    audiences: Collection[str] = ()
    expiration_leeway: int = 0
    not_before_leeway: int = 0
    clock_skew_leeway: int = 0


@dataclass(frozen=True, slots=True)
class Parsed:
    """A token's header as far as it has a say, and the token. Nothing of it is to be trusted yet."""

    algorithm: str
    key_id: str
    text: str = field(repr=False)


def parse(text: str) -> Parsed:
    """Read the header. Raises: BadToken.

    Of the header only ``alg`` and ``kid`` are heard; keys and addresses of keys in it (``jwk``, ``jku``, ``x5u``, ``x5c``) never
    are, and what would change how the rest is to be read (``crit``, ``b64``, ``enc``, ``zip``) is refused.
    """
    if len(text) > MAX_TOKEN or text.count(".") != 2:
        raise BadToken
    parts = text.split(".")
    if not all(_PART.fullmatch(part) for part in parts) or len(parts[0]) > MAX_HEADER:
        raise BadToken
    header = _json_object(_decoded(parts[0]))
    algorithm, key_id = header.get("alg"), header.get("kid", "")
    if not isinstance(algorithm, str) or not isinstance(key_id, str) or len(key_id) > MAX_KEY_ID:
        raise BadToken
    if not header.keys().isdisjoint(("crit", "b64", "enc", "zip")):
        raise BadToken
    _decoded(parts[1]), _decoded(parts[2])
    return Parsed(algorithm, key_id, text)


def verified(token: Parsed, keys: KeySet, algorithms: Collection[str]) -> dict[str, Any] | None:
    """Return the claims if a fitting key signed the token, else ``None``. Raises: BadToken if what it signed is no JWT."""
    if token.algorithm not in algorithms:
        return None
    for key in keys.fitting(token.algorithm, token.key_id):
        try:
            payload = _JWS.decode(token.text, key.public, algorithms=[token.algorithm])
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        return _json_object(payload)
    return None


def check_claims(claims: Mapping[str, Any], expected: Expected, now: float) -> None:
    """Judge times, issuer, subject and audience, in this order. Raises: BadClaims, in Vault's words."""
    _check_times(claims, expected, now)
    if expected.issuer and claims.get("iss") != expected.issuer:
        raise BadClaims("error validating token: invalid issuer (iss) claim")
    if expected.subject and claims.get("sub") != expected.subject:
        raise BadClaims("error validating token: invalid subject (sub) claim")
    named = audiences(claims)
    if expected.audiences and not any(name in named for name in expected.audiences):
        raise BadClaims(
            "error validating token: invalid audience (aud) claim: audience claim does not match any expected audience"
        )


def audiences(claims: Mapping[str, Any]) -> list[str]:
    """Return whom a token is for: ``aud`` is a string or a list of strings. Raises: BadClaims for anything else."""
    found = claims.get("aud", [])
    if isinstance(found, str):
        return [found]
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise BadClaims(
            "error validating token: invalid audience (aud) claim: expected text or a list of text"
        )
    return found


def _check_times(claims: Mapping[str, Any], expected: Expected, now: float) -> None:
    issued, starts, ends = (_time(claims, name) for name in ("iat", "nbf", "exp"))
    if not (issued or starts or ends):
        raise BadClaims(
            "error validating token: no issued at (iat), not before (nbf), or expiration time (exp) claims in token"
        )
    skew = _leeway(expected.clock_skew_leeway, DEFAULT_SKEW)
    if not ends:
        ends = max(issued, starts) + _leeway(expected.expiration_leeway, DEFAULT_LEEWAY)
    if not starts:
        starts = issued or ends - _leeway(expected.not_before_leeway, DEFAULT_LEEWAY)
    if now - skew > ends:
        raise BadClaims("error validating token: invalid expiration time (exp) claim: token is expired")
    if now + skew < starts:
        raise BadClaims("error validating token: invalid not before (nbf) claim: token not yet valid")


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MAX_TIME:
        raise BadClaims(f"error validating token: invalid {name} claim: expected seconds since 1970")
    return float(value)


def _leeway(seconds: int, default: int) -> int:
    return default if seconds == 0 else max(seconds, 0)


def _decoded(part: str) -> bytes:
    """Undo base64url without padding, in its one spelling. Raises: BadToken."""
    try:
        data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise BadToken from None
    if base64.urlsafe_b64encode(data).rstrip(b"=") != part.encode():
        raise BadToken  # bits left over: the same bytes under another spelling
    return data


def _json_object(data: bytes) -> dict[str, Any]:
    """Read a JSON object in which no name occurs twice and every number is one. Raises: BadToken."""
    try:
        found = json.loads(
            data.decode("utf-8"), object_pairs_hook=_once, parse_float=_finite, parse_constant=_no_constant
        )
    except (ValueError, RecursionError):
        raise BadToken from None
    if not isinstance(found, dict):
        raise BadToken
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _no_constant(name: str) -> Any:
    raise ValueError(name)
