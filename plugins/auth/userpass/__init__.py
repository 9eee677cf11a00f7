"""The ``userpass`` auth method: people who log in with a name and a password."""

from collections.abc import Sequence

from broker.plugin import AuthMethodType, hookimpl

from .method import UserpassMethod


@hookimpl
def register_auth_methods() -> Sequence[AuthMethodType]:
    """Offer logins with a name and a password."""
    return [
        AuthMethodType(
            "userpass",
            build=UserpassMethod,
            summary="Logins with a name and a password.",
            needs=("lockout",),
        )
    ]
