"""The policies that exist everywhere, and the one spelling of policy names."""

import re
from typing import Final

from broker.plugin.errors import InvalidRequest

ROOT: Final = "root"
DEFAULT: Final = "default"
RESPONSE_WRAPPING: Final = "response-wrapping"

#: Names whose text nobody may write. ``default`` may be changed, but not deleted.
RESERVED: Final = frozenset({ROOT, RESPONSE_WRAPPING})

MAX_NAME: Final = 256

_NAME = re.compile(r"[a-z0-9._/-]+", re.ASCII)

DEFAULT_TEXT: Final = """\
# What every token may do unless it is created without this policy.

# A token may look itself up, renew itself and revoke itself.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "auth/token/renew-self" {
  capabilities = ["update"]
}
path "auth/token/revoke-self" {
  capabilities = ["update"]
}

# It may ask what it is allowed to do, and why it was refused.
path "sys/capabilities-self" {
  capabilities = ["update"]
}
path "sys/policies/explain" {
  capabilities = ["update"]
}
path "sys/internal/ui/resultant-acl" {
  capabilities = ["read"]
}

# It may read the entity it belongs to.
path "identity/entity/id/{{identity.entity.id}}" {
  capabilities = ["read"]
}
path "identity/entity/name/{{identity.entity.name}}" {
  capabilities = ["read"]
}

# Leases whose id it knows: renew and look up.
path "sys/leases/renew" {
  capabilities = ["update"]
}
path "sys/leases/lookup" {
  capabilities = ["update"]
}

# Its own cubbyhole.
path "cubbyhole/*" {
  capabilities = ["create", "read", "update", "delete", "list"]
}

# Response wrapping: wrap values, inspect and unwrap wrapping tokens.
path "sys/wrapping/wrap" {
  capabilities = ["update"]
}
path "sys/wrapping/lookup" {
  capabilities = ["update"]
}
path "sys/wrapping/unwrap" {
  capabilities = ["update"]
}

# General tools.
path "sys/tools/hash" {
  capabilities = ["update"]
}
path "sys/tools/hash/*" {
  capabilities = ["update"]
}

# Sign in to applications through an OIDC provider.
path "identity/oidc/provider/+/authorize" {
  capabilities = ["read", "update"]
}
"""

RESPONSE_WRAPPING_TEXT: Final = """\
# All that a wrapping token is for: hand over what it wraps, once.
path "cubbyhole/response" {
  capabilities = ["create", "read"]
}
path "sys/wrapping/unwrap" {
  capabilities = ["update"]
}
"""


def canonical_name(name: str, *, allow_root: bool = False) -> str:
    """The one spelling of a policy name: trimmed, lower case, ``[a-z0-9._/-]``.

    >>> canonical_name(" App-Read ")
    'app-read'

    Every place that takes policy names goes through here, so that no spelling of ``root`` slips past a check.
    ``allow_root`` is for the one caller that has proved to hold a root token.
    Raises: InvalidRequest for other characters, ``.`` and ``..`` segments, and the reserved name ``root``.
    """
    trimmed = name.strip(" \t\r\n")
    found = trimmed.lower() if trimmed.isascii() else ""
    if len(found) > MAX_NAME or not _NAME.fullmatch(found):
        raise InvalidRequest(
            f"invalid policy name: expected 1 to {MAX_NAME} of the characters a-z 0-9 . _ / -"
        )
    if any(segment in ("", ".", "..") for segment in found.split("/")):
        raise InvalidRequest("invalid policy name: empty, . and .. segments are not allowed")
    if found == ROOT and not allow_root:
        raise InvalidRequest("invalid policy name: root is reserved")
    return found
