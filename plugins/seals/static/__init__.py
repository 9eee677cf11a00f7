"""The static seal: a key of 32 bytes that is given to the server beside its configuration, and opens it at start."""

from collections.abc import Sequence

from broker.plugin.hookspecs import hookimpl
from broker.plugin.seal import SealType

from .seal import StaticSeal

ENVIRONMENT = {
    name: (f"BROKER_STATIC_SEAL_{name.upper()}", f"BAO_STATIC_SEAL_{name.upper()}")
    for name in ("current_key_id", "current_key", "previous_key_id", "previous_key")
}


@hookimpl
def register_seals() -> Sequence[SealType]:
    """Offer ``seal "static" {}``, as OpenBao has it."""
    summary = "Opens by itself with a key that lies beside the configuration."
    return [SealType("static", StaticSeal.build, summary, environment=ENVIRONMENT)]
