"""SQLite's and the system's errors in our words. They name the tenant, never a path below it or a value.

Damage may also show only when JSON from the file is read, as that of the change feed.
"""

import errno
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from broker.plugin.errors import BrokerError, InsufficientStorage, Tampered, Unavailable

log = logging.getLogger("broker.storage.sqlite")

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def translated(tenant: str, file: Path) -> Iterator[None]:
    """Turn what goes wrong inside into a BrokerError about this tenant's store."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translate(error, tenant, file) from error
    except msgspec.DecodeError as error:
        raise _damaged(tenant) from error
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise _full(tenant) from error
        raise _unavailable(tenant, error.strerror or type(error).__name__) from error


def _translate(error: sqlite3.Error, tenant: str, file: Path) -> BrokerError:
    code = getattr(error, "sqlite_errorcode", 0)
    primary = code & 0xFF
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "decode to UTF-8" in str(error):
        return _damaged(tenant, code)
    if primary == sqlite3.SQLITE_FULL or (primary == sqlite3.SQLITE_IOERR and _is_full(file)):
        return _full(tenant)
    return _unavailable(tenant, getattr(error, "sqlite_errorname", type(error).__name__))


def _damaged(tenant: str, code: int = 0) -> Tampered:
    log.error("storage_corrupt", extra={"tenant": tenant, "sqlite_errorcode": code})
    return Tampered(f"the store of tenant {tenant} is damaged")


def _full(tenant: str) -> InsufficientStorage:
    log.error("storage_full", extra={"tenant": tenant})
    return InsufficientStorage()


def _unavailable(tenant: str, reason: str) -> Unavailable:
    log.error("storage_unavailable", extra={"tenant": tenant, "reason": reason})
    return Unavailable(f"the store of tenant {tenant} does not answer: {reason}")


def _is_full(file: Path) -> bool:
    """Tell whether an I/O error is a want of room: a full disk, or the process's file size limit."""
    import resource

    try:
        room = os.statvfs(file.parent)
        size = max(
            os.stat(f"{file}{suffix}").st_size for suffix in ("", "-wal") if os.path.exists(f"{file}{suffix}")
        )
    except (OSError, ValueError):
        return False
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return room.f_bavail == 0 or (limit != resource.RLIM_INFINITY and size + 65536 > limit)
