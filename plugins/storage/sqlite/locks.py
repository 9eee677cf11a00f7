"""Locks between processes: a file, ``flock`` on it, freed by the kernel when its holder dies."""

import fcntl
import os
from pathlib import Path


class FileLock:
    """One file to be locked. Every instance is a holder of its own, in the same process too."""

    __slots__ = ("_fd", "_file")

    def __init__(self, file: Path) -> None:
        self._file = file
        self._fd = -1

    def acquire(self) -> None:
        """Take the lock, waiting (in the kernel) until it is free."""
        while not self._take(fcntl.LOCK_EX):
            pass

    def try_acquire(self) -> bool:
        """Take the lock if it is free; tell whether it was."""
        try:
            while not self._take(fcntl.LOCK_EX | fcntl.LOCK_NB):
                pass
        except BlockingIOError:
            self.close()
            return False
        return True

    def unlock(self) -> None:
        """Free the lock and keep the file open for the next time."""
        if self._fd >= 0:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Free the lock and close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def is_current(self) -> bool:
        """Tell whether the open file is still the one that others would open."""
        if self._fd < 0:
            return False
        try:
            there = os.stat(self._file)
        except FileNotFoundError:
            return False
        here = os.fstat(self._fd)
        return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)

    def _take(self, how: int) -> bool:
        if self._fd < 0:
            self._fd = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(self._fd, how)
        if self.is_current():
            return True
        # The file was removed while we waited: whoever comes next would lock another one.
        self.close()
        return False
