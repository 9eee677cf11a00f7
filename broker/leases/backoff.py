"""When a revocation that failed is tried again, and what is kept of the reason."""

import random

import msgspec

from broker.leases.records import TRIES, LeaseEntry
from broker.plugin.errors import BrokerError

FIRST_SECONDS = 2.0
FACTOR = 3.0
RARELY_SECONDS = 3600.0
"""How often an irrevocable lease is still tried, about."""
MAX_ERROR = 256


def delay(attempts: int, *, spread: float) -> float:
    """Return the seconds to wait after this many failures; ``spread`` from 0 to 1 scatters them by a half.

    >>> [delay(n, spread=0) for n in (1, 2, 3, 4, 5, 6, 60)]
    [2.0, 6.0, 18.0, 54.0, 162.0, 3600.0, 3600.0]
    """
    base = RARELY_SECONDS if attempts >= TRIES else FIRST_SECONDS * FACTOR ** (attempts - 1)
    return base * (1 + spread / 2)


def failed(entry: LeaseEntry, error: BaseException, now: float) -> LeaseEntry:
    """Return the entry after one more failure: counted, with the reason, and due again later."""
    attempts = entry.attempts + 1
    wait = delay(attempts, spread=random.random())  # noqa: S311 - spreads retries
    return msgspec.structs.replace(
        entry,
        revoking=entry.revoking or now,
        attempts=attempts,
        next_at=now + wait,
        error=sentence(error),
    )


def sentence(error: BaseException) -> str:
    """Return what may be kept and shown of an error: our own errors name no values; of others only the kind.

    >>> sentence(TimeoutError("password=hunter2"))
    'the target did not answer in time'
    """
    if isinstance(error, TimeoutError):
        return "the target did not answer in time"
    if isinstance(error, BrokerError):
        text = str(error) or type(error).__name__
        return "".join(char if char.isprintable() else " " for char in text)[:MAX_ERROR]
    return type(error).__name__
