"""HTTP requests that plugins send: to identity providers, clusters, stores. Bounded in size and time, and tight-lipped.

    answer = await fetch_aside("GET", url, ca_pem=config.ca_pem)      # in a handler
    answer = await ctx.blocking(partial(fetch, "GET", url))            # the same, by hand

What holds for every request:

- ``https`` verifies the server's certificate and name, against ``ca_pem`` alone where it is given, else the system's CAs.
  ``http`` is spoken only if the URL says so.
- No redirect is followed: credentials never travel to a host that was not configured. A redirect is an error.
- One deadline for all of it, one cap on the answer. The answer is taken as sent: no compression is offered or undone.
- No proxies, no ``.netrc``, no cookies, no TLS key log: nothing of the environment has a say.
- ``public_only``, for a URL that a stranger may have a say in: it leads to no loopback, link-local, private or otherwise special
  address, whatever its name resolves to. What was looked at is what is connected to; the name is not resolved again.
- An error names scheme, host and port and what went wrong, and nothing else of the request or the answer.
"""

import asyncio
import contextlib
import http.client
import ipaddress
import json
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any
from urllib.parse import SplitResult, urlsplit

from broker.plugin.errors import InvalidRequest, Unavailable

TIMEOUT_SECONDS = 10.0
MAX_BYTES = 1 << 20
MAX_URL = 8192
MAX_THREADS = 16
_CHUNK = 1 << 16
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_REDIRECTS = frozenset((301, 302, 303, 307, 308))


class OutboundFailed(Unavailable):
    """No usable answer came. The text names the server and the reason; plugins put it into their own words."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: any status but a redirect. Header names in lower case, the last of a repeated one wins."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def json_object(self) -> dict[str, Any] | None:
        """Return the body if it is a JSON object, else ``None``."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None


def fetch(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    ca_pem: str = "",
    timeout: float = TIMEOUT_SECONDS,
    max_bytes: int = MAX_BYTES,
    server_name: str = "",
    public_only: bool = False,
) -> Answer:
    """Send one request and return the answer. Blocks for ``timeout`` seconds at most, apart from a slow name lookup.

    ``server_name`` is the name that the server's certificate must carry, where it is not the URL's host.
    Raises: OutboundFailed (connection, TLS, time, size, redirect); InvalidRequest for a URL or CA that cannot be used.
    """
    target = split_url(url)
    context = _context(ca_pem) if target.scheme == "https" else None
    call = _Call(target, context, time.monotonic() + timeout, max_bytes, server_name, public_only)
    try:
        return call.run(method, dict(headers or {}), body)
    except OutboundFailed:
        raise
    except Exception as error:
        # Whatever it says may quote what was sent: only its kind is told, and nothing is chained to it.
        raise OutboundFailed(f"{call.where}: {_reason(error, late=call.late())}") from None


async def fetch_aside(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    ca_pem: str = "",
    timeout: float = TIMEOUT_SECONDS,  # noqa: ASYNC109 - kept by the thread, which cannot be cancelled
    max_bytes: int = MAX_BYTES,
    server_name: str = "",
    public_only: bool = False,
) -> Answer:
    """Do ``fetch`` in one of a few threads kept for it, so that a slow server holds up no other blocking work."""
    call = partial(
        fetch,
        method,
        url,
        headers=headers,
        body=body,
        ca_pem=ca_pem,
        timeout=timeout,
        max_bytes=max_bytes,
        server_name=server_name,
        public_only=public_only,
    )
    return await asyncio.get_running_loop().run_in_executor(_threads(), call)


def split_url(url: str) -> SplitResult:
    """Take a URL apart. Raises: InvalidRequest unless it is http or https, has a host, and carries no credentials.

    >>> split_url("https://idp.example:8443/keys").port
    8443
    """
    try:
        found = urlsplit(url)
        port = found.port
    except ValueError:
        raise InvalidRequest("invalid URL") from None
    if len(url) > MAX_URL or any(ord(letter) <= 32 or ord(letter) >= 127 for letter in url):
        raise InvalidRequest(f"invalid URL: expected up to {MAX_URL} printable ASCII characters")
    if found.scheme not in ("http", "https") or not found.hostname or port == 0:
        raise InvalidRequest("invalid URL: expected http:// or https:// and a host")
    if "@" in found.netloc:
        raise InvalidRequest("invalid URL: credentials do not belong into it")
    return found


def is_public(address: str) -> bool:
    """Tell whether an IP address is one of the open internet, also where it carries another one inside.

    >>> [is_public(each) for each in ("198.41.0.4", "10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1")]
    [True, False, False, False]
    """
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if inner is None and found in _NAT64:
            inner = ipaddress.IPv4Address(found.packed[-4:])
        if inner is not None:
            found = inner
    return found.is_global and not found.is_multicast


def check_ca(ca_pem: str) -> None:
    """Raise InvalidRequest unless ``ca_pem`` holds at least one certificate that can be used (or is empty)."""
    if ca_pem:
        _context(ca_pem)


class _Call:
    """One request under way."""

    def __init__(
        self,
        target: SplitResult,
        context: ssl.SSLContext | None,
        deadline: float,
        max_bytes: int,
        server_name: str,
        public_only: bool,
    ) -> None:
        self._target = target
        self._context = context
        self._deadline = deadline
        self._max_bytes = max_bytes
        self._host = target.hostname or ""
        self._server_name = server_name or self._host
        self._public_only = public_only
        self._port = target.port or (443 if context else 80)
        shown = f"[{self._host}]" if ":" in self._host else self._host
        self.where = f"{target.scheme}://{shown}:{self._port}"

    def late(self) -> bool:
        return time.monotonic() >= self._deadline

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def run(self, method: str, headers: dict[str, str], body: bytes | None) -> Answer:
        connection = http.client.HTTPConnection(self._host, self._port)
        with contextlib.closing(connection):
            connection.sock = self._connect()
            # A timeout holds for one read only; against a server that drips, the line is cut at the deadline.
            cut = threading.Timer(self._left(), _cut, (connection.sock,))
            cut.daemon = True
            cut.start()
            try:
                return self._exchange(connection, method, headers, body)
            finally:
                cut.cancel()

    def _connect(self) -> socket.socket:
        failure: Exception = OutboundFailed(f"{self.where}: not a public address")
        for family, kind, protocol, _, address in socket.getaddrinfo(
            self._host, self._port, type=socket.SOCK_STREAM
        ):
            if self._public_only and not is_public(str(address[0])):
                continue
            plain = socket.socket(family, kind, protocol)
            try:
                plain.settimeout(self._left())
                plain.connect(address)
                plain.settimeout(self._left())
                if self._context is None:
                    return plain
                return self._context.wrap_socket(plain, server_hostname=self._server_name)
            except OSError as error:
                plain.close()
                failure = error
                if isinstance(error, ssl.SSLError) or self.late():
                    break
        raise failure

    def _exchange(
        self, connection: http.client.HTTPConnection, method: str, headers: dict[str, str], body: bytes | None
    ) -> Answer:
        target = self._target.path or "/"
        if self._target.query:
            target += "?" + self._target.query
        base = {"Accept": "application/json", "User-Agent": "broker", "Connection": "close"}
        connection.request(method, target, body=body, headers={**base, **headers})
        response = connection.getresponse()
        if response.status in _REDIRECTS:
            raise OutboundFailed(f"{self.where}: redirects ({response.status}) are not followed")
        if (response.getheader("Content-Encoding") or "identity").lower() != "identity":
            raise OutboundFailed(f"{self.where}: the answer is compressed, which was not asked for")
        content = self._content(response)
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, content)

    def _content(self, response: http.client.HTTPResponse) -> bytes:
        parts: list[bytes] = []
        size = 0
        while chunk := response.read1(_CHUNK):
            size += len(chunk)
            if size > self._max_bytes:
                raise OutboundFailed(f"{self.where}: the answer is over {self._max_bytes} bytes")
            parts.append(chunk)
        if self.late() or response.length:
            raise TimeoutError if self.late() else http.client.IncompleteRead(b"")
        return b"".join(parts)


def _cut(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)


def _reason(error: Exception, *, late: bool) -> str:
    if late or isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or 'handshake'}"
    if isinstance(error, socket.gaierror):
        return "the name cannot be resolved"
    if isinstance(error, OSError):
        return (error.strerror or "the connection was closed").lower()
    if isinstance(error, http.client.HTTPException):
        return "the answer is no HTTP"
    return "the request cannot be sent"


@lru_cache(maxsize=64)
def _context(ca_pem: str) -> ssl.SSLContext:
    # Not create_default_context(): that writes session keys to SSLKEYLOGFILE where the environment says so.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not ca_pem:
        context.load_default_certs()
        return context
    try:
        context.load_verify_locations(cadata=ca_pem)
    except (ssl.SSLError, ValueError, TypeError):  # TypeError: it is not even ASCII
        raise InvalidRequest("the CA certificate is no PEM certificate that can be used") from None
    if not context.cert_store_stats()["x509_ca"]:
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a pinned certificate that is no CA
    return context


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="outbound")
