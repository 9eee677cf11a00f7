"""The node page: what all workers of one node share, in memory only.

The arbiter maps one anonymous page before it forks; every worker inherits it. It holds the root key while the
node is unsealed, the progress of the ceremonies, and one change counter per tenant. It is locked in memory
(unless told otherwise), left out of core dumps, and never touches a disk. When the last process ends, it is gone.
"""

import ctypes
import mmap
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from broker.server.nodelock import NodeLock
from broker.server.noticeboard import Noticeboard
from broker.server.ratetable import RateTable
from broker.server.writertable import WriterTable

__all__ = ["BLOB_LIMIT", "KEY_SIZE", "TENANT_SLOTS", "WORKER_SLOTS", "NodePage", "PageLockError"]

KEY_SIZE = 32
TENANT_SLOTS = 8192
WORKER_SLOTS = 128
SHARED_COUNTERS = 64
BLOBS = 24
BLOB_LIMIT = 32 * 1024
_NAME_LIMIT = 56

# Offsets in 8-byte words for the counters, in bytes for the rest.
_GENERATION, _KEY_PRESENT = 0, 1
_KEY_AT = 2 * 8
_SHARED = (_KEY_AT + KEY_SIZE) // 8
_READY = _SHARED + SHARED_COUNTERS
_WORKERS = _READY + 1
_TENANTS = _WORKERS + WORKER_SLOTS
_BLOBS_AT = (_TENANTS + TENANT_SLOTS) * 8
_BLOB_HEAD = 8 + _NAME_LIMIT  # 4 bytes length + 1, 1 byte name length, padding, then the name
_BLOB_STRIDE = _BLOB_HEAD + BLOB_LIMIT
_SIZE = _BLOBS_AT + BLOBS * _BLOB_STRIDE
_SLOT_MEMO_LIMIT = 100_000

_STATE, _COUNTERS = 0, 1  # lock numbers: a long ceremony must not hold up a change announcement


class PageLockError(OSError):
    """The page could not be locked in memory."""


class NodePage:
    """Shared state of the processes on this node. Create it before forking; use it from any thread or process.

    >>> page = NodePage(lock_memory=False)
    >>> before = page.read("root")
    >>> page.announce("root")
    >>> page.read("root") - before
    1
    """

    def __init__(self, *, lock_memory: bool = True) -> None:
        """Map the page. Raises: PageLockError if ``lock_memory`` is asked for and refused by the kernel."""
        self._map = mmap.mmap(-1, _SIZE)
        self._map.madvise(mmap.MADV_DONTDUMP)
        self._bytes = memoryview(self._map)
        self._words = self._bytes[:_BLOBS_AT].cast("Q")
        self._lock = NodeLock(2)
        self._slots: dict[str, int] = {}
        self.rates = RateTable()
        self.board = Noticeboard()
        self.writers = WriterTable()
        self.lock_memory = lock_memory
        if lock_memory:
            self.pin()

    def pin(self) -> None:
        """Keep the page out of swap. A fork does not inherit this, so each process calls it. Raises: PageLockError."""
        libc = ctypes.CDLL(None, use_errno=True)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        if libc.mlock(ctypes.c_void_p(start), ctypes.c_size_t(_SIZE)) != 0:
            raise PageLockError(ctypes.get_errno(), "cannot lock the node page in memory")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Exclude every other thread and process. Reentrant; released by the kernel if the holder is killed."""
        with self._lock.hold(_STATE):
            yield

    # -- seal state ------------------------------------------------------------------------------------------

    def seal_generation(self) -> int:
        """Count of seals and unseals so far; compare it to notice a change (~100 ns)."""
        return self._words[_GENERATION]

    def root_key(self) -> bytes | None:
        """The root key, or None while sealed."""
        with self.locked():
            if not self._words[_KEY_PRESENT]:
                return None
            return bytes(self._bytes[_KEY_AT : _KEY_AT + KEY_SIZE])

    def install_root_key(self, key: bytes) -> None:
        """Unseal the node for every worker. Raises: ValueError unless the key has 32 bytes."""
        if len(key) != KEY_SIZE:
            raise ValueError(f"a root key has {KEY_SIZE} bytes")
        with self.locked():
            self._bytes[_KEY_AT : _KEY_AT + KEY_SIZE] = key
            self._words[_KEY_PRESENT] = 1
            self._words[_GENERATION] += 1

    def replace_root_key(self, key: bytes) -> None:
        """Put another root key in the place of the one there: nothing is sealed or unsealed by it.

        A node that was sealed meanwhile stays sealed. Raises: ValueError unless the key has 32 bytes.
        """
        if len(key) != KEY_SIZE:
            raise ValueError(f"a root key has {KEY_SIZE} bytes")
        with self.locked():
            if self._words[_KEY_PRESENT]:
                self._bytes[_KEY_AT : _KEY_AT + KEY_SIZE] = key

    def wipe(self) -> None:
        """Seal the node for every worker: the key and all ceremony progress are overwritten with zeros."""
        with self.locked():
            self._words[_KEY_PRESENT] = 0
            self._bytes[_KEY_AT : _KEY_AT + KEY_SIZE] = bytes(KEY_SIZE)
            self._bytes[_BLOBS_AT:] = bytes(_SIZE - _BLOBS_AT)
            self._words[_GENERATION] += 1

    # -- ceremonies ------------------------------------------------------------------------------------------

    def read_ceremony(self, name: str) -> bytes | None:
        """The blob kept under ``name``, or None."""
        with self.locked():
            at = self._find_blob(name)
            if at is None:
                return None
            size = int.from_bytes(self._bytes[at : at + 4], "little")
            return bytes(self._bytes[at + _BLOB_HEAD : at + _BLOB_HEAD + size])

    def write_ceremony(self, name: str, blob: bytes | None) -> None:
        """Keep ``blob`` under ``name``, or forget it (None) and overwrite it with zeros.

        Raises: ValueError if the name is over 56 bytes, the blob over 32 KiB, or all 24 places are taken.
        Hold ``locked()`` around a read and the write that depends on it.
        """
        if blob is not None and len(blob) > BLOB_LIMIT:
            raise ValueError(f"a ceremony's state is limited to {BLOB_LIMIT} bytes")
        with self.locked():
            at = self._find_blob(name)
            if at is not None:
                self._bytes[at : at + _BLOB_STRIDE] = bytes(_BLOB_STRIDE)
            if blob is not None:
                self._fill_blob(self._free_blob() if at is None else at, name.encode(), blob)

    def _find_blob(self, name: str) -> int | None:
        wanted = name.encode()
        if not 0 < len(wanted) <= _NAME_LIMIT:
            raise ValueError(f"a ceremony's name has 1 to {_NAME_LIMIT} bytes")
        for at in range(_BLOBS_AT, _SIZE, _BLOB_STRIDE):
            if self._bytes[at + 4] == len(wanted) and self._bytes[at + 8 : at + 8 + len(wanted)] == wanted:
                return at
        return None

    def _free_blob(self) -> int:
        for at in range(_BLOBS_AT, _SIZE, _BLOB_STRIDE):
            if self._bytes[at + 4] == 0:
                return at
        raise ValueError(f"all {BLOBS} ceremony places are taken")

    def _fill_blob(self, at: int, name: bytes, blob: bytes) -> None:
        body = at + _BLOB_HEAD
        self._bytes[body : body + len(blob)] = blob
        self._bytes[at : at + 4] = len(blob).to_bytes(4, "little")
        self._bytes[at + 8 : at + 8 + len(name)] = name
        # The name's length goes last: a writer killed before this line leaves a free place, not half a blob.
        self._bytes[at + 4] = len(name)

    # -- change counters -------------------------------------------------------------------------------------

    def read(self, tenant: str) -> int:
        """This tenant's change counter (~150 ns). Tenants may share one: that only invalidates too much."""
        slot = self._slots.get(tenant)
        if slot is None:
            slot = self._remember_slot(tenant)
        return self._words[slot]

    def announce(self, tenant: str) -> int:
        """Tell every worker that the tenant's store has changed; call it after the change is durable.

        Returns the tenant's counter as this call left it.
        """
        slot = self._slots.get(tenant) or self._remember_slot(tenant)
        with self._lock.hold(_COUNTERS):
            self._words[slot] += 1
            return self._words[slot]

    def bump_all(self) -> None:
        """Announce for every tenant; for when a worker died and may have committed without announcing."""
        with self._lock.hold(_COUNTERS):
            words = self._words
            for slot in range(_TENANTS, _TENANTS + TENANT_SLOTS):
                words[slot] += 1

    def _remember_slot(self, tenant: str) -> int:
        if len(self._slots) >= _SLOT_MEMO_LIMIT:
            self._slots.clear()
        slot = _TENANTS + zlib.crc32(tenant.encode()) % TENANT_SLOTS
        self._slots[tenant] = slot
        return slot

    # -- small counters --------------------------------------------------------------------------------------

    def add(self, counter: int, amount: int = 1) -> int:
        """Add to shared counter 0..63 and return the new value (modulo 2**64)."""
        with self._lock.hold(_COUNTERS):
            value = (self._words[_SHARED + _checked(counter, SHARED_COUNTERS)] + amount) % 2**64
            self._words[_SHARED + counter] = value
            return value

    def total(self, counter: int) -> int:
        """The value of shared counter 0..63."""
        return self._words[_SHARED + _checked(counter, SHARED_COUNTERS)]

    def set_connections(self, worker: int, count: int) -> None:
        """Publish how many connections a worker holds; only that worker (or the arbiter, after its death) writes."""
        self._words[_WORKERS + worker] = count

    def connections(self, workers: int) -> list[int]:
        """Open connections of workers 0..workers-1."""
        return self._words[_WORKERS : _WORKERS + workers].tolist()

    def mark_ready(self) -> None:
        """A worker has begun to serve."""
        self._words[_READY] = 1

    def was_ready(self) -> bool:
        """True once any worker of this node has served."""
        return bool(self._words[_READY])

    def __repr__(self) -> str:
        return f"<NodePage pid={os.getpid()} generation={self.seal_generation()}>"


def _checked(index: int, limit: int) -> int:
    if not 0 <= index < limit:
        raise IndexError(f"shared counters are numbered 0 to {limit - 1}")
    return index
