"""What comes in, read strictly: headers, token, query, body.

Nothing here decides who may do what; what could be read in two ways is refused.
"""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import lru_cache
from typing import Any

from broker.plugin.context import Connection
from broker.plugin.errors import InvalidRequest, TooLarge, UnsupportedMediaType
from broker.plugin.fields import parse_duration
from broker.plugin.secret import Secret
from broker.plugin.verbs import Verb

from .listener import ListenerRules
from .strictjson import parse_body
from .target import parse_query

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

ONCE = (
    b"x-vault-token",
    b"authorization",
    b"x-vault-namespace",
    b"x-vault-wrap-ttl",
    b"content-length",
    b"host",
)
"""Headers that decide something: sent twice, they are refused."""

PROOFS = b"x-vault-mfa"
"""Of these there may be several: one for each second proof."""

MERGE_PATCH = "application/merge-patch+json"
FORM = "application/x-www-form-urlencoded"
SWITCHES = {"list": Verb.LIST, "scan": Verb.SCAN, "help": Verb.HELP}
ON, OFF = (
    frozenset(("true", "1", "t", "True", "TRUE", "T")),
    frozenset(("false", "0", "f", "False", "FALSE", "F", "")),
)


STRANGERS_BODY = 128 * 1024
"""The longest body of a request whose token stands for nobody, in bytes: the longest login is a signed token of 64 KiB."""


def parse_by_type(kind: str, body: bytes, rules: ListenerRules) -> Mapping[str, Any]:
    """Read a body: JSON whatever its type says, as clients send it, unless it is a form and looks like one."""
    if kind.startswith(FORM) and body[:1] not in (b"", b"{"):
        return parse_query(body)
    return parse_body(body, rules.json)


async def read_body(
    headers: Mapping[str, str], receive: Receive, most: int, known: Callable[[], Awaitable[None]]
) -> bytes:
    """Read the body, stopping at the limit (in bytes) before it is buffered: who is not ``known`` has little to say.

    ``known`` is asked once, and only where the body is longer than anybody's may be; it raises for a stranger.
    Raises: TooLarge for more than ``most``; InvalidRequest if the request ends early; what ``known`` raises.
    """
    limit = min(most, STRANGERS_BODY)
    length = headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length[:20]) > limit:
        limit = await _raised(int(length[:20]), most, known)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise InvalidRequest("the request ended before its body was complete")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            limit = await _raised(size, most, known)
        if not message.get("more_body", False):
            return b"".join((*chunks, chunk)) if chunks else chunk
        chunks.append(chunk)


async def _raised(size: int, most: int, known: Callable[[], Awaitable[None]]) -> int:
    """Return the limit of who is known."""
    if size > most:
        raise TooLarge(f"request body is larger than {most} bytes")
    await known()
    return most


def headers_of(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the headers by lower-case name. Raises: InvalidRequest if one that decides something comes twice."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in raw}
    if len(headers) != len(raw):
        names = [name for name, _ in raw]
        for name in ONCE:
            if names.count(name) > 1:
                raise InvalidRequest(f"header {name.decode()} is given more than once")
        proofs = [value.decode("latin-1") for name, value in raw if name == PROOFS]
        if proofs:
            headers[PROOFS.decode()] = ",".join(proofs)
    return headers


def token_of(headers: dict[str, str]) -> Secret[str] | None:
    """Take the token out of the headers: ``X-Vault-Token``, else ``Authorization: Bearer``. Nobody behind sees it there."""
    text = headers.pop("x-vault-token", "")
    if not text and "authorization" in headers:
        kind, _, rest = headers["authorization"].partition(" ")
        if kind.lower() == "bearer":
            text = rest.strip()
            del headers["authorization"]
    return Secret(text) if text else None


def wrap_seconds(text: str) -> float:
    """Read a wrapping TTL. Raises: InvalidRequest."""
    seconds = parse_duration(text).total_seconds()
    if seconds < 0:
        raise InvalidRequest("requested wrap TTL cannot be negative")
    return seconds


def connection_of(scope: Mapping[str, Any], forwarded: str | None) -> Connection:
    """The peer as the socket has it; ``forwarded`` is the client's address as a listed proxy gives it."""
    address, port = scope.get("client") or ("", 0)
    extensions = scope.get("extensions")
    tls = extensions.get("tls") if extensions else None
    scheme = scope.get("scheme", "http")
    if not tls:
        return _plain_connection(forwarded or address, port or 0, scheme)
    return Connection(forwarded or address, port or 0, scheme, tuple(tls.get("client_cert_chain_der", ())))


_plain_connection = lru_cache(4096)(Connection)
"""One object for all requests of a connection."""


def from_query(verb: Verb, query: dict[str, str | list[str]]) -> tuple[Verb, dict[str, Any]]:
    """Fold the query's switches into the verb; the rest is the request's data. Raises: InvalidRequest."""
    for name, meant in SWITCHES.items():
        value = query.pop(name, "")
        if value in ON:
            verb = meant if verb is Verb.READ else verb
        elif value not in OFF:
            raise InvalidRequest(f'query "{name}": expected true or false')
    # "?version=" says no more than leaving it out.
    return verb, {name: value for name, value in query.items() if value != ""}


def check_patch_type(content_type: str) -> None:
    """Raise UnsupportedMediaType for a PATCH that is no merge-patch."""
    if not content_type:
        raise InvalidRequest("mime: no media type")
    kind = content_type.partition(";")[0].strip().lower()
    if kind != MERGE_PATCH:
        raise UnsupportedMediaType(f"PATCH requires Content-Type of {MERGE_PATCH}, provided {kind[:64]}")
