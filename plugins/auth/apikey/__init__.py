"""The ``apikey`` auth method: long-lived keys for clients that can keep one string and nothing more."""

from collections.abc import Sequence

from broker.plugin import AuthMethodType, hookimpl

from .method import ApiKeyMethod
from .paths import PATHS

__all__ = ["PATHS", "ApiKeyMethod", "register_auth_methods"]


@hookimpl
def register_auth_methods() -> Sequence[AuthMethodType]:
    """Offer keys with an expiry, an allow-list, and a rotation with an overlap."""
    return [
        AuthMethodType(
            "apikey",
            build=ApiKeyMethod,
            summary="API keys for clients that know no other way.",
            needs=("logins",),
        )
    ]
