"""How long a token or lease lives: the arithmetic of TTLs and the limits on them."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from broker.plugin.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Limits:
    """Lifetimes of a mount in seconds, after system and mount settings are folded."""

    default_ttl: int
    max_ttl: int


@dataclass(frozen=True, slots=True)
class Lifetime:
    """What a token is granted, in seconds (zero: never expires), and what to tell the caller."""

    ttl: int
    warnings: tuple[str, ...] = ()
    capped_by: str = ""
    """Which limit shortened it: ``token`` (its own maximum), ``mount`` (or the system's); empty for none."""


@lru_cache(1024)
def grant(
    wanted: int,
    *,
    limits: Limits,
    max_ttl: int = 0,
    period: int = 0,
    explicit_max_ttl: int = 0,
    age: int = 0,
) -> Lifetime:
    """Fold a wanted TTL with every limit. All in whole seconds; the lifetime is never zero.

    ``wanted`` zero means the default. ``age`` is how long the token lives already (for renewals); the maxima count from
    its creation, a period does not, unless there is an explicit maximum. Raises: InvalidRequest if no life is left.
    Source: ``CalculateTTL`` of Vault's SDK, warnings included.
    """
    warnings: list[str] = []
    top = min([limits.max_ttl, *(limit for limit in (max_ttl, explicit_max_ttl) if limit)])
    if period:
        ttl, left = period, explicit_max_ttl - age if explicit_max_ttl else None
        if ttl > top:
            warnings.append(_capped("period", ttl, top))
            ttl = top
    else:
        ttl, left = wanted or limits.default_ttl, top - age
    if left is not None:
        if left <= 0:
            raise InvalidRequest("past the max TTL, cannot renew")
        if ttl > left:
            warnings.append(_capped("TTL", ttl, left))
            ttl = left
    own = any(limit and limit <= limits.max_ttl for limit in (max_ttl, explicit_max_ttl))
    return Lifetime(ttl, tuple(warnings), ("token" if own else "mount") if warnings else "")


def _capped(what: str, wanted: int, top: int) -> str:
    value = "period value" if what == "period" else "TTL value"
    return (
        f'{what} of "{short_duration(wanted)}" exceeded the effective max_ttl of "{short_duration(top)}"; '
        f"{value} is capped accordingly"
    )


def short_duration(seconds: int) -> str:
    """Write a duration as the field's servers do, without the parts that are zero.

    >>> short_duration(5400), short_duration(0)
    ('1h30m', '0s')
    """
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    parts = [f"{count}{unit}" for count, unit in ((hours, "h"), (minutes, "m"), (left, "s")) if count]
    return "".join(parts) or "0s"


def whole_seconds(value: timedelta) -> int:
    """Return a duration in seconds, rounded up: a short life must not become zero, which would mean no end."""
    return math.ceil(value.total_seconds()) if value else 0


def issue_time(now: float) -> str:
    """Return ``now`` as RFC 3339 with nanoseconds, as tokens carry it."""
    return f"{_to_the_second(int(now))}.{int((now % 1) * 1e9):09d}Z"


_to_the_second = lru_cache(64)(lambda now: datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S"))
