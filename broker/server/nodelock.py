"""A lock between the processes of one node, released by the kernel when its holder dies."""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["NodeLock"]


class NodeLock:
    """``count`` independent reentrant locks, each excluding the other threads and the other processes.

    Between processes: POSIX record locks on an anonymous file that all processes inherit. They belong to the
    process, not to the descriptor, so a child starts without them and a killed holder loses them. The price of
    that ownership: threads of one process do not exclude each other, hence the second, ordinary lock.
    """

    def __init__(self, count: int) -> None:
        self._fd = os.memfd_create("broker-node-lock", os.MFD_CLOEXEC)
        os.ftruncate(self._fd, count)
        self._count = count
        self._adopt()

    def _adopt(self) -> None:
        # A lock copied by fork may look held by a thread that does not exist on this side.
        self._pid = os.getpid()
        self._threads = [threading.RLock() for _ in range(self._count)]
        self._depth = [0] * self._count

    @contextmanager
    def hold(self, number: int) -> Iterator[None]:
        """Hold one of the locks for the length of a ``with`` block."""
        if self._pid != os.getpid():
            self._adopt()
        with self._threads[number]:
            if self._depth[number] == 0:
                fcntl.lockf(self._fd, fcntl.LOCK_EX, 1, number)
            self._depth[number] += 1
            try:
                yield
            finally:
                self._depth[number] -= 1
                if self._depth[number] == 0:
                    fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, number)
