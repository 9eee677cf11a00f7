"""One request's dealings with one tenant's store: remembers what it read, buffers what it writes."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec

from broker.plugin.errors import TooLarge
from broker.plugin.storage import ABSENT, Batch, Rejected

from .cache import Entry
from .errors import TransactionConflict, Undecodable
from .listing import merge_children, merge_paths
from .paths import check_path
from .ports import Codec
from .view import View

if TYPE_CHECKING:
    from .tenant import TenantStore

T = TypeVar("T")
Names: TypeAlias = list[str]
"""Paths or children in order; an alias because the class below has a method called ``list``."""
Callbacks: TypeAlias = list[Callable[[], None]]

_encode = msgspec.json.Encoder().encode
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


class Transaction:
    """Reads are repeatable, writes are visible to itself at once and to others only after ``commit``.

    Everything read by ``get`` and ``load`` is a precondition of the commit. ``list`` and ``scan`` are not: they
    show the store as it is when asked, with the transaction's own writes. After ``commit`` the transaction is
    empty again.
    """

    __slots__ = ("_after", "_base", "_entries", "_marks", "_reads", "_signal", "_store", "_writes")

    def __init__(self, store: "TenantStore") -> None:
        self._store = store
        self._entries = store.cache.entries
        self._signal = store.signal_seen
        self._base = store.applied
        self._reads: dict[str, Entry] = {}
        self._writes: dict[str, bytes | None] = {}
        self._marks: set[str] | None = None
        self._after: Callbacks | None = None

    def __repr__(self) -> str:
        return f"Transaction({self._store.tenant!r}, reads={len(self._reads)}, writes={len(self._writes)})"

    @property
    def codec(self) -> Codec:
        """What seals this tenant's entries."""
        return self._store.codec

    async def get(self, path: str) -> bytes | None:
        """Return the plaintext stored at ``path``, or ``None``. Raises: Tampered if it does not open."""
        if self._writes and path in self._writes:
            return self._writes[path]
        entry = self._reads.get(path)
        if entry is None:
            entry = self._entries.get(path)
            if entry is None:
                entry = await self._store.fetch(path)
            else:
                self._entries.move_to_end(path)
            self._reads[path] = entry
        return entry.value

    async def load(self, path: str, kind: type[T]) -> T | None:
        """Return the record at ``path``, or ``None``. The object is shared with other readers: do not change it.

        Raises: Undecodable if what is stored is no such record; Tampered if it does not open.
        """
        if self._writes and path in self._writes:
            value = self._writes[path]
            return None if value is None else _decode(path, value, kind)
        entry = self._reads.get(path)
        if entry is None:
            entry = self._entries.get(path)
            if entry is None:
                entry = await self._store.fetch(path)
            else:
                self._entries.move_to_end(path)
            self._reads[path] = entry
        if entry.kind is kind:
            return entry.decoded  # type: ignore[no-any-return]
        if entry.value is None:
            return None
        decoded = _decode(path, entry.value, kind)
        first = entry.kind is None
        entry.kind, entry.decoded = kind, decoded
        if first:
            self._store.cache.charge_decoded(path, entry)
        return decoded

    def put(self, path: str, value: bytes) -> None:
        """Write bytes when the transaction commits. Raises: TooLarge; InvalidRequest for an impossible path."""
        if len(value) > self._store.max_entry_bytes:
            raise TooLarge(f"the entry is larger than the limit of {self._store.max_entry_bytes} bytes")
        self._writes[check_path(path)] = value

    def mark(self, path: str, value: bytes) -> None:
        """As ``put``, for what nobody is going to read soon: it does not take the place of something else in the cache."""
        self.put(path, value)
        if self._marks is None:
            self._marks = set()
        self._marks.add(path)

    def save(self, path: str, record: msgspec.Struct) -> None:
        """Write a record when the transaction commits. Raises: as ``put``."""
        self.put(path, _encode(record))

    def delete(self, path: str) -> None:
        """Remove what is at ``path``, if anything, when the transaction commits."""
        self._writes[check_path(path)] = None

    async def discard(self, path: str) -> None:
        """Remove what is at ``path``, unread: it need not open. The commit rests on nobody having replaced it meanwhile."""
        if path not in self._reads:
            store = self._store
            applied = store.applied
            stored = await store.store.get(check_path(path))
            revision = ABSENT if stored is None else stored.revision
            self._reads[path] = Entry(None, revision, max(revision, applied))
        self.delete(path)

    async def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> Names:
        """Return the children below ``prefix`` in order, folders ending in ``/``, this transaction's writes included."""
        return await merge_children(self._store.store, self._writes, prefix, after, limit)

    async def scan(self, prefix: str, *, after: str = "", limit: int | None = None) -> Names:
        """Return all paths below ``prefix``, relative to it, in order, this transaction's writes included."""
        return await merge_paths(self._store.store, self._writes, prefix, after, limit)

    def view(self, prefix: str) -> View:
        """Return this transaction as seen from below ``prefix`` (empty, or ending in ``/``)."""
        return View(self, prefix)

    def revision(self, path: str) -> int | None:
        """Return the revision read at ``path`` (0 for nothing stored), or ``None`` if it was not read."""
        entry = self._reads.get(path)
        return None if entry is None else entry.revision

    @property
    def dirty(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self._writes)

    def writes_below(self, prefix: str) -> bool:
        """Whether anything below ``prefix`` is to be committed."""
        return any(path.startswith(prefix) for path in self._writes)

    def observed(self) -> dict[str, Entry]:
        """Return what was read so far, for ``rely_on`` in a later transaction."""
        return dict(self._reads)

    def rely_on(self, reads: dict[str, Entry]) -> bool:
        """Take over reads of an earlier transaction, if every one of them still holds; else take none.

        What a caller worked out from them is then as good as if it had read them now. What this transaction has read
        itself stays as it was read: if that is something else, none is taken either.
        """
        entries = self._entries
        for path, entry in reads.items():
            if entries.get(path) is not entry:
                return False
        if own := self._reads:
            for path, entry in reads.items():
                if own.get(path, entry).revision != entry.revision:
                    return False
        self._reads.update(reads)
        return True

    def pending(self) -> dict[str, bytes | None]:
        """Return the plaintext of what would be committed; ``None`` deletes."""
        return dict(self._writes)

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Call back once the transaction is durable, before ``commit`` returns, even if its caller has gone.

        The callback must be quick. What it raises is reported to the event loop; the commit stands.
        """
        if self._after is None:
            self._after = []
        self._after.append(callback)

    async def commit(self) -> int | None:
        """Make the writes durable, all or none; return their revision, or ``None`` if there were none.

        Raises: TransactionConflict if something read has changed; InsufficientStorage; Unavailable.
        """
        if not self._writes:
            _run(self._after)
            self.rollback()
            return None
        store, seal = self._store, self._store.codec.seal
        batch = Batch(
            {path: None if value is None else seal(path, value) for path, value in self._writes.items()},
            {path: entry.revision for path, entry in self._reads.items()},
        )
        landing = _Landing(store, self._writes, self._marks, self._after)
        outcome = await store.writer.submit(store.store, batch, landing)
        if isinstance(outcome, Rejected):
            for path in outcome.paths:
                store.cache.drop(path)
            raise TransactionConflict(outcome.paths)
        self.rollback()
        return outcome.revision

    @property
    def undisturbed(self) -> bool:
        """Whether nothing at all was announced in this tenant since the transaction began: then ``validate`` holds."""
        return not self._store.moved(self._signal)

    async def validate(self) -> bool:
        """Tell whether everything read is still current, so that the reads make one consistent picture."""
        if not self._store.moved(self._signal):
            return True
        changes = await self._store.store.changes(self._base)
        if changes.paths is None:
            return False
        reads = self._reads
        return not any(
            path in reads and reads[path].seen < revision for path, revision in changes.paths.items()
        )

    def rollback(self) -> None:
        """Forget what was read and written and who wanted to be called."""
        self._reads = {}
        self._writes = {}
        self._marks = None
        self._after = None

    async def reset(self) -> None:
        """Start over with the latest state, to run a handler again."""
        self.rollback()
        store = self._store
        if store.moved(store.signal_seen):
            await store.catch_up()
        self._signal, self._base = store.signal_seen, store.applied


class _Landing:
    """What happens the moment a batch is durable: cache, callbacks, announcement."""

    __slots__ = ("_after", "_marks", "_store", "_writes")

    def __init__(
        self,
        store: "TenantStore",
        writes: dict[str, bytes | None],
        marks: set[str] | None,
        after: Callbacks | None,
    ) -> None:
        self._store = store
        self._writes = writes
        self._marks = marks
        self._after = after

    def landed(self, revision: int) -> None:
        store, marks = self._store, self._marks
        for path, value in self._writes.items():
            if marks is not None and path in marks:
                store.cache.drop(path)
            else:
                store.restamp(path, value, revision)
        _run(self._after)

    def announce(self, own: range) -> None:
        self._store.announce(own)


def _run(callbacks: Callbacks | None) -> None:
    for callback in callbacks or ():
        try:
            callback()
        except Exception as error:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a callback after a commit failed", "exception": error}
            )


def _decode(path: str, value: bytes, kind: type[T]) -> T:
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    try:
        return decoder.decode(value)  # type: ignore[no-any-return]
    except (msgspec.DecodeError, UnicodeDecodeError):
        # The cause is left out: it may quote what is stored.
        raise Undecodable(path, kind.__name__) from None
