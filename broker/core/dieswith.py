"""What dies with a token: the tokens made from it, and the secrets leased to it, a page at a time.

Read from two indexes, ``sys/token/child/<token>/`` and ``sys/lease-by-token/<token>/``, never by looking through all
tokens or leases. The pages go through the children first, then through the leases; rows and counts are bounded.
"""

from typing import Any

from broker.access.tokens import CHILD, LEASES
from broker.core.tokenview import Located, instant
from broker.leases.layout import BY_TOKEN, ROOM, lease_key
from broker.leases.records import LeaseEntry
from broker.plugin.context import Context
from broker.plugin.errors import InvalidRequest
from broker.storage.transaction import Transaction

PAGE = 100
"""Rows of a page unless the caller says how many."""
LARGEST_PAGE = 1000
COUNTED = 1000
"""As far as is counted; who has more has at least so many."""


async def page(located: Located, ctx: Context, after: str, limit: int | None) -> dict[str, Any]:
    """Return the rows behind ``after`` (empty: from the beginning) and the counts.

    Children are those of the token's own namespace, leases those of the request's. ``next`` is the next page's
    ``after``, empty on the last page: the storage name of the last child, or the last lease id. A page may have fewer
    rows than asked for, since what has ended but is not cleared away yet is counted and not shown.
    Raises: InvalidRequest for a page that is too large.
    """
    if limit is not None and limit > LARGEST_PAGE:
        raise InvalidRequest(f"limit is at most {LARGEST_PAGE}")
    room, name = limit or PAGE, located.found.hash
    tokens: list[dict[str, Any]] = []
    leases: list[dict[str, Any]] = []
    children: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    more = False
    if name and "/" not in after:  # a storage name has no slash, a lease id always has
        found = await located.tx.list(f"{CHILD}{name}/", after=after, limit=room + 1)
        children, more = tuple(found[:room]), len(found) > room
        tokens = [row for child in children if (row := await _child(located, child, ctx.now))]
    if name and not more:  # a batch token has no name and no children; its secrets die with its parent
        room -= len(children)
        since = after if "/" in after else ""
        found = await ctx.transaction.scan(f"{BY_TOKEN}{name}/", after=since, limit=room + 1)
        ids, more = tuple(found[:room]), len(found) > room
        leases = [row for lease_id in ids if (row := await _lease(ctx.transaction, lease_id))]
    return {
        "accessor": located.found.entry.accessor,
        "tokens": tokens,
        "leases": leases,
        "next": [*children, *ids][-1] if more else "",
        "counts": await _counts(located, ctx),
    }


async def _child(located: Located, name: str, now: float) -> dict[str, Any] | None:
    """Describe a child, or return ``None`` for one that has ended. ``more_below``: whether anything dies with it."""
    entry = await located.tenant.tokens.alive(located.tx, name, now)
    if entry is None:
        return None
    below = await located.tx.list(f"{CHILD}{name}/", limit=1) or await located.tx.get(LEASES + name)
    return {
        "accessor": entry.accessor,
        "display_name": entry.display_name,
        "expires_at": instant(entry.expires_at),
        "more_below": bool(below),
    }


async def _lease(tx: Transaction, lease_id: str) -> dict[str, Any] | None:
    entry = await tx.load(ROOM + lease_key(lease_id), LeaseEntry)
    return None if entry is None else {"lease_id": lease_id, "expires_at": instant(entry.expires_at)}


async def _counts(located: Located, ctx: Context) -> dict[str, Any]:
    """Count children and leases, each up to ``COUNTED``; ``complete`` tells whether that was all."""
    name = located.found.hash
    tokens = await located.tx.list(f"{CHILD}{name}/", limit=COUNTED + 1) if name else ()
    leases = await ctx.transaction.scan(f"{BY_TOKEN}{name}/", limit=COUNTED + 1) if name else ()
    return {
        "tokens": min(len(tokens), COUNTED),
        "leases": min(len(leases), COUNTED),
        "complete": max(len(tokens), len(leases)) <= COUNTED,
    }
