"""One file, opened so that nobody can point it elsewhere, and watched so that nobody can take it away unseen."""

import errno
import os
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

from broker.plugin import WrongOption
from broker.plugin.audit import AuditDevice, DeviceConfig, DeviceError

from .options import DEFAULT_MODE, DISCARD, STDOUT, FileOptions, parse_options

CHECK_EVERY_SECONDS = 1.0
"""How long a deleted or rotated file may go unnoticed."""

TORN = b"#torn\n"
"""Ends a line of which only a part could be written, so that it never passes for a whole one."""

NOTHING_YET = (0, 0)
"""Device and inode of no file: none was ever open."""

APPEND = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW


class FileDevice(AuditDevice):
    """Appends each line with one ``write``, which the kernel keeps whole between workers of one node.

    The file is opened at the first line and again after any failure, so a device whose disk was full or
    whose folder was missing works again as soon as the cause is gone.
    """

    def __init__(self, options: FileOptions, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._options = options
        self._clock = clock
        self._fd = -1
        self._identity = NOTHING_YET
        self._check_at = 0.0
        self._closed = False

    @classmethod
    def build(cls, config: DeviceConfig) -> AuditDevice:
        """A device for these options; special values get devices of their own. Raises: InvalidRequest."""
        options = parse_options(config)
        if options.path == DISCARD:
            return DiscardDevice()
        if options.path == STDOUT:
            return StdoutDevice()
        return cls(options)

    def check(self) -> None:
        """Look whether there is a folder for the file, and nothing else in the file's place. Raises: WrongOption."""
        path, option = Path(self._options.path), self._options.option
        if not path.parent.is_dir():
            raise WrongOption(option, f"there is no folder {path.parent} to write the audit file in")
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise WrongOption(option, f"{path} is not a regular file")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise WrongOption(option, f"{path} may not be written by this user")

    def write(self, line: bytes) -> None:
        """Append ``line``. Raises: DeviceError, and the next call starts with a fresh ``open``.

        That ``open`` accepts only the file it had before: a chain of lines does not wander into another file
        unless ``reopen`` says so.
        """
        if self._fd < 0:
            self._open()
        try:
            written = os.write(self._fd, line)
        except OSError as error:
            self._release()
            raise _trouble(error) from None
        if written != len(line):
            self._mark_torn()
            raise DeviceError(f"only a part of the line was written ({errno.errorcode[errno.ENOSPC]})")

    def target(self) -> str:
        """The file, by device and inode."""
        return "{}:{}".format(*self._identity)

    def stale(self) -> bool:
        """Compare the file at our path with the one we hold, at most once a second."""
        now = self._clock()
        if self._fd >= 0 and now < self._check_at:
            return False
        if self._identity == NOTHING_YET:
            return False
        self._check_at = now + CHECK_EVERY_SECONDS
        try:
            found = os.stat(self._options.path, follow_symlinks=False)
        except OSError:
            return True
        return (found.st_dev, found.st_ino) != self._identity

    def reopen(self) -> None:
        """Take the file now at our path, creating it if it is gone. Raises: DeviceError."""
        self._release()
        self._identity = NOTHING_YET
        self._open()

    def close(self) -> None:
        """Let go of the file; later lines are refused."""
        self._closed = True
        self._release()

    def _open(self) -> None:
        if self._closed:
            raise DeviceError("the device is closed")
        try:
            fd = open_append(self._options)
        except OSError as error:
            raise _trouble(error) from None
        try:
            identity = _identity_of(fd)
            if self._identity not in (NOTHING_YET, identity):
                raise OSError(errno.ESTALE, "the file was replaced")
            _end_torn_line(fd)
        except OSError as error:
            os.close(fd)
            raise _trouble(error) from None
        self._fd, self._identity = fd, identity
        self._check_at = self._clock() + CHECK_EVERY_SECONDS

    def _mark_torn(self) -> None:
        """Close the torn piece off; where even that fails, the next ``open`` does it."""
        try:
            os.write(self._fd, TORN)
        except OSError:
            pass
        finally:
            self._release()

    def _release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def open_append(options: FileOptions) -> int:
    """Open (or create) a regular file for appending, without following a link. Returns the descriptor.

    Below ``options.beneath`` every folder on the way is opened without following links either, so a link
    planted after the path was approved does not lead out.
    Raises: OSError (ELOOP for a link, EINVAL for anything but a regular file).
    """
    if options.beneath is None:
        return _open_regular(options.path, options.mode, None)
    *folders, name = os.path.relpath(options.path, options.beneath).split("/")
    if os.pardir in folders or name in (os.pardir, os.curdir):
        raise OSError(errno.EPERM, "outside the audit directory")
    # The directory itself is the server's own choice and may be a link; what is below it may not.
    at = os.open(options.beneath, FOLDER & ~os.O_NOFOLLOW)
    try:
        for folder in folders:
            below = os.open(folder, FOLDER, dir_fd=at)
            os.close(at)
            at = below
        return _open_regular(name, options.mode, at)
    finally:
        os.close(at)


def _open_regular(name: str, mode: int, at: int | None) -> int:
    """``O_NONBLOCK`` keeps a FIFO without a reader from hanging us; it has no effect on regular files.

    Readable too, because the last byte tells whether the file ends in a whole line.
    """
    fd = os.open(name, APPEND | os.O_CREAT, mode or DEFAULT_MODE, dir_fd=at)
    try:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        if at is not None and facts.st_nlink > 1:
            raise OSError(errno.EMLINK, "the file has other names")
        if mode and stat.S_IMODE(facts.st_mode) != mode:
            os.fchmod(fd, mode)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _identity_of(fd: int) -> tuple[int, int]:
    facts = os.fstat(fd)
    return facts.st_dev, facts.st_ino


def _end_torn_line(fd: int) -> None:
    """Mark a last line that a crash left unfinished."""
    size = os.fstat(fd).st_size
    if size and os.pread(fd, 1, size - 1) != b"\n":
        os.write(fd, TORN)


def _trouble(error: OSError) -> DeviceError:
    """Our word for the system's error: its errno name and text, which never hold what was written."""
    number = error.errno or errno.EIO
    return DeviceError(f"{errno.errorcode.get(number, 'EIO')}: {error.strerror or os.strerror(number)}")


class DiscardDevice(AuditDevice):
    """Accepts every line and keeps none, for measuring."""

    def write(self, line: bytes) -> None:
        """Accept the line."""


class StdoutDevice(AuditDevice):
    """Writes to the process's standard output, for containers whose platform collects it."""

    def write(self, line: bytes) -> None:
        """Write the whole line, however many calls that takes. Raises: DeviceError."""
        view = memoryview(line)
        try:
            while view:
                view = view[os.write(sys.stdout.fileno(), view) :]
        except (OSError, ValueError) as error:
            raise _trouble(error if isinstance(error, OSError) else OSError(errno.EBADF, "closed")) from None
