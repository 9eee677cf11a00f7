"""One connection to a directory: binds and searches, one after the other, each with a deadline.

Speaks what a login needs of LDAP version 3 and nothing else. Referrals are never followed: a directory must not send
passwords elsewhere. Everything the server says is bounded.

Source: RFC 4511; StartTLS: its section 4.14; paged results: RFC 2696.
"""

import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .ber import (
    ENUMERATED,
    INTEGER,
    OCTETS,
    SEQUENCE,
    SET,
    Malformed,
    Reader,
    boolean,
    first_message,
    integer,
    octets,
    tlv,
)

START_TLS = "1.3.6.1.4.1.1466.20037"
PAGED = "1.2.840.113556.1.4.319"
SUCCESS, SIZE_LIMIT, NO_SUCH_OBJECT, INVALID_CREDENTIALS = 0, 4, 32, 49
BASE, SUBTREE = 0, 2
MAX_ENTRIES = 10_000
MAX_BYTES = 32 << 20
"""What a directory may say in one login, in all."""


class DirectoryDown(Exception):
    """The directory does not answer, or not as the protocol says. The text names no values."""


class Refused(Exception):
    """The directory answered with an error: ``code`` as in RFC 4511 appendix A."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the directory answered with result code {code}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Entry:
    """What a search found: a distinguished name and its attributes, names in lower case."""

    dn: str
    attributes: Mapping[str, tuple[bytes, ...]] = field(repr=False)

    def texts(self, name: str) -> list[str]:
        return [value.decode(errors="replace") for value in self.attributes.get(name.lower(), ())]


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for. ``limit`` zero: as many as the server gives. ``page`` zero: not in pages."""

    base: str
    filter: bytes = field(repr=False)
    attributes: Sequence[str] = ()
    scope: int = SUBTREE
    limit: int = 0
    page: int = 0
    aliases: int = 0


class _Inbox(asyncio.Protocol):
    """Bytes from the server, until a whole message is there."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.heard = 0
        self.lost = False
        self.news = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.heard += len(data)
        if self.heard <= MAX_BYTES:
            self.data += data
        self.news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.news.set()

    async def message(self) -> bytes:
        """Return the next message. Raises: DirectoryDown; Malformed."""
        while (size := first_message(self.data)) is None:
            if self.heard > MAX_BYTES:
                raise DirectoryDown("the directory says too much")
            if self.lost:
                raise DirectoryDown("the directory closed the connection")
            self.news.clear()
            await self.news.wait()
        whole = bytes(self.data[:size])
        del self.data[:size]
        return whole


class Wire:
    """An open connection. Not for use by several tasks at once."""

    def __init__(self, inbox: _Inbox, transport: asyncio.Transport, seconds: float) -> None:
        self._inbox = inbox
        self._transport = transport
        self._seconds = seconds
        self._last = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None,
        start_tls: bool,
        connect_seconds: float,
        request_seconds: float,
    ) -> "AsyncIterator[Wire]":
        """Connect, with TLS from the start or after StartTLS. The second deadline is each request's.

        Raises: DirectoryDown.
        """
        loop = asyncio.get_running_loop()
        inbox = _Inbox()
        with _reporting():
            async with asyncio.timeout(connect_seconds):
                at_once = None if start_tls else tls
                transport, _ = await loop.create_connection(
                    lambda: inbox, host, port, ssl=at_once, server_hostname=host if at_once else None
                )
        wire = cls(inbox, transport, request_seconds)
        try:
            if start_tls and tls is not None:
                with _reporting():
                    async with asyncio.timeout(connect_seconds):
                        await wire._start_tls(tls, host)
            yield wire
        finally:
            wire._transport.abort()

    async def _start_tls(self, tls: ssl.SSLContext, host: str) -> None:
        code, _ = await self._simple(tlv(0x77, octets(START_TLS, 0x80)), 0x78)
        if code != SUCCESS:
            raise DirectoryDown("the directory refuses StartTLS")
        if self._inbox.data:
            # Whatever came in clear behind the answer was put there by somebody else.
            raise DirectoryDown("the directory spoke out of turn before StartTLS")
        loop = asyncio.get_running_loop()
        transport = await loop.start_tls(self._transport, self._inbox, tls, server_hostname=host)
        if transport is None:
            raise DirectoryDown("the directory closed the connection")
        self._transport = transport

    async def bind(self, name: str, password: str) -> None:
        """Prove to be ``name``. Raises: Refused; DirectoryDown; ValueError for an empty name or password.

        A name without a password would be an anonymous bind that a server answers with success (RFC 4513, 5.1.2).
        """
        if not name or not password:
            raise ValueError("a bind needs a name and a password")
        await self._bind(name, password)

    async def bind_anonymously(self) -> None:
        """Raises: Refused; DirectoryDown."""
        await self._bind("", "")

    async def _bind(self, name: str, password: str) -> None:
        body = tlv(0x60, integer(3), octets(name), octets(_bytes(password), 0x80))
        with _reporting():
            async with asyncio.timeout(self._seconds):
                code, _ = await self._simple(body, 0x61)
        if code != SUCCESS:
            raise Refused(code)

    async def search(self, wanted: Search) -> list[Entry]:
        """Return what is found. Raises: Refused, also if the base is not there; DirectoryDown."""
        entries: list[Entry] = []
        cookie = b""
        with _reporting():
            async with asyncio.timeout(self._seconds):
                while True:
                    cookie = await self._search_page(wanted, cookie, entries)
                    if not cookie:
                        return entries

    async def _search_page(self, wanted: Search, cookie: bytes, entries: list[Entry]) -> bytes:
        """Add a page's entries; return the cookie of the next, empty at the end."""
        controls = b""
        if wanted.page:
            value = tlv(SEQUENCE, integer(wanted.page), octets(cookie))
            controls = tlv(0xA0, tlv(SEQUENCE, octets(PAGED), octets(value)))
        self._send(_search_request(wanted), controls)
        while True:
            tag, content, behind = await self._receive()
            if tag == 0x64:
                entries.append(_entry(Reader(content)))
                if len(entries) > MAX_ENTRIES:
                    raise DirectoryDown(f"the directory found more than {MAX_ENTRIES} entries")
            elif tag == 0x65:
                code, _ = _result(Reader(content))
                if code not in (SUCCESS, SIZE_LIMIT):
                    raise Refused(code)
                return _cookie(behind) if wanted.page else b""
            elif tag != 0x73:  # a reference to another directory, which is not followed
                raise Malformed("an answer that was not asked for")

    async def _simple(self, body: bytes, answer: int) -> tuple[int, Reader]:
        self._send(body, b"")
        tag, content, _ = await self._receive()
        if tag != answer:
            raise Malformed("an answer that was not asked for")
        return _result(Reader(content))

    def _send(self, body: bytes, controls: bytes) -> None:
        self._last += 1
        self._transport.write(tlv(SEQUENCE, integer(self._last), body, controls))

    async def _receive(self) -> tuple[int, bytes, Reader]:
        """Return the tag and content of the next answer, and what stands behind it."""
        message = Reader(await self._inbox.message()).inside(SEQUENCE)
        number = message.number(INTEGER)
        if number == 0:
            raise DirectoryDown("the directory is ending the connection")
        if number != self._last:
            raise Malformed("an answer to something else")
        tag = message.tag
        return tag, message.take(tag), message


@contextlib.contextmanager
def _reporting() -> Iterator[None]:
    """Turn everything that may go wrong on the way into DirectoryDown, without the text of what was sent."""
    try:
        yield
    except TimeoutError:
        raise DirectoryDown("the directory does not answer in time") from None
    except ssl.SSLCertVerificationError as error:
        raise DirectoryDown(f"the directory's certificate is not trusted: {error.verify_message}") from None
    except ssl.SSLError as error:
        raise DirectoryDown(f"TLS with the directory fails: {error.reason or 'connection closed'}") from None
    except Malformed as error:
        raise DirectoryDown(f"the directory does not speak LDAP: {error}") from None
    except OSError as error:
        raise DirectoryDown(f"the directory is not reached: {_reason(error)}") from None


def _reason(error: OSError) -> str:
    """Return what the system calls an error; its own text may hold addresses."""
    known = isinstance(error.errno, int) and error.errno > 0
    return os.strerror(error.errno) if known and error.errno is not None else type(error).__name__


def _search_request(wanted: Search) -> bytes:
    return tlv(
        0x63,
        octets(_bytes(wanted.base)),
        integer(wanted.scope, ENUMERATED),
        integer(wanted.aliases, ENUMERATED),
        integer(wanted.limit),
        integer(0),
        boolean(False),
        wanted.filter,
        tlv(SEQUENCE, *(octets(name) for name in wanted.attributes)),
    )


def _result(content: Reader) -> tuple[int, Reader]:
    """Return the result code of an answer. The matched name and the message may tell too much and stay unread."""
    code = content.number(ENUMERATED)
    content.take(OCTETS)
    content.take(OCTETS)
    return code, content


def _entry(content: Reader) -> Entry:
    dn = content.text()
    attributes: dict[str, tuple[bytes, ...]] = {}
    listed = content.inside(SEQUENCE)
    while listed.more:
        one = listed.inside(SEQUENCE)
        name = one.text().lower()
        values = one.inside(SET)
        found = []
        while values.more:
            found.append(values.take(OCTETS))
        attributes[name] = tuple(found)
    return Entry(dn, attributes)


def _cookie(behind: Reader) -> bytes:
    if behind.tag != 0xA0:
        return b""
    controls = behind.inside(0xA0)
    while controls.more:
        control = controls.inside(SEQUENCE)
        if control.text() != PAGED:
            continue
        if control.tag == 0x01:
            control.skip()
        value = Reader(control.take(OCTETS)).inside(SEQUENCE)
        value.number(INTEGER)
        return value.take(OCTETS)
    return b""


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
