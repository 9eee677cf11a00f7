"""A tenant's file as a stream, and back.

Shape: 16 bytes magic, 8 bytes image length (big-endian), the SQLite image, 32 bytes SHA-256 of the image. The digest
finds accidents (truncation, flipped bits); what an enemy changes is found by the barrier and by the snapshot's own MAC.
"""

import hashlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

from broker.plugin.errors import InvalidRequest

from .files import create_private
from .schema import connect, verify

MAGIC = b"broker-sqlite-1\n"
CHUNK_BYTES = 1024 * 1024
_DIGEST_BYTES = 32

T = TypeVar("T")


class Blocking(Protocol):
    """Runs work in a thread."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]: ...


async def stream(file: Path, blocking: Blocking) -> AsyncIterator[bytes]:
    """Copy the store at one moment and hand the copy out; commits go on meanwhile."""
    copy = await blocking(lambda: _copy(file))
    try:
        size = copy.seek(0, 2)
        copy.seek(0)
        digest = hashlib.sha256()
        yield MAGIC + size.to_bytes(8, "big")
        while chunk := await blocking(lambda: copy.read(CHUNK_BYTES)):
            digest.update(chunk)
            yield chunk
        yield digest.digest()
    finally:
        copy.close()


async def receive(file: Path, chunks: AsyncIterator[bytes], blocking: Blocking) -> Path:
    """Write a snapshot's image beside ``file`` and return where. Raises: InvalidRequest if it is not whole."""
    image = file.with_name(f".{file.stem}.{secrets.token_hex(8)}.new")
    create_private(image)
    try:
        with await blocking(lambda: open(image, "r+b")) as out:
            await _receive(out, chunks, blocking)
    except BaseException:
        image.unlink(missing_ok=True)
        raise
    return image


def check(image: Path, tenant: str) -> None:
    """Make sure that an image is a sound store of this tenant, and of our format: an older image is brought up to date.

    Raises: InvalidRequest, ConfigError, Tampered.
    """
    with closing(connect(image)) as connection:
        verify(connection, tenant, migrate=True)
        (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        # Only the image itself is moved into place, so what a migration wrote must not stay in its log.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    if verdict != "ok":
        raise InvalidRequest("the snapshot's image is damaged")


async def _receive(out: BinaryIO, chunks: AsyncIterator[bytes], blocking: Blocking) -> None:
    header, tail = bytearray(), bytearray()
    digest, left = hashlib.sha256(), -1
    head_size = len(MAGIC) + 8
    async for chunk in chunks:
        if left < 0:
            header += chunk
            if len(header) < head_size:
                continue
            if not header.startswith(MAGIC):
                raise InvalidRequest("this is not a snapshot of a SQLite store")
            left = int.from_bytes(header[len(MAGIC) : head_size], "big")
            chunk = bytes(header[head_size:])
        body, rest = chunk[:left], chunk[left:]
        left -= len(body)
        digest.update(body)
        await blocking(lambda body=body: out.write(body))  # type: ignore[misc]
        tail += rest
        if len(tail) > _DIGEST_BYTES:
            raise InvalidRequest("the snapshot is longer than it says")
    if left != 0 or len(tail) != _DIGEST_BYTES:
        raise InvalidRequest("the snapshot is truncated")
    if bytes(tail) != digest.digest():
        raise InvalidRequest("the snapshot is damaged: its digest does not match")


def _copy(file: Path) -> BinaryIO:
    """Return an open, already unlinked copy of the store. Never open the live file itself.

    Closing any descriptor of the live file would free the locks that SQLite holds on it in this process.
    """
    copy = file.with_name(f".{file.stem}.{secrets.token_hex(8)}.new")
    create_private(copy)
    try:
        with closing(connect(file)) as source, closing(connect(copy, synchronous="OFF")) as target:
            source.backup(target)
        return open(copy, "rb")
    finally:
        copy.unlink(missing_ok=True)
        for suffix in ("-wal", "-shm"):
            Path(f"{copy}{suffix}").unlink(missing_ok=True)
