"""The shamir seal: custodians bring shares of a key at each start, and no machine alone can unseal."""

from collections.abc import Sequence

from broker.plugin.hookspecs import hookimpl
from broker.plugin.seal import SealType

from .seal import ShamirSeal


@hookimpl
def register_seals() -> Sequence[SealType]:
    """Offer ``seal "shamir" {}``, which is also the seal of a configuration without a ``seal`` stanza."""
    return [SealType("shamir", ShamirSeal.build, "Unsealed by a threshold of SLIP-39 shares.")]
