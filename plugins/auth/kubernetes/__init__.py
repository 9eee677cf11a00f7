"""The ``kubernetes`` auth method: workloads with a service account's token, which the cluster itself vouches for."""

from collections.abc import Sequence

from broker.plugin import AuthMethodType, hookimpl

from .method import KubernetesMethod


@hookimpl
def register_auth_methods() -> Sequence[AuthMethodType]:
    """Offer the method."""
    return [AuthMethodType("kubernetes", build=KubernetesMethod, summary="Kubernetes service accounts.")]
