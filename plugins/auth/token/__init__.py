"""The ``token`` auth method: tokens made from tokens."""

from collections.abc import Sequence

from broker.plugin import AuthMethodType, hookimpl

from .method import TokenMethod


@hookimpl
def register_auth_methods() -> Sequence[AuthMethodType]:
    """Offer the method that every namespace has at ``auth/token``."""
    return [
        AuthMethodType(
            "token", build=TokenMethod, summary="Token based credentials.", singleton=True, needs=("tokens",)
        )
    ]
