"""Listings: which part is asked for, and how the answer looks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from broker.plugin.errors import NotFound
from broker.plugin.fields import Field


@dataclass(frozen=True, slots=True)
class Page:
    """The arguments of a listing; one whose path has parameters derives from it and adds them.

    Pass ``after`` and ``size`` on to ``ctx.storage.list``, or take ``of`` the names. Source: Vault's pagination of listings.
    """

    after: Annotated[str, Field("List entries behind this one.")] = ""
    limit: Annotated[int | None, Field("At most this many entries; all if left out or not positive.")] = None

    @property
    def size(self) -> int | None:
        """How many entries are wanted, ``None`` for all."""
        return self.limit if self.limit and self.limit > 0 else None

    def of(self, names: Iterable[str]) -> list[str]:
        """Return the wanted part of names that are all at hand, sorted."""
        return sorted(name for name in names if name > self.after)[: self.size]


def listing(found: Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
    """Answer a listing with names, or with names and what there is to say of each (``key_info``).

    Raises: NotFound if there are none: a client of Vault takes that for an empty list.

    >>> listing(["a", "b"])
    {'keys': ['a', 'b']}
    """
    if not found:
        raise NotFound
    if isinstance(found, Mapping):
        return {"keys": list(found), "key_info": dict(found)}
    return {"keys": list(found)}
