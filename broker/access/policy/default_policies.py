"""The policies that exist everywhere."""

from typing import Final

ROOT: Final = "root"
DEFAULT: Final = "default"
RESPONSE_WRAPPING: Final = "response-wrapping"

#: Names whose text nobody may write. ``default`` may be changed, but not deleted.
RESERVED: Final = frozenset({ROOT, RESPONSE_WRAPPING})


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
