"""One tenant's file, open in this process: point reads on the loop, commits and long scans in threads."""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from broker.plugin.errors import Tampered, Unavailable
from broker.plugin.storage import Batch, Changes, Names, Outcomes, Store, Stored

from . import reading, writing
from .faults import translated
from .locks import FileLock
from .schema import connect, verify
from .threads import Job

T = TypeVar("T")

_GET = "SELECT value, revision FROM entries WHERE path = ?"

QUICK_ROWS = 256
"""Rows read on the event loop (well under a millisecond); longer answers continue in a thread."""

LARGE_BYTES = 256 * 1024
LARGE_ROWS = 1000
"""A group above either is written from a thread."""

LOG_BYTES = 32 * 1024 * 1024
"""How long the log grows before it is folded into the file. A page that was written ten times meanwhile is folded in once,
so a longer log is less work for the disk; after a crash it is read whole, which takes some hundredths of a second."""


class SqliteStore(Store):
    """Connections open at the first use in a process, never before a fork, and may be closed when idle."""

    def __init__(
        self,
        tenant: str,
        file: Path,
        lock_file: Path,
        *,
        synchronous: str,
        log_bytes: int,
        migrate: bool,
        executor: Callable[[], ThreadPoolExecutor],
        used: Callable[["SqliteStore"], None],
    ) -> None:
        self.tenant = tenant
        self.file = file
        self._running: set[asyncio.Future[None]] = set()
        self._lock = FileLock(lock_file)
        self._synchronous = synchronous
        self._log_bytes = log_bytes
        self._migrate = migrate
        self._executor = executor
        self._used = used
        self._reader: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None
        self._committing = asyncio.Lock()
        self._writer_inode = 0

    def __repr__(self) -> str:
        return f"SqliteStore({self.tenant!r})"

    @property
    def busy(self) -> bool:
        """Whether a thread works with the connections."""
        return bool(self._running)

    @property
    def is_open(self) -> bool:
        """Whether there are connections, which must not survive a fork."""
        return self._reader is not None or self._writer is not None

    async def get(self, path: str) -> Stored | None:
        try:
            row = self._read().execute(_GET, (path,)).fetchone()
        except Exception:
            # Here only: entering it costs as much as a part of the read.
            with translated(self.tenant, self.file):
                raise
        if row is None:
            return None
        value, revision = row
        if type(value) is not bytes or type(revision) is not int:
            raise Tampered(f"the store of tenant {self.tenant} is damaged")
        return Stored(value, revision)

    async def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> Names:
        return await self._names(reading.children, prefix, after, limit)

    async def scan(self, prefix: str, *, after: str = "", limit: int | None = None) -> Names:
        return await self._names(reading.paths, prefix, after, limit)

    async def commit(self, batches: Sequence[Batch]) -> Outcomes:
        return await self.commit_next(lambda: batches)

    async def commit_next(self, take: Callable[[], Sequence[Batch]]) -> Outcomes:
        """Run the few statements of a usual group on the loop, and wait in a thread: for other processes, for the disk.

        While the loop is busy a thread waits long for its turn at the interpreter, several times per statement; on the
        loop they take tens of microseconds. Only a large group takes the thread for everything.
        """
        started: list[Job[Outcomes]] = []
        async with self._committing:
            with translated(self.tenant, self.file):
                try:
                    # Our own lock, not SQLite's: it wakes the next process at once, where SQLite would poll.
                    if self._writer is None or not self._lock.try_acquire():
                        # With the lock in hand we start in the same turn of the loop: others wait for it.
                        turn = self._begun(self._wait_for_turn, lambda: started.append(self._start(take)))
                        await turn.outcome()
                    else:
                        started.append(self._start(take))
                    return await started[0].outcome()
                finally:
                    for job in started:
                        await job.end()  # who was cancelled while it waited for the lock has a commit under way all the same
                    self._lock.unlock()

    async def changes(self, since: int) -> Changes:
        with translated(self.tenant, self.file):
            return reading.changes(self._read(), since)

    async def revision(self) -> int:
        with translated(self.tenant, self.file):
            return reading.last_revision(self._read())

    async def close(self) -> None:
        # Behind the commits that wait already.
        async with self._committing:
            if self._running:
                await asyncio.wait(self._running)
            if connections := self.detach():
                await self._threaded(lambda: close_all(connections))

    def check(self) -> None:
        """Open the file and verify its header. Raises: ConfigError, Tampered, Unavailable."""
        with translated(self.tenant, self.file):
            self._read()

    def detach(self) -> Sequence[sqlite3.Connection]:
        """Let go of the connections and return them to be closed; the next use opens new ones. Not while ``busy``."""
        connections = [one for one in (self._reader, self._writer) if one is not None]
        self._reader = self._writer = None
        self._lock.close()
        return connections

    def _read(self) -> sqlite3.Connection:
        if self._reader is None:
            self._reader = self._open()
        self._used(self)
        return self._reader

    def _open(self) -> sqlite3.Connection:
        if not self.file.exists():
            raise Unavailable(f"the store of tenant {self.tenant} does not exist any more")
        connection = connect(self.file, synchronous=self._synchronous)
        try:
            verify(connection, self.tenant, migrate=self._migrate)
        except BaseException:
            connection.close()
            raise
        return connection

    async def _names(
        self,
        read: Callable[[sqlite3.Connection, str, str, int | None], Names],
        prefix: str,
        after: str,
        limit: int | None,
    ) -> Names:
        quick = QUICK_ROWS if limit is None else min(limit, QUICK_ROWS)
        with translated(self.tenant, self.file):
            found = read(self._read(), prefix, after, quick)
        if len(found) < quick or quick == limit:
            return found
        rest = None if limit is None else limit - quick
        return found + await self._threaded(lambda: self._read_apart(read, prefix, found[-1], rest))

    def _read_apart(
        self,
        read: Callable[[sqlite3.Connection, str, str, int | None], Names],
        prefix: str,
        after: str,
        limit: int | None,
    ) -> Names:
        # A connection of its own: the loop's point reads do not wait for this one.
        with translated(self.tenant, self.file):
            connection = self._open()
            try:
                connection.execute("BEGIN")
                return read(connection, prefix, after, limit)
            finally:
                connection.close()

    def _wait_for_turn(self) -> None:
        """Wait, in a thread, until other processes are done with the store."""
        if self._writer is None:
            self._open_writer()
        self._lock.acquire()

    def _start(self, take: Callable[[], Sequence[Batch]]) -> Job[Outcomes]:
        """Apply who waits now, and have it made durable in a thread."""
        batches = take()
        if _is_large(batches):
            return self._begun(lambda: self._make_durable(self._write(batches)))
        outcomes = self._write(batches)
        return self._begun(lambda: self._make_durable(outcomes))

    def _open_writer(self) -> None:
        writer = self._open()
        (page_bytes,) = writer.execute("PRAGMA page_size").fetchone()
        writer.execute(f"PRAGMA wal_autocheckpoint={self._log_bytes // page_bytes}")
        writer.execute(f"PRAGMA journal_size_limit={2 * self._log_bytes}")
        self._writer_inode = os.stat(self.file).st_ino
        self._writer = writer

    def _write(self, batches: Sequence[Batch]) -> Outcomes:
        """Apply the batches in a transaction, which stays open unless this raises."""
        assert self._writer is not None
        if not self._is_current():
            raise Unavailable(f"the store of tenant {self.tenant} was dropped or replaced")
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            return writing.apply(self._writer, batches)
        except BaseException:
            self._roll_back()
            raise

    def _make_durable(self, outcomes: Outcomes) -> Outcomes:
        """Commit, and let the next process go on at once, not only when our loop comes round to it."""
        assert self._writer is not None
        try:
            self._writer.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        finally:
            self._lock.unlock()
        return outcomes

    def _roll_back(self) -> None:
        # SQLite has often done so itself by now, as when the disk is full.
        if self._writer is not None and self._writer.in_transaction:
            self._writer.execute("ROLLBACK")

    def _is_current(self) -> bool:
        """Tell whether the open file is still the tenant's: a commit to a removed one would be lost."""
        try:
            return os.stat(self.file).st_ino == self._writer_inode
        except FileNotFoundError:
            return False

    async def _threaded(self, work: Callable[[], T]) -> T:
        """Work in a thread; a caller that is cancelled leaves it to itself."""
        return await asyncio.shield(asyncio.ensure_future(self._begun(work).outcome()))

    def _begun(self, work: Callable[[], T], then: Callable[[], None] | None = None) -> Job[T]:
        job = Job(self._executor(), work, then)
        self._running.add(job.done)
        job.done.add_done_callback(self._running.discard)
        return job


def _is_large(batches: Sequence[Batch]) -> bool:
    rows = sum(len(batch.writes) + len(batch.expects) for batch in batches)
    size = sum(len(value) for batch in batches for value in batch.writes.values() if value is not None)
    return rows > LARGE_ROWS or size > LARGE_BYTES


def close_all(connections: Sequence[sqlite3.Connection]) -> None:
    """Close connections. The last one out folds the log into the file, so this may take a moment."""
    for connection in connections:
        connection.close()
