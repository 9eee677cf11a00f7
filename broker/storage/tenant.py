"""One tenant's store with its decrypted cache: where transactions begin."""

import asyncio
from collections.abc import Awaitable, Callable

from broker.plugin.errors import Tampered
from broker.plugin.storage import Store

from .cache import Entry, PlainCache, absent
from .paths import check_text
from .ports import ChangeSignal, Codec
from .transaction import Transaction
from .writer import NOBODYS, Writer

CACHE_BYTES = 64 * 1024 * 1024
MAX_ENTRY_BYTES = 32 * 1024 * 1024


class TenantStore:
    """Joins a store, the tenant's cipher, the change signal and the worker's writer.

    Cached reads are exact on a node: a transaction that begins after a commit was acknowledged anywhere on
    the node sees it. ``begin`` compares one integer; only if it moved is the change feed read.
    ``renew`` has the codec take over keys that another worker made.
    """

    def __init__(
        self,
        store: Store,
        *,
        tenant: str,
        codec: Codec,
        signal: ChangeSignal,
        writer: Writer,
        cache_bytes: int = CACHE_BYTES,
        max_entry_bytes: int = MAX_ENTRY_BYTES,
        renew: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.tenant = tenant
        self.store = store
        self.codec = codec
        self.writer = writer
        self.max_entry_bytes = max_entry_bytes
        self.cache = PlainCache(cache_bytes)
        self.applied = -1  # The revision up to which the cache has heard all news; -1 before the first.
        self.signal_seen: int | None = None
        self._signal = signal
        self._renew = renew
        self._generation = 0
        self._catching_up = asyncio.Lock()

    def __repr__(self) -> str:
        return f"TenantStore({self.tenant!r})"

    def begin_now(self) -> Transaction | None:
        """As ``begin``, without waiting: ``None`` if there is news to hear first."""
        return Transaction(self) if self._signal.read(self.tenant) == self.signal_seen else None

    async def begin(self) -> Transaction:
        """Start a transaction that sees everything acknowledged so far on this node."""
        if self._signal.read(self.tenant) != self.signal_seen:
            await self.catch_up()
        return Transaction(self)

    def moved(self, signal_seen: int | None) -> bool:
        """Tell whether anything was announced since the signal had this value."""
        return self._signal.read(self.tenant) != signal_seen

    def holds(self, reads: dict[str, Entry]) -> bool:
        """Tell whether reads of an earlier transaction are still what a new one would read."""
        if self._signal.read(self.tenant) != self.signal_seen:
            return False
        entries = self.cache.entries
        return all(entries.get(path) is entry for path, entry in reads.items())

    def announce(self, own: range = NOBODYS) -> None:
        """Tell every worker of the node that this tenant's store changed.

        ``own`` are the revisions of a commit of this worker whose entries are in the cache already. If those are all that is new,
        the change feed is not read for them.
        """
        heard = self.signal_seen
        signal = self._signal.announce(self.tenant)
        if not own or heard is None or signal != heard + 1 or self._catching_up.locked():
            return
        if self.applied == own.start - 1:
            self.applied, self.signal_seen = own.stop - 1, signal

    async def catch_up(self) -> None:
        """Drop what changed since the last look, and nothing else."""
        async with self._catching_up:
            # The signal is read first: news that arrives while the feed is read is looked at next time.
            signal = self._signal.read(self.tenant)
            if signal != self.signal_seen:
                await self._read_feed()
                self.signal_seen = signal

    async def poll(self) -> bool:
        """Ask the store itself for news, for changes nobody announced (a writer killed in between, other nodes).

        Returns whether there were any. Call it now and then; requests never need to wait for it.
        """
        async with self._catching_up:
            return await self._read_feed()

    async def fetch(self, path: str) -> Entry:
        """Read and decrypt one entry, and cache it. Raises: Tampered naming the path; InvalidRequest."""
        check_text(path)
        applied, generation = self.applied, self._generation
        stored = await self.store.get(path)
        if stored is None:
            entry = absent(applied)
        else:
            try:
                value = self.codec.open(path, stored.value)
            except Tampered:
                value = await self._open_for_certain(path, stored.value)
            entry = Entry(value, stored.revision, max(stored.revision, applied))
        # News applied while the store was being read may have been about this path: then it must not be kept.
        if generation == self._generation and (applied == self.applied or entry.revision > self.applied):
            self.cache.remember(path, entry)
        return entry

    async def _open_for_certain(self, path: str, sealed: bytes) -> bytes:
        """Decrypt with the newest keys there are. Raises: Tampered: the entry is damaged, and not just new."""
        if self._renew is not None:
            await self._renew()
        try:
            return self.codec.open(path, sealed)
        except Tampered as error:
            raise Tampered(str(error)) from None

    def forget(self) -> None:
        """Drop all plaintext, as when sealing; reads under way are not cached either."""
        self._generation += 1
        self.cache.clear()

    def restamp(self, path: str, value: bytes | None, revision: int) -> None:
        """Cache what this worker has just committed itself."""
        if revision > self.applied:
            entry = absent(revision) if value is None else Entry(value, revision, revision)
            self.cache.remember(path, entry)
        else:
            self.cache.drop(path)

    async def close(self) -> None:
        """Drop all plaintext and close the store. Closing twice is allowed."""
        self.forget()
        await self.store.close()

    async def _read_feed(self) -> bool:
        if self.applied < 0:
            self.cache.clear()
            self.applied = await self.store.revision()
            return True
        changes = await self.store.changes(self.applied)
        if changes.paths is None:
            self.cache.clear()
            self.applied = changes.revision
            return True
        self.cache.apply(changes.paths)
        self.applied = max(self.applied, changes.revision)
        return bool(changes.paths)
