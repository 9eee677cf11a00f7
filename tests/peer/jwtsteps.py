"""Steps of the scripts for ``auth/jwt``: a static key, a role, and logins with tokens made for the test."""

from __future__ import annotations

from tests.fixtures.issuer import RSA, now, pem, signed
from tests.peer.script import POST

BACK = "http://localhost:8250/oidc/callback"
ROLE = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": "app"}


def claims(**more):
    given = {"sub": "bob", "aud": "app", "exp": now() + 600, "iat": now(), **more}
    return {name: value for name, value in given.items() if value is not None}


def enable(kind="jwt"):
    return POST("sys/auth/${m}", {"type": kind}, 204)


def static(**more):
    return POST("auth/${m}/config", {"jwt_validation_pubkeys": pem(RSA), **more}, 204)


def role(name="app", status=204, **fields):
    options = {key: fields.pop(key) for key in ("differs",) if key in fields}
    return POST(f"auth/${{m}}/role/{name}", {**ROLE, **fields}, status, **options)


def log_in(token=None, status=200, role="app", **options):
    if token is None:
        token = signed(claims())
    return POST("auth/${m}/login", {"role": role, "jwt": token}, status, token=None, **options)


def good(**more):
    """A login that works, with these claims besides the usual."""
    return log_in(signed(claims(**more)))


def bad(key=RSA, alg="RS256", kid=None, **more):
    return log_in(signed(claims(**more), key, alg, kid), 400)
