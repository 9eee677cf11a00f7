"""A login from claims, once they are known to be true: the same for tokens that are handed in and for the browser's way."""

from collections.abc import Mapping
from typing import Any

from broker.plugin import Auth

from .claims import check_bound, person_of, templated
from .records import Approved, Role


def approve(
    name: str, role: Role, claims: Mapping[str, Any], metadata: Mapping[str, str] | None = None
) -> Approved:
    """Judge claims by a role. ``metadata`` is what goes with the token besides. Raises: InvalidRequest."""
    person = person_of(name, role, claims)
    check_bound(role, claims)
    policies = None if role.policy_templates is None else templated(role.policy_templates, claims)
    return Approved(person.name, {**person.metadata, **(metadata or {})}, person.groups, policies)


def auth_of(name: str, role: Role, approved: Approved) -> Auth:
    """Return the login of whom a role approved of."""
    metadata = approved.metadata
    return role.tokens.auth(
        alias=approved.name,
        display_name=approved.name,
        metadata=metadata,
        alias_metadata={key: value for key, value in metadata.items() if not key.startswith("oauth2_")},
        group_aliases=approved.groups,
        policies=approved.policies or (),
        internal={"role": name},
    )
