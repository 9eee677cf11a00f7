"""The ``ldap`` auth method: people of an LDAP directory or of Active Directory."""

from collections.abc import Sequence

from broker.plugin import AuthMethodType, hookimpl

from .method import LdapMethod
from .paths import PATHS

__all__ = ["PATHS", "LdapMethod", "register_auth_methods"]


@hookimpl
def register_auth_methods() -> Sequence[AuthMethodType]:
    """Offer logins against a directory."""
    return [
        AuthMethodType("ldap", build=LdapMethod, summary="People of an LDAP directory.", needs=("lockout",))
    ]
