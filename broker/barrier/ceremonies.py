"""The state of a ceremony as bytes, for the node page that all workers share.

The ceremonies are values (``Progress`` for unseal, ``Rekey``, ``GenerateRoot``): each method takes what it needs and
returns the next state; none does I/O beyond calling the seal. So a worker takes the page's lock, loads, takes one
step, dumps, and lets go; a worker that dies in between has changed nothing.
"""

from typing import Final, TypeVar

import msgspec

from broker.barrier.generate_root import GenerateRoot
from broker.barrier.progress import Progress
from broker.barrier.rekey import Rekey
from broker.plugin.errors import TooLarge

UNSEAL: Final = "unseal"
REKEY: Final = "rekey"
REKEY_RECOVERY: Final = "rekey-recovery"
GENERATE_ROOT: Final = "generate-root"
"""A name for each place in the node page."""

MAX_BYTES: Final = 32 * 1024
"""What each place must have room for. The largest ceremony that can be asked for fits."""

State = Progress | Rekey | GenerateRoot
S = TypeVar("S", Progress, Rekey, GenerateRoot)


def dump(state: State | None) -> bytes | None:
    """Return the bytes to keep, ``None`` where nothing is in progress. They hold shares: keep them in memory only.

    Raises: TooLarge.
    """
    if state is None:
        return None
    data = msgspec.msgpack.encode(state)
    if len(data) > MAX_BYTES:
        raise TooLarge(f"the ceremony is too large: its state is limited to {MAX_BYTES} bytes")
    return data


def load(kind: type[S], data: bytes | None) -> S | None:
    """Undo ``dump``. All workers of a node run one version, so the bytes carry no format."""
    return msgspec.msgpack.decode(data, type=kind) if data else None
