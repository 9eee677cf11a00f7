"""The SQLite backend over a private folder in memory: the same behaviour, minus the waiting for a disk."""

import atexit
import os
import secrets
import shutil
import tempfile
from pathlib import Path

from broker.plugin.errors import Unavailable

from ..sqlite.backend import SqliteBackend

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 (a random name, created 0700, owner checked)
LOG_BYTES = 4 * 1024 * 1024
"""A short log: it saves no work here, and containers often have little of this memory."""


class InmemBackend(SqliteBackend):
    """Picks an unguessable folder when built; the first use, in whatever worker, creates it (0700).

    The process that built it removes the folder when it exits, or at ``close``; its children never do.
    """

    def __init__(self) -> None:
        base = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
        folder = base / f"broker-{os.getuid()}-{secrets.token_hex(16)}"
        super().__init__(str(folder), synchronous="OFF", log_bytes=LOG_BYTES)
        self._builder = os.getpid()
        atexit.register(self._remove)

    async def close(self) -> None:
        await super().close()
        self._remove()

    def _make_directories(self) -> None:
        super()._make_directories()
        found = self.directory.lstat()
        if found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise Unavailable("the folder of the in-memory store is not private")

    def _remove(self) -> None:
        if os.getpid() == self._builder:
            atexit.unregister(self._remove)
            shutil.rmtree(self.directory, ignore_errors=True)
