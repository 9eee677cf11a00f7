"""The HTTP edge: ASGI messages in, ``Request``; ``Response`` or error, ASGI messages out.

LIST and SCAN arrive as they are. Nothing here decides who may do what.
"""

import asyncio
import logging
import re
from asyncio import current_task
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from random import getrandbits
from time import time
from typing import Any, cast

import falcon
import falcon.asgi

from broker.core.jsontext import encode
from broker.core.requests import Request
from broker.plugin.errors import (
    BrokerError,
    InvalidRequest,
    PermissionDenied,
    Tampered,
    TooLarge,
    UnsupportedOperation,
)
from broker.plugin.messages import Response
from broker.plugin.verbs import Verb

from .answers import envelope, error_body
from .cors import Cors
from .errors import TookTooLong
from .incoming import (
    STRANGERS_BODY,
    Receive,
    check_patch_type,
    connection_of,
    from_query,
    headers_of,
    parse_by_type,
    read_body,
    token_of,
    wrap_seconds,
)
from .listener import CEREMONIES, ListenerRules, RuleBook, first
from .stored import StoredSettings
from .target import PREFIX, parse_namespace, parse_path, parse_query

log = logging.getLogger("broker.http")

VERBS = {
    "GET": Verb.READ,
    "POST": Verb.UPDATE,
    "PUT": Verb.UPDATE,
    "PATCH": Verb.PATCH,
    "DELETE": Verb.DELETE,
    "LIST": Verb.LIST,
    "SCAN": Verb.SCAN,
    "HELP": Verb.HELP,
}
_ABSOLUTE = re.compile(rb"https?://[^/]+", re.IGNORECASE)
PAGE_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"))
"""Outside of ``/v1/``. OPTIONS, TRACE and CONNECT are nobody's, wherever they point."""
LISTING = frozenset((Verb.LIST, Verb.SCAN))
WITH_BODY = frozenset((Verb.UPDATE, Verb.PATCH))

Headers = Sequence[tuple[bytes, bytes]]
Scope = Mapping[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]
WholeAnswer = Callable[[int, Headers, bytes], Awaitable[None] | None]
"""Our server's ``send`` has it as ``answer``: status, headers without the length, and body in one step."""

NO_STORE = (b"cache-control", b"no-store")
JSON_HEADERS: Headers = ((b"content-type", b"application/json"), NO_STORE)
EMPTY_HEADERS: Headers = (NO_STORE,)
PAGE_HEADERS: Headers = (
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
"""What goes with a page for a browser: nobody else's page frames it, and its address (with a code in it) stays here."""
NO_DATA: Mapping[str, Any] = {}

HEALTH = "sys/health"
"""The one path that answers HEAD: load balancers ask it for nothing but the status."""


async def _nobody_lives(request: Request) -> None:
    raise PermissionDenied


class Edge:
    """Everything below ``/v1/``: one call per request, straight from the ASGI messages."""

    def __init__(
        self,
        handle: Callable[[Request], Awaitable[Response]],
        book: RuleBook,
        stored: StoredSettings | None = None,
        under_way: dict[str, tuple[Scope, float]] | None = None,
        check_live: Callable[[Request], Awaitable[None]] = _nobody_lives,
    ) -> None:
        self._handle = handle
        self._check_live = check_live
        self._book = book
        self._stored = stored
        self._under_way = {} if under_way is None else under_way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # No secret: a name in the log. The generator is seeded anew in every process.
        raw = f"{getrandbits(128):032x}"
        request_id = f"{raw[:8]}-{raw[8:12]}-4{raw[13:16]}-a{raw[17:20]}-{raw[20:]}"
        # The same as ``find``, without the call: this is every request's way.
        rules = self._book.by_id.get(id(scope.get("broker.listener"))) or self._book.find(scope)
        self._under_way[request_id] = scope, time()
        late = rules.lateness
        if late.timer is None:
            late.start()
        task: Any = current_task(late.loop)
        late.running[task] = late.tick
        granted: Headers = ()
        request: Request | None = None
        chunks: AsyncGenerator[bytes, None] | None = None
        try:
            client = None
            if rules.gated:
                client, granted = rules.admit(scope)
            if granted and scope["method"] == "OPTIONS":
                status, headers, body = _preflight(cast(Cors, rules.cors), scope)
            elif scope["method"] == "OPTIONS" and rules.cors is None and (cors := await self._cors(scope)):
                granted = _origin_granted(cors, scope)
                status, headers, body = _preflight(cors, scope)
            else:
                request = await self._read(scope, receive, request_id, rules, client)
                if "origin" in request.headers and rules.cors is None and (cors := await self._cors(scope)):
                    granted = _origin_granted(cors, scope)
                if rules.forwarded is not None and client is None:
                    cast(dict[str, str], request.headers).pop("x-forwarded-for", None)  # nobody's word
                if "sys/" in request.path and CEREMONIES.search(request.path):
                    late.running.pop(task, None)
                    rules.check_ceremony(request.path)
                response = await self._handle(request)
                if rules.redacted:
                    response = rules.redact(request.path, response)
                status, headers, body = _answer(request_id, response)
                chunks = None if response.raw is None else response.raw.chunks
        except BrokerError as error:
            status, headers, body = _refused(error, request_id)
        except asyncio.CancelledError:
            if not late.expired(task):
                raise
            log.warning("request.cancelled request_id=%s after_seconds=%s", request_id, late.seconds)
            status, headers, body = _refused(TookTooLong(late.seconds), request_id)
        except Exception as error:
            status, headers, body = _failed(error, request_id)
        finally:
            self._under_way.pop(request_id, None)
            if late.running.pop(task, None) is None:
                late.expired(task)  # if a handler answered all the same, forget that it was cut off
        if request is not None and request.answer_headers:
            headers = [*headers, *request.answer_headers]
        if granted:
            headers = [*headers, *granted]
        if rules.added is not None:
            headers = [*headers, *rules.added(status)]
        if chunks is not None:
            await _stream(status, headers, chunks, receive, send)
            return
        whole: WholeAnswer | None = getattr(send, "answer", None)
        if whole is None:
            if body:
                headers = [*headers, (b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        elif (pending := whole(status, headers, body)) is not None:
            await pending

    async def _cors(self, scope: Scope) -> Cors | None:
        """Return the stored rules for a request that a page of some origin sends."""
        if self._stored is None or not first(scope["headers"], b"origin"):
            return None
        return await self._stored.cors()

    async def _read(
        self, scope: Scope, receive: Receive, request_id: str, rules: ListenerRules, client: str | None
    ) -> Request:
        headers = headers_of(scope["headers"])
        path = parse_path(scope["raw_path"])
        verb = VERBS.get(scope["method"])
        if verb is None:
            if scope["method"] != "HEAD" or path != HEALTH:
                raise UnsupportedOperation
            verb = Verb.READ
        token = token_of(headers)
        wrap = headers.get("x-vault-wrap-ttl")
        namespace = headers.get("x-vault-namespace")
        request = Request(
            id=request_id,
            verb=verb,
            path=path,
            namespace=parse_namespace(namespace) if namespace else "",
            data=NO_DATA,
            token=token,
            headers=headers,
            connection=connection_of(scope, client),
            wrap_ttl=wrap_seconds(wrap) if wrap else None,
        )
        if verb in WITH_BODY:
            if path.endswith("/"):
                # A key named "a/", or no key in folder "a"? Nobody could tell later.
                raise InvalidRequest("cannot write to a path ending in '/'")
            kind = headers.get("content-type", "")
            if verb is Verb.PATCH:
                check_patch_type(kind)
            known = partial(self._check_known, request, headers, rules, client)
            body = await read_body(headers, receive, rules.max_body, known)
            request.data = parse_by_type(kind, body, rules)
        elif scope["query_string"]:
            request.verb, request.data = from_query(verb, parse_query(scope["query_string"]))
        if request.verb in LISTING and not path.endswith("/"):
            request.path = path + "/"
        return request

    async def _check_known(
        self, request: Request, headers: dict[str, str], rules: ListenerRules, client: str | None
    ) -> None:
        """Return if a request with more to say than a stranger comes from somebody. Raises: TooLarge; PermissionDenied."""
        if request.token is None:
            raise TooLarge(f"request body is larger than {STRANGERS_BODY} bytes")
        if rules.forwarded is not None and client is None:
            headers.pop("x-forwarded-for", None)  # nobody's word
        await self._check_live(request)


async def _stream(
    status: int, headers: Headers, chunks: AsyncGenerator[bytes, None], receive: Receive, send: Send
) -> None:
    """Send an answer piece by piece until it ends or the client goes."""
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        async with aclosing(chunks):
            await send({"type": "http.response.start", "status": status, "headers": list(headers)})
            await send({"type": "http.response.body", "body": b"", "more_body": True})
            async for chunk in chunks:
                if gone.done():
                    return
                if chunk:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        gone.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _origin_granted(cors: Cors, scope: Scope) -> Headers:
    """Return what lets the browser show the answer. Raises: PermissionDenied for an origin that is not listed."""
    origin = first(scope["headers"], b"origin")
    if not cors.allows(origin):
        raise PermissionDenied("origin not allowed")
    return cors.granted(origin)


def _preflight(cors: Cors, scope: Scope) -> tuple[int, Headers, bytes]:
    """Answer a browser's question whether a page may send what it is about to."""
    allowed = first(scope["headers"], b"access-control-request-method")
    status, headers = cors.preflight(allowed)
    return status, [NO_STORE, *headers, (b"content-length", b"0")], b""


def _error_headers(request_id: str) -> Headers:
    """Name the request, so that whoever was refused can ask why (``sys/policies/explain``)."""
    return [*JSON_HEADERS, (b"x-request-id", request_id.encode())]


def _answer(request_id: str, response: Response) -> tuple[int, Headers, bytes]:
    """Return status, headers and body of a response."""
    if response.plain is not None:
        return response.plain.status, JSON_HEADERS, encode(response.plain.body) + b"\n"
    if response.raw is not None:
        kind = response.raw.content_type
        page = PAGE_HEADERS if kind.startswith("text/html") else ()
        headers = [(b"content-type", kind.encode("latin-1")), NO_STORE, *page]
        return response.raw.status, headers, response.raw.body
    if response.empty and not response.warnings:
        return 204, EMPTY_HEADERS, b""
    return response.status, JSON_HEADERS, envelope(request_id, response)


def _refused(error: BrokerError, request_id: str) -> tuple[int, Headers, bytes]:
    """Return the answer to a request that could not be carried out."""
    status, body = error_body(error, request_id)
    if isinstance(error, Tampered):
        log.error("request.failed request_id=%s error=%s", request_id, error)
    return status, _error_headers(request_id), body


def _failed(error: Exception, request_id: str) -> tuple[int, Headers, bytes]:
    """Return the answer to a request that broke something of ours."""
    # The traceback goes to the log without values: frames are named, locals are never printed.
    log.error("request.failed request_id=%s error=%s", request_id, type(error).__name__, exc_info=error)
    body = encode({"errors": [f"internal error; request_id {request_id}"]}) + b"\n"
    return 500, _error_headers(request_id), body


async def _unhandled(req: Any, resp: Any, error: Exception, params: Any) -> None:
    log.error("http.failed error=%s", type(error).__name__)
    resp.status = 500
    resp.content_type = "application/json"
    resp.data = b'{"errors":["internal error"]}\n'


async def _not_found(req: Any, resp: Any, **_: object) -> None:
    resp.status = 404
    resp.content_type = "application/json"
    resp.set_header("cache-control", "no-store")
    resp.data = b'{"errors":[]}\n'


class BrokerApp(falcon.asgi.App):  # type: ignore[type-arg]
    """Falcon, with the API below ``/v1/`` taken before it builds its own request and response objects.

    The API needs the bytes on the wire (paths decoded once, headers counted) and every microsecond; pages, events and
    WebSockets are ordinary Falcon routes.
    """

    def __init__(self, edge: Edge, book: RuleBook, stored: StoredSettings | None = None) -> None:
        super().__init__()
        self._stored = stored
        self._edge = edge
        self._book = book
        self.add_error_handler(Exception, _unhandled)
        self.add_sink(_not_found, r"/")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # type: ignore[override]
        if scope["type"] == "http" and scope["raw_path"].startswith(PREFIX):
            await self._edge(scope, receive, send)
        elif scope["type"] == "http" and (absolute := _ABSOLUTE.match(scope["raw_path"])):
            # As one asks a proxy; a server has to take it too (RFC 9112 §3.2.2). Which host it names means nothing here.
            raw = scope["raw_path"][absolute.end() :] or b"/"
            await self({**scope, "raw_path": raw, "path": raw.decode("latin-1")}, receive, send)
        else:
            added = self._book.find(scope).added
            send = send if added is None else _adding(added, send)
            if self._stored is not None and scope["type"] == "http" and scope["raw_path"].startswith(b"/ui"):
                pages = await self._stored.ui_headers()
                send = _adding(lambda status: pages, send)
            if scope["type"] == "http" and scope["method"] not in PAGE_METHODS:
                await _refuse_method(send)
            else:
                await super().__call__(scope, receive, send)


async def _refuse_method(send: Send) -> None:
    body = b'{"errors":[]}\n'
    headers = [*JSON_HEADERS, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 405, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _adding(added: Callable[[int], Headers], send: Send) -> Send:
    """Return a ``send`` that adds the listener's headers to an answer."""

    async def send_more(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *added(message["status"])]}
        await send(message)

    return send_more


def create_edge(
    handle: Callable[[Request], Awaitable[Response]],
    book: RuleBook,
    *,
    stored: StoredSettings | None = None,
    under_way: dict[str, tuple[Scope, float]] | None = None,
    check_live: Callable[[Request], Awaitable[None]] = _nobody_lives,
) -> BrokerApp:
    """Return the ASGI application around the pipeline's ``handle``.

    ``check_live`` raises unless a request's token stands for somebody: then its body may be longer than anybody's.
    ``stored`` has the settings that lie behind the barrier; ``under_way`` is kept filled with the requests being served.
    """
    return BrokerApp(Edge(handle, book, stored, under_way, check_live), book, stored)
