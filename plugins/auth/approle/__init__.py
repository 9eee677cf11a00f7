"""The ``approle`` auth method: machines that log in with a role id and a secret id."""

from collections.abc import Sequence

from broker.plugin import AuthMethodType, hookimpl

from .method import ApproleMethod


@hookimpl
def register_auth_methods() -> Sequence[AuthMethodType]:
    """Offer logins for machines."""
    return [
        AuthMethodType(
            "approle",
            build=ApproleMethod,
            summary="Logins of machines with a role id and a secret id.",
            needs=("lockout", "once"),
        )
    ]
