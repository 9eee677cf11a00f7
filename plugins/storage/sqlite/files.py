"""Files and folders that only this user reads, moved into place whole and durably."""

import os
from contextlib import suppress
from pathlib import Path

from broker.plugin.files import sync_directory

SIDE_FILES = ("-wal", "-shm")
"""What SQLite keeps beside a file in write-ahead mode."""


def create_private(file: Path) -> None:
    """Create an empty file (0600). Raises: FileExistsError."""
    os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))


def put_in_place(image: Path, file: Path) -> None:
    """Move a complete file to its place. An old log beside it would be replayed into it, so that goes first."""
    fd = os.open(image, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    remove_side_files(file)
    os.replace(image, file)
    sync_directory(file.parent)


def remove_side_files(file: Path) -> None:
    """Remove a file's log, if there is one."""
    for suffix in SIDE_FILES:
        with suppress(FileNotFoundError):
            os.unlink(f"{file}{suffix}")
