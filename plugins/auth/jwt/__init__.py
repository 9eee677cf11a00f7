"""The ``jwt`` and ``oidc`` auth methods: signed tokens of other issuers, and logins at an identity provider's page."""

from collections.abc import Sequence

from broker.plugin import AuthMethodType, hookimpl

from .flow import OidcMethod
from .method import JwtMethod

__all__ = ["JwtMethod", "OidcMethod", "register_auth_methods"]


@hookimpl
def register_auth_methods() -> Sequence[AuthMethodType]:
    """Offer one method under both of its names, as Vault does."""
    return [
        AuthMethodType("jwt", build=OidcMethod, summary="Signed tokens of other issuers."),
        AuthMethodType("oidc", build=OidcMethod, summary="Logins at an identity provider's page."),
    ]
