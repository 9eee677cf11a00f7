"""Rows of the root store that a node can do without: one that does not open is lost, and keeps nobody out.

What it held is gone; the row is written anew, so that the log tells it once. Of a row that only another version can read
nothing is lost: it stays.
"""

import logging
from collections.abc import Callable
from typing import TypeVar

import msgspec

from broker.plugin.errors import Tampered, Unavailable
from broker.storage.errors import TransactionConflict, Undecodable
from broker.storage.tenant import TenantStore

log = logging.getLogger("broker.core")

T = TypeVar("T", bound=msgspec.Struct)


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


__all__ = ["renew"]
