"""Where the tenants' files live: ``DIR/<tenant>.db`` (0600) in a folder of our own (0700), locks in ``DIR/locks``."""

import asyncio
import errno
import os
import re
import secrets
import sqlite3
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from broker.plugin.errors import InvalidRequest, NotFound, Unavailable, WrongSetting
from broker.plugin.files import sync_directory
from broker.plugin.storage import Backend, HeldLock

from . import schema, snapshots
from .faults import translated
from .files import create_private, put_in_place, remove_side_files
from .locks import FileLock
from .store import LOG_BYTES, SqliteStore, close_all

T = TypeVar("T")

_TENANT = re.compile(r"root|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_LOCK_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}", re.ASCII)
LOCK_POLL_SECONDS = 0.2
THREADS = 4


class SqliteBackend(Backend):
    """Opens at most ``max_open`` tenants' files at a time in this process; the longest idle one is closed first.

    Nothing is opened or created before the first use, so it may be built before a fork.
    """

    def __init__(
        self,
        directory: str,
        *,
        migrate: bool = False,
        max_open: int = 64,
        synchronous: str = "FULL",
        log_bytes: int = LOG_BYTES,
    ) -> None:
        self.directory = Path(directory)
        self._migrate = migrate
        self._max_open = max_open
        self._synchronous = synchronous
        self._log_bytes = log_bytes
        self._stores: dict[str, SqliteStore] = {}
        self._open: OrderedDict[SqliteStore, None] = OrderedDict()
        self._threads: ThreadPoolExecutor | None = None
        self._pid = 0

    def __repr__(self) -> str:
        return f"SqliteBackend({str(self.directory)!r})"

    async def check(self) -> None:
        """Make the folders, and see that files can be made in them."""
        try:
            self._make_directories()
            reason = "" if os.access(self.directory, os.R_OK | os.W_OK | os.X_OK) else "permission denied"
        except OSError as error:
            reason = os.strerror(error.errno or errno.EIO)
        if reason:
            raise WrongSetting(
                "path", f"storage sqlite: the folder {self.directory} cannot be used: {reason}"
            )

    async def open(self, tenant: str, *, create: bool = False) -> SqliteStore:
        self._enter_process()
        file = self._file(tenant)
        if not file.exists():
            if not create:
                raise NotFound(f"there is no store of tenant {tenant}")
            await self._blocking(lambda: self._create(tenant, file))
        store = self._stores.get(tenant)
        if store is None:
            with translated(tenant, file):
                store = self._stores[tenant] = self._store(tenant, file)
        store.check()
        return store

    async def tenants(self) -> list[str]:
        if not self.directory.is_dir():
            return []
        return sorted(file.stem for file in self.directory.glob("*.db") if _TENANT.fullmatch(file.stem))

    async def drop(self, tenant: str) -> None:
        self._enter_process()
        file = self._file(tenant)
        await self._forget(tenant)
        if self.directory.is_dir():
            await self._blocking(lambda: self._drop(tenant, file))

    @asynccontextmanager
    async def lock(self, name: str) -> AsyncIterator[Callable[[], bool]]:
        held = await self.try_lock(name)
        while held is None:
            await asyncio.sleep(LOCK_POLL_SECONDS)
            held = await self.try_lock(name)
        try:
            yield held.held
        finally:
            await held.release()

    async def try_lock(self, name: str) -> HeldLock | None:
        if not _LOCK_NAME.fullmatch(name):
            raise InvalidRequest("a lock's name is made of a-z, 0-9, - and _")
        try:
            lock = FileLock(self._lock_file(f"cluster-{name}"))
            return _Held(lock) if lock.try_acquire() else None
        except OSError as error:
            raise Unavailable(f"the lock {name} cannot be taken: {error.strerror}") from error

    async def snapshot(self, tenant: str) -> AsyncIterator[bytes]:
        file = self._file(tenant)
        if not file.exists():
            raise NotFound(f"there is no store of tenant {tenant}")
        with translated(tenant, file):
            async for chunk in snapshots.stream(file, self._blocking):
                yield chunk

    async def restore(self, tenant: str, chunks: AsyncIterator[bytes]) -> None:
        self._enter_process()
        file = self._file(tenant)
        self._make_directories()
        await self._forget(tenant)
        with translated(tenant, file):
            image = await snapshots.receive(file, chunks, self._blocking)
            try:
                await self._blocking(lambda: snapshots.check(image, tenant))
                await self._blocking(lambda: self._replace(tenant, file, image))
            finally:
                image.unlink(missing_ok=True)

    async def close(self) -> None:
        for store in list(self._stores.values()):
            await store.close()
        self._stores.clear()
        self._open.clear()
        if self._threads is not None:
            self._threads.shutdown()
            self._threads = None

    def _enter_process(self) -> None:
        """Start afresh in a child process, and refuse to if its parent had files open when it forked.

        SQLite's own books about locks are inherited by a fork, the locks are not: two processes would write
        at once. So whoever uses a store before a fork closes it first.
        """
        if self._pid not in (0, os.getpid()):
            if any(store.is_open for store in self._stores.values()):
                raise RuntimeError("a store was open when this process was forked; close it before the fork")
            self._stores, self._open, self._threads = {}, OrderedDict(), None
        self._pid = os.getpid()

    def _executor(self) -> ThreadPoolExecutor:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="storage")
        return self._threads

    async def _blocking(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor(), work)

    def _store(self, tenant: str, file: Path) -> SqliteStore:
        return SqliteStore(
            tenant,
            file,
            self._lock_file(f"tenant-{tenant}"),
            synchronous=self._synchronous,
            log_bytes=self._log_bytes,
            migrate=self._migrate,
            executor=self._executor,
            used=self._touch,
        )

    def _touch(self, store: SqliteStore) -> None:
        self._open[store] = None
        self._open.move_to_end(store)
        if len(self._open) > self._max_open:
            idle = next((one for one in self._open if not one.busy and one is not store), None)
            if idle is not None:
                del self._open[idle]
                self._executor().submit(close_all, idle.detach())

    async def _forget(self, tenant: str) -> None:
        store = self._stores.pop(tenant, None)
        if store is not None:
            self._open.pop(store, None)
            await store.close()

    def _file(self, tenant: str) -> Path:
        if not _TENANT.fullmatch(tenant):
            raise InvalidRequest("a tenant's id is root or a UUID in lower case")
        return self.directory / f"{tenant}.db"

    def _lock_file(self, name: str) -> Path:
        self._make_directories()
        return self.directory / "locks" / f"{name}.lock"

    def _make_directories(self) -> None:
        for directory in (self.directory, self.directory / "locks"):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextmanager
    def _exclusive(self, tenant: str) -> Iterator[None]:
        lock = FileLock(self._lock_file(f"tenant-{tenant}"))
        lock.acquire()
        try:
            yield
        finally:
            lock.close()

    def _create(self, tenant: str, file: Path) -> None:
        """Lay the store out beside its place and move it in whole, so that a crash leaves none or all."""
        with translated(tenant, file), self._exclusive(tenant):
            if file.exists():
                return
            fresh = file.with_name(f".{tenant}.{secrets.token_hex(8)}.new")
            create_private(fresh)
            try:
                schema.create(fresh, tenant)
                put_in_place(fresh, file)
            finally:
                fresh.unlink(missing_ok=True)

    def _replace(self, tenant: str, file: Path, image: Path) -> None:
        with self._exclusive(tenant):
            if file.exists():
                # Fold the old log into the old file: should we die before the switch, nothing of it is missing.
                with suppress(sqlite3.Error), closing(schema.connect(file)) as old:
                    old.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            put_in_place(image, file)

    def _drop(self, tenant: str, file: Path) -> None:
        with translated(tenant, file), self._exclusive(tenant):
            file.unlink(missing_ok=True)
            remove_side_files(file)
            sync_directory(self.directory)
            self._lock_file(f"tenant-{tenant}").unlink(missing_ok=True)


class _Held:
    """A cluster lock in hand."""

    def __init__(self, lock: FileLock) -> None:
        self._lock = lock

    def held(self) -> bool:
        return self._lock.is_current()

    async def release(self) -> None:
        self._lock.close()
