"""Where a request's head and body end: decided here, strictly, before anything is interpreted.

The C parser is fast but lenient at the edges: it takes lines that end in LF alone, turns a folded header into one
without a name, and lets lengths wrap around at 64 bits. Proxies read such bytes in other ways, which is how
requests are smuggled past them. So the parser is shown a whole head that passed these checks, and chunked bodies,
which are rare, are taken apart here.
"""

import re
from typing import Final

__all__ = ["BadFraming", "ChunkedBody", "HeadBuffer", "HeadTooLarge", "check_fields"]

_HEAD_LIMIT: Final = 64 * 1024  # bytes
_LENGTH = re.compile(rb"[0-9]{1,15}", re.ASCII)
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;[\x20-\x7e\t]*)?", re.ASCII)
_TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\x20-\x7e\x80-\xff\t]*", re.ASCII)
_LINE_LIMIT: Final = 1024
_TRAILER_LIMIT: Final = 8 * 1024


class BadFraming(Exception):
    """These bytes can be read in more than one way."""


class HeadTooLarge(Exception):
    """The head is over its limits; ``target`` tells that the request line alone is."""

    def __init__(self, *, target: bool = False) -> None:
        super().__init__("the request's head is too large")
        self.target = target


class HeadBuffer:
    """Collects one head, up to and including its empty line."""

    __slots__ = ("_bytes", "_line_limit")

    def __init__(self, header_count: int) -> None:
        self._bytes = bytearray()
        self._line_limit = header_count + 2  # the request line and the empty one

    @property
    def begun(self) -> bool:
        """True once a byte of a head has come."""
        return bool(self._bytes)

    def take(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Take bytes; the head and what follows it once it is whole. Raises: BadFraming, HeadTooLarge."""
        if not self._bytes:
            data = data.lstrip(b"\r\n")  # some clients end a body with a line break too many
            end = data.find(b"\r\n\r\n")
            if end >= 0:
                return self._checked(data[: end + 4]), data[end + 4 :]
        return self._collect(data)

    def _collect(self, data: bytes) -> tuple[bytes, bytes] | None:
        before = len(self._bytes)
        self._bytes += data
        end = self._bytes.find(b"\r\n\r\n", max(0, before - 3))
        if end >= 0:
            whole = bytes(self._bytes)
            self._bytes.clear()
            return self._checked(whole[: end + 4]), whole[end + 4 :]
        fresh = self._bytes[max(0, before - 1) :]
        if fresh.count(b"\n") - fresh.startswith(b"\n") != fresh.count(b"\r\n"):
            raise BadFraming
        if len(self._bytes) > _HEAD_LIMIT:
            raise HeadTooLarge(target=b"\r\n" not in self._bytes)
        return None

    def _checked(self, head: bytes) -> bytes:
        lines = head.count(b"\r\n")
        if head.count(b"\n") != lines:
            raise BadFraming
        if len(head) > _HEAD_LIMIT or lines > self._line_limit:
            raise HeadTooLarge(target=head.find(b"\r\n") > _HEAD_LIMIT)
        return head


def check_fields(fields: dict[bytes, bytes], version: tuple[int, int]) -> None:
    """The header fields that decide where a request ends and whose it is. Raises: BadFraming."""
    if b"" in fields or (version >= (1, 1) and b"host" not in fields):
        raise BadFraming
    length = fields.get(b"content-length")
    if length is not None and not _LENGTH.fullmatch(length):
        raise BadFraming


class ChunkedBody:
    """Takes a chunked body apart (RFC 9112 section 7.1), every line ended by CR LF, sizes of at most 32 bits."""

    __slots__ = ("_line", "_missing", "_state", "_trailer_bytes")

    def __init__(self) -> None:
        self._state = "size"
        self._line = b""
        self._missing = 0
        self._trailer_bytes = 0

    def take(self, data: bytes) -> tuple[list[bytes], bytes | None]:
        """Take bytes: the pieces of body in them and, once the body has ended, what follows. Raises: BadFraming."""
        pieces: list[bytes] = []
        while data:
            if self._state == "data":
                piece, data = data[: self._missing], data[self._missing :]
                pieces.append(piece)
                self._missing -= len(piece)
                self._state = "data" if self._missing else "end of data"
                continue
            line, data = self._take_line(data)
            if line is not None and self._next_state(line):
                return pieces, data
        return pieces, None

    def _take_line(self, data: bytes) -> tuple[bytes | None, bytes]:
        """Complete the line begun before, or keep what there is of it."""
        seen = self._line + data
        end = seen.find(b"\n")
        if end < 0:
            if len(seen) > _LINE_LIMIT:
                raise BadFraming
            self._line = seen
            return None, b""
        if end == 0 or seen[end - 1] != 0x0D or end > _LINE_LIMIT:
            raise BadFraming
        self._line = b""
        return seen[: end - 1], seen[end + 1 :]

    def _next_state(self, line: bytes) -> bool:
        """Go on after a line; True at the end of the body."""
        if self._state == "end of data":
            if line:
                raise BadFraming
            self._state = "size"
        elif self._state == "size":
            found = _SIZE_LINE.fullmatch(line)
            if found is None:
                raise BadFraming
            self._missing = int(found[1], 16)
            self._state = "data" if self._missing else "trailer"
        else:
            return self._end_of_trailer(line)
        return False

    def _end_of_trailer(self, line: bytes) -> bool:
        """Trailers are checked and dropped: nothing here may come in by that door."""
        self._trailer_bytes += len(line)
        if line and (not _TRAILER.fullmatch(line) or self._trailer_bytes > _TRAILER_LIMIT):
            raise BadFraming
        return not line
