"""The Falcon application: HTTP in, ``Request``; ``Response`` or error, HTTP out.

A sink takes everything below ``/v1/``, so that LIST and SCAN arrive as they are. Nothing here decides who may do what.
"""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import falcon
import falcon.asgi

from broker.core.requests import Request
from broker.plugin.context import Connection
from broker.plugin.errors import BrokerError, InvalidRequest, TooLarge, UnsupportedOperation
from broker.plugin.fields import parse_duration
from broker.plugin.messages import Response
from broker.plugin.secret import Secret
from broker.plugin.verbs import Verb

from .answers import encode, envelope, error_body
from .strictjson import JsonLimits, parse_body
from .target import parse_namespace, parse_path, parse_query

log = logging.getLogger("broker.http")

VERBS = {
    "GET": Verb.READ,
    "HEAD": Verb.READ,
    "POST": Verb.UPDATE,
    "PUT": Verb.UPDATE,
    "PATCH": Verb.PATCH,
    "DELETE": Verb.DELETE,
    "LIST": Verb.LIST,
    "SCAN": Verb.SCAN,
}
WITH_BODY = frozenset((Verb.UPDATE, Verb.PATCH))
ONCE = (
    b"x-vault-token",
    b"authorization",
    b"x-vault-namespace",
    b"x-vault-wrap-ttl",
    b"content-length",
    b"host",
)
"""Headers that decide something: sent twice, they are refused."""

MERGE_PATCH = ("application/merge-patch+json", "application/json-patch+json")


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """Limits of a listener. Sizes in bytes, durations in seconds."""

    max_body: int = 32 * 1024 * 1024
    max_duration: float = 90.0
    json: JsonLimits = field(default_factory=JsonLimits)


class Edge:
    """The sink: one call per request."""

    def __init__(self, handle: Callable[[Request], Awaitable[Response]], settings: EdgeSettings) -> None:
        self._handle = handle
        self._settings = settings

    async def __call__(self, req: falcon.asgi.Request, resp: Any, **_: Any) -> None:
        raw = os.urandom(16).hex()
        request_id = f"{raw[:8]}-{raw[8:12]}-4{raw[13:16]}-a{raw[17:20]}-{raw[20:]}"
        resp.content_type = "application/json"
        resp.set_header("cache-control", "no-store")
        try:
            request = await self._read(req, request_id)
            response = await self._handle(request)
            self._answer(resp, request_id, response)
        except BrokerError as error:
            status, resp.data = error_body(error, request_id)
            resp.status = status
        except asyncio.CancelledError:
            raise
        except Exception as error:
            # The traceback goes to the log without values: frames are named, locals are never printed.
            log.error(
                "request.failed request_id=%s error=%s", request_id, type(error).__name__, exc_info=error
            )
            resp.status = 500
            resp.data = encode({"errors": [f"internal error; request_id {request_id}"]}) + b"\n"

    async def _read(self, req: falcon.asgi.Request, request_id: str) -> Request:
        scope: Mapping[str, Any] = req.scope
        headers = _headers(scope["headers"])
        path = parse_path(scope["raw_path"])
        verb = VERBS.get(req.method)
        if verb is None:
            raise UnsupportedOperation
        query = parse_query(scope["query_string"])
        data: Mapping[str, Any] = {}
        if verb in WITH_BODY:
            data = parse_body(await self._body(req), self._settings.json)
            if verb is Verb.PATCH and "content-type" in headers:
                _check_patch_type(headers["content-type"])
        elif query:
            verb, data = _from_query(verb, query)
        if verb in (Verb.LIST, Verb.SCAN) and not path.endswith("/"):
            path += "/"
        wrap = headers.get("x-vault-wrap-ttl")
        namespace = headers.get("x-vault-namespace")
        return Request(
            id=request_id,
            verb=verb,
            path=path,
            namespace=parse_namespace(namespace) if namespace else "",
            data=data,
            token=_token(headers),
            headers=headers,
            connection=_connection(scope),
            wrap_ttl=parse_duration(wrap).total_seconds() if wrap else None,
            received=time.time(),
        )

    async def _body(self, req: falcon.asgi.Request) -> bytes:
        """Read the body, stopping at the limit before it is buffered."""
        limit = self._settings.max_body
        length = req.content_length
        if length is not None and length > limit:
            raise TooLarge(f"request body is larger than {limit} bytes")
        if length == 0:
            return b""
        chunks: list[bytes] = []
        size = 0
        async for chunk in req.stream:
            size += len(chunk)
            if size > limit:
                raise TooLarge(f"request body is larger than {limit} bytes")
            chunks.append(chunk)
        return b"".join(chunks) if len(chunks) != 1 else chunks[0]

    def _answer(self, resp: falcon.asgi.Response, request_id: str, response: Response) -> None:
        if response.plain is not None:
            resp.status = response.plain.status
            resp.data = encode(response.plain.body) + b"\n"
        elif response.raw is not None:
            resp.status = response.raw.status
            resp.content_type = response.raw.content_type
            resp.data = response.raw.body
        elif response.empty and not response.warnings:
            resp.status = 204
            resp.content_type = None
        else:
            resp.data = envelope(request_id, response)


def _headers(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    names = [name for name, _ in raw]
    if len(set(names)) != len(names):
        for name in ONCE:
            if names.count(name) > 1:
                raise InvalidRequest(f"header {name.decode()} is given more than once")
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in raw}


def _token(headers: Mapping[str, str]) -> Secret[str] | None:
    """Return the token of ``X-Vault-Token``, else of ``Authorization: Bearer``."""
    text = headers.get("x-vault-token")
    if not text:
        kind, _, rest = headers.get("authorization", "").partition(" ")
        text = rest.strip() if kind.lower() == "bearer" else ""
    return Secret(text) if text else None


def _connection(scope: Mapping[str, Any]) -> Connection:
    client = scope.get("client") or ("", 0)
    tls = (scope.get("extensions") or {}).get("tls")
    chain = tuple(tls.get("client_cert_der_chain", ())) if tls else ()
    return Connection(client[0], client[1] or 0, scope.get("scheme", "http"), chain)


def _from_query(verb: Verb, query: dict[str, str | list[str]]) -> tuple[Verb, dict[str, Any]]:
    """Fold the query's switches into the verb; the rest is the request's data."""
    if verb is Verb.READ:
        if str(query.pop("list", "")).lower() in ("true", "1", "t"):
            verb = Verb.LIST
        elif str(query.pop("scan", "")).lower() in ("true", "1", "t"):
            verb = Verb.SCAN
        elif str(query.pop("help", "")).lower() in ("true", "1", "t"):
            verb = Verb.HELP
    return verb, dict(query)


def _check_patch_type(content_type: str) -> None:
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in MERGE_PATCH:
        raise InvalidRequest("PATCH requests need Content-Type application/merge-patch+json")


async def _unhandled(req: Any, resp: Any, error: Exception, params: Any) -> None:
    log.error("http.failed error=%s", type(error).__name__)
    resp.status = 500
    resp.content_type = "application/json"
    resp.data = b'{"errors":["internal error"]}\n'


async def _not_found(req: Any, resp: Any, **_: object) -> None:
    resp.status = 404
    resp.content_type = "application/json"
    resp.data = b'{"errors":[]}\n'


def create_edge(handle: Callable[[Request], Awaitable[Response]], settings: EdgeSettings) -> Any:
    """Return the ASGI application around the pipeline's ``handle``."""
    app = falcon.asgi.App()
    app.add_error_handler(Exception, _unhandled)
    app.add_sink(_not_found, r"/")
    app.add_sink(Edge(handle, settings), r"/v1/")  # the sink added last is tried first
    return app
