"""Files that must be there after a power cut."""

import os
from pathlib import Path


def sync_directory(directory: Path) -> None:
    """Make new names, renames and removals in a folder durable. Raises: OSError."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


__all__ = ["sync_directory"]
