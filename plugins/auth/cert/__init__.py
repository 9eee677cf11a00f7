"""The ``cert`` auth method: machines and people who hold a TLS client certificate."""

from collections.abc import Sequence

from broker.plugin import AuthMethodType, hookimpl

from .method import CertMethod


@hookimpl
def register_auth_methods() -> Sequence[AuthMethodType]:
    """Offer the method; its listener must speak TLS, and asks for client certificates by default."""
    return [AuthMethodType("cert", build=CertMethod, summary="TLS client certificates.")]
