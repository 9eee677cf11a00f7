"""Rows of the root store that do not open: what a node can do without, and what it cannot.

A row that it can do without is lost, and keeps nobody out: it is written anew, so that the log tells it once. Of a row that
only another version can read nothing is lost: it stays. Without the others nobody may be served, so the node stays sealed.
"""

import logging
from collections.abc import Callable
from typing import TypeVar

import msgspec

from broker.access.tokens import SALT
from broker.core.anchoring import ACCEPTED
from broker.core.devices import HEADERS
from broker.core.devices import TABLE as DEVICES
from broker.core.quotas.records import TABLE as QUOTAS
from broker.core.records import MOUNTS
from broker.plugin.errors import Tampered, Unavailable
from broker.storage.errors import TransactionConflict, Undecodable
from broker.storage.tenant import TenantStore

log = logging.getLogger("broker.core")

T = TypeVar("T", bound=msgspec.Struct)

NEEDED = (MOUNTS, DEVICES, HEADERS, QUOTAS, SALT, ACCEPTED)
"""Without them a node would serve what it should not: unrecorded, unlimited, or to tokens that were ended."""


async def check_needed(root: TenantStore) -> None:
    """Look at the rows that are needed, before anybody is served. Raises: Tampered, naming the first that does not open."""
    tx = await root.begin()
    for path in NEEDED:
        await tx.get(path)


async def renew(store: TenantStore, path: str, kind: type[T], change: Callable[[T | None], T | None]) -> None:
    """Write what ``change`` makes of a record, ``None`` for nothing; a record that is lost counts as ``None``.

    A worker that is slower than another, and a disk without room, leave it as it is.
    """
    tx = await store.begin()
    try:
        old = await tx.load(path, kind)
    except Tampered as error:
        log.error("store.row_lost path=%s error=%s; it is written anew", path, error)
        await tx.discard(path)
        old = None
    except Undecodable as error:
        log.error("store.row_unread path=%s error=%s", path, error)
        return
    new = change(old)
    if new is None or new == old:
        return
    tx.save(path, new)
    try:
        await tx.commit()
    except (TransactionConflict, Unavailable):
        return


__all__ = ["check_needed", "renew"]
