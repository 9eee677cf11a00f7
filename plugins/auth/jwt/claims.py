"""What a role makes of a token's claims: is it bound to them, who is it, which groups, which metadata.

Texts name claims as the role's configuration does, never their values.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker.plugin import InvalidRequest
from broker.plugin.names import glob

from .records import GLOB, Role

MAX_ALIAS = 512
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
_TEMPLATE = re.compile(r"\{\{\s*((?:\.[A-Za-z_][A-Za-z0-9_]*)+)\s*\}\}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a token stands for: the alias at this mount, and what goes with it."""

    name: str
    metadata: Mapping[str, str]
    groups: tuple[str, ...] = ()


def claim(claims: Mapping[str, Any], where: str) -> Any:
    """Return the claim of a name, or at a JSON pointer (RFC 6901) if ``where`` begins with a slash; ``None`` if absent.

    >>> claim({"a": {"b": ["x", "y"]}}, "/a/b/1")
    'y'
    """
    if not where.startswith("/"):
        return claims.get(where)
    found: Any = claims
    for step in where[1:].split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict):
            found = found.get(name)
        elif isinstance(found, list) and _INDEX.fullmatch(name) and int(name) < len(found):
            found = found[int(name)]
        else:
            return None
    return found


def check_bound(role: Role, claims: Mapping[str, Any]) -> None:
    """Raise InvalidRequest unless every bound claim is there with one of its values."""
    for where, wanted in (role.bound_claims or {}).items():
        found = claim(claims, where)
        if found is None:
            raise InvalidRequest(f'error validating claims: claim "{where}" is missing')
        values = found if isinstance(found, list) else [found]
        if isinstance(found, dict):
            raise InvalidRequest(
                f'error validating claims: claim "{where}" is not a string, bool, number or list'
            )
        allowed = wanted if isinstance(wanted, list) else [wanted]
        fits = _globs if role.bound_claims_type == GLOB else _same
        if not any(fits(bound, value) for bound in allowed for value in values):
            raise InvalidRequest(
                f'error validating claims: claim "{where}" does not match any associated bound claim values'
            )


def person_of(role_name: str, role: Role, claims: Mapping[str, Any]) -> Person:
    """Return whom a token stands for, to a role. Raises: InvalidRequest if a claim is missing or of the wrong kind."""
    found = claim(claims, role.user_claim) if role.user_claim_json_pointer else claims.get(role.user_claim)
    if found is None:
        raise InvalidRequest(f'claim "{role.user_claim}" not found in token')
    if not isinstance(found, str):
        raise InvalidRequest(f'claim "{role.user_claim}" could not be converted to string')
    if not 0 < len(found) <= MAX_ALIAS or not found.isprintable():
        raise InvalidRequest(f'claim "{role.user_claim}" is no name: expected 1 to {MAX_ALIAS} characters')
    return Person(found, {**_metadata(role, claims), "role": role_name}, _groups(role, claims))


def _metadata(role: Role, claims: Mapping[str, Any]) -> dict[str, str]:
    metadata = {}
    for where, target in (role.claim_mappings or {}).items():
        found = claim(claims, where)
        if found is None:
            continue
        if not isinstance(found, str):
            raise InvalidRequest(f"error converting claim '{where}' to string")
        metadata[target] = found
    return metadata


def _groups(role: Role, claims: Mapping[str, Any]) -> tuple[str, ...]:
    if not role.groups_claim:
        return ()
    found = claim(claims, role.groups_claim)
    if found is None:
        raise InvalidRequest(f'failed to fetch groups: "{role.groups_claim}" claim not found in token')
    names = found if isinstance(found, list) else [found]
    if not all(isinstance(name, str) for name in names):
        raise InvalidRequest(f'"{role.groups_claim}" claim could not be converted to string list')
    return tuple(dict.fromkeys(name for name in names if name))


def _same(bound: Any, value: Any) -> bool:
    # A truth is no number, and 5 is 5.0 but not 5.7.
    return isinstance(bound, bool) == isinstance(value, bool) and bool(bound == value)


def _globs(bound: Any, value: Any) -> bool:
    return isinstance(bound, str) and isinstance(value, str) and glob(bound, value)


def check_template(policy: str) -> None:
    """Raise InvalidRequest unless all that a policy name has in braces is ``{{.claim}}`` or ``{{.claim.inner}}``."""
    rest = _TEMPLATE.sub("", policy)
    if "{{" in rest or "}}" in rest:
        raise InvalidRequest("failed to parse template policy: expected {{.claim}} or {{.claim.inner}}")


def templated(policies: tuple[str, ...], claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Fill claims into names of policies. Raises: InvalidRequest if a claim is missing or is no text or number."""

    def fill(found: re.Match[str]) -> str:
        value: Any = claims
        for name in found[1][1:].split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise InvalidRequest(f"failed to template policy: claim {found[1]} is not there, or no text")
        return str(value)

    return tuple(name for policy in policies if (name := _TEMPLATE.sub(fill, policy)))
