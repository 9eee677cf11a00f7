"""Every ceremony of a node in one value, as it lies in the node page that all workers share.

The ceremonies themselves are values too (``unseal``, ``rekey``, ``generate_root``): each method takes what it
needs and returns the next state; none does I/O beyond calling the seal. So a worker takes the page's lock, decodes,
takes one step, encodes, and lets go; a worker that dies in between has changed nothing.
"""

from typing import Final

import msgspec

from broker.barrier.encoding import decode, encode
from broker.barrier.generate_root import GenerateRoot
from broker.barrier.progress import Progress
from broker.barrier.rekey import Rekey
from broker.plugin.errors import TooLarge

MAX_BYTES: Final = 512 * 1024
"""What the node page must have room for."""


class Ceremonies(msgspec.Struct, frozen=True):
    """What is in progress; ``None`` where nothing is. Holds shares, so the bytes of ``encode`` are secret."""

    v: int = 1
    unseal: Progress | None = None
    rekey: Rekey | None = None
    rekey_recovery: Rekey | None = None
    generate_root: GenerateRoot | None = None

    def encode(self) -> bytes:
        """Return the bytes for the node page. Raises: TooLarge, which only enormous PGP keys can cause."""
        data = encode(self)
        if len(data) > MAX_BYTES:
            raise TooLarge(f"the ceremony's keys are too long together: at most {MAX_BYTES} bytes")
        return data

    @classmethod
    def decode(cls, data: bytes) -> "Ceremonies":
        """Read ``encode``'s bytes; no bytes mean that nothing is in progress."""
        return decode(cls, data, "node page") if data else cls()
