"""Turning a version 1 mount into a version 2 mount, a bounded batch per transaction.

The code that tunes a mount calls ``begin_upgrade`` in the transaction that sets ``version=2``, and then ``upgrade_batch``
in transactions of its own until it returns ``False``. A crash in between loses nothing: the marker is still there, and
the next call goes on. Entries already turned are served meanwhile; what may still be waiting answers ``Upgrading``.
"""

import msgspec

from broker.plugin import View

from .records import Document, Mark, Metadata, metadata_path, plain_path, timestamp, version_path

_MARKER = "upgrade"


class Marker(msgspec.Struct, frozen=True):
    """Present while entries of version 1 may remain."""

    v: int = 1


async def is_upgrading(storage: View) -> bool:
    """Tell whether version 1 entries may remain."""
    return await storage.load(_MARKER, Marker) is not None


async def begin_upgrade(storage: View) -> None:
    """Note that the entries of version 1 are to be turned; a mount without any needs nothing."""
    if await storage.scan(plain_path(""), limit=1):
        storage.save(_MARKER, Marker())


async def upgrade_batch(storage: View, *, now: float, limit: int = 200) -> bool:
    """Turn up to ``limit`` entries. Return whether more remain."""
    waiting = await storage.scan(plain_path(""), limit=limit)
    stamp = timestamp(now)
    for path in waiting:
        entry = await storage.load(plain_path(path), Document)
        if entry is not None:
            meta = Metadata(current=1, oldest=1, created=stamp, updated=stamp, versions={1: Mark(stamp)})
            storage.save(version_path(path, 1), entry)
            storage.save(metadata_path(path), meta)
        storage.delete(plain_path(path))
    if len(waiting) == limit:
        return True
    storage.delete(_MARKER)
    return False
