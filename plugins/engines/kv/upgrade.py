"""Turning a version 1 mount into a version 2 mount, a bounded batch per transaction.

The code that tunes a mount calls ``upgrade_batch`` in the transaction that sets ``version=2``, and then in transactions
of its own until it returns ``False``. A crash in between loses nothing: the marker is still there, and the next call
goes on. Entries already turned are served meanwhile; what may still be waiting answers ``Upgrading``.
"""

import msgspec

from broker.plugin import Tampered, View

from .records import Document, Mark, Metadata, metadata_path, plain_path, timestamp, version_path

_MARKER = "upgrade"


class Marker(msgspec.Struct, frozen=True):
    """Present while entries of version 1 may remain."""

    v: int = 1


async def is_upgrading(storage: View) -> bool:
    """Tell whether version 1 entries may remain."""
    return await storage.load(_MARKER, Marker) is not None


async def _turn(storage: View, path: str, stamp: str) -> None:
    """Turn one entry into a first version; of one that does not open, into a version that is destroyed."""
    mark = Mark(stamp)
    try:
        entry = await storage.load(plain_path(path), Document)
    except Tampered:
        entry, mark = None, Mark(stamp, destroyed=True)
        await storage.discard(plain_path(path))
    else:
        storage.delete(plain_path(path))
        if entry is None:
            return
        storage.save(version_path(path, 1), entry)
    meta = Metadata(current=1, oldest=1, created=stamp, updated=stamp, versions={1: mark})
    storage.save(metadata_path(path), meta)


async def upgrade_batch(storage: View, *, now: float, limit: int = 200) -> bool:
    """Turn up to ``limit`` entries. Return whether more remain."""
    waiting = await storage.scan(plain_path(""), limit=limit + 1)
    stamp = timestamp(now)
    for path in waiting[:limit]:
        await _turn(storage, path, stamp)
    if len(waiting) > limit:
        storage.save(_MARKER, Marker())
        return True
    if await is_upgrading(storage):
        storage.delete(_MARKER)
    return False
