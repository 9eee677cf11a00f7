"""The part of ASN.1's Basic Encoding Rules that LDAP uses: tags of one byte, definite lengths.

Source: ITU-T X.690, as narrowed by RFC 4511 section 5.1.
"""

BOOLEAN, INTEGER, OCTETS, ENUMERATED, SEQUENCE, SET = 0x01, 0x02, 0x04, 0x0A, 0x30, 0x31
MAX_MESSAGE = 4 << 20
"""A server's message may have this many bytes; what is longer ends the connection."""


class Malformed(ValueError):
    """The bytes are not what the protocol says they are."""


def tlv(tag: int, *parts: bytes) -> bytes:
    """Encode a tag, a length and the parts behind it."""
    body = b"".join(parts)
    size = len(body)
    if size < 0x80:
        return bytes((tag, size)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + body


def integer(value: int, tag: int = INTEGER) -> bytes:
    """Encode a number, two's complement in as few bytes as it needs."""
    return tlv(tag, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def boolean(value: bool, tag: int = BOOLEAN) -> bytes:
    return tlv(tag, b"\xff" if value else b"\x00")


def octets(value: bytes | str, tag: int = OCTETS) -> bytes:
    """Encode bytes, or text as UTF-8. Raises: UnicodeEncodeError for text with lone surrogates."""
    return tlv(tag, value.encode() if isinstance(value, str) else value)


def first_message(data: bytes | bytearray) -> int | None:
    """Return how many bytes the first message takes, ``None`` while not enough of it is there. Raises: Malformed."""
    if not data:
        return None
    if data[0] != SEQUENCE:
        raise Malformed("not an LDAP message")
    head = _length(data, 1)
    if head is None:
        return None
    start, size = head
    if start + size > MAX_MESSAGE:
        raise Malformed("the message is too long")
    return start + size if len(data) >= start + size else None


def _length(data: bytes | bytearray, at: int) -> tuple[int, int] | None:
    """Return where the content begins and its length, ``None`` if the length is cut off. Raises: Malformed."""
    if at >= len(data):
        return None
    short = data[at]
    if short < 0x80:
        return at + 1, short
    count = short & 0x7F
    if not 1 <= count <= 4:
        raise Malformed("a length that is not definite, or beyond all measure")
    if len(data) < at + 1 + count:
        return None
    return at + 1 + count, int.from_bytes(data[at + 1 : at + 1 + count], "big")


class Reader:
    """What stands in a value, element by element. Every method raises Malformed if something else stands there."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def more(self) -> bool:
        return self._at < len(self._data)

    @property
    def tag(self) -> int:
        """The tag of the next element, 0 at the end."""
        return self._data[self._at] if self.more else 0

    def take(self, tag: int) -> bytes:
        """Return the content of the next element, which must have this tag."""
        if self.tag != tag:
            raise Malformed(f"expected tag {tag:#04x}, found {self.tag:#04x}")
        head = _length(self._data, self._at + 1)
        if head is None or sum(head) > len(self._data):
            raise Malformed("an element is cut off")
        start, size = head
        self._at = start + size
        return self._data[start : start + size]

    def inside(self, tag: int) -> "Reader":
        return Reader(self.take(tag))

    def skip(self) -> None:
        self.take(self.tag)

    def number(self, tag: int = INTEGER) -> int:
        content = self.take(tag)
        if not 1 <= len(content) <= 8:
            raise Malformed("a number of no or too many bytes")
        return int.from_bytes(content, "big", signed=True)

    def text(self) -> str:
        """Return an octet string as text; what is no UTF-8 is replaced."""
        return self.take(OCTETS).decode(errors="replace")
