"""Data of an answer that stays the same from request to request."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any


class Settled(dict[str, Any]):
    """A mapping that nobody changes any more, given out again as the same object as long as what it tells is true.

    A handler that answers many requests with the same data returns such an object, kept with the record that it was
    made from; then what the pipeline makes of it (its JSON, the hashes of its values in the audit log) is made once
    and not for each request. Data that is asked for only once is not burdened: results are kept from the second time on.
    """

    __slots__ = ("_made",)

    def __init__(self, data: Mapping[str, Any]) -> None:
        super().__init__(data)
        self._made: dict[Hashable, bytes | None] = {}

    def once(self, key: Hashable, make: Callable[["Settled"], bytes]) -> bytes:
        """Return what ``make`` makes of this mapping. ``key`` names the result: equal keys, equal results."""
        known = self._made.get(key)
        if known is not None:
            return known
        made = make(self)
        self._made[key] = made if key in self._made else None
        return made
