"""The ASGI scope of a connection and of each request on it."""

import asyncio
from typing import Any
from urllib.parse import unquote_to_bytes

from broker.server.settings import ListenerConfig
from broker.server.setup import Scope

__all__ = ["connection_scope", "request_scope", "websocket_scope"]

_MAPPED = "::ffff:"
_ASGI = {"version": "3.0", "spec_version": "2.4"}


def connection_scope(transport: asyncio.BaseTransport, listener: ListenerConfig) -> Scope:
    """What all requests of a connection share. ``client`` is the socket's peer, never a header; None on a Unix socket.

    The IPv4 address of a client of a socket for both families is written as such.

    ``broker.listener`` (ours) is the listener's settings, for the limits that the application keeps.
    """
    client = transport.get_extra_info("peername")
    server = transport.get_extra_info("sockname")
    tls = transport.get_extra_info("broker.tls")
    return {
        "client": (_plain(client[0]), client[1]) if isinstance(client, tuple) else None,
        "server": tuple(server[:2]) if isinstance(server, tuple) else (server, None) if server else None,
        "scheme": "https" if tls else "http",
        "extensions": {"tls": tls} if tls else {},
        "broker.listener": listener,
    }


def _plain(host: str) -> str:
    """Write an IPv4 address mapped into IPv6 as what it is.

    >>> _plain("::ffff:10.0.0.1"), _plain("::1")
    ('10.0.0.1', '::1')
    """
    return host[len(_MAPPED) :] if host.startswith(_MAPPED) and "." in host else host


def request_scope(
    parser: Any, headers: list[tuple[bytes, bytes]], version: tuple[int, int], base: Scope
) -> Scope:
    """One request. ``path`` is lossy, as ASGI has it; ``raw_path`` is what was sent."""
    raw_path, _mark, query = parser.path.partition(b"?")
    path = unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path
    return {
        "type": "http",
        "asgi": _ASGI,
        "http_version": "1.1" if version >= (1, 1) else "1.0",
        "method": parser.method.decode("ascii"),
        "path": path.decode("utf-8", "replace"),
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": headers,
        **base,
    }


def websocket_scope(request: Scope, names: dict[bytes, bytes]) -> Scope:
    """The scope of a request that asks to become a WebSocket."""
    offered = names.get(b"sec-websocket-protocol", b"").decode("latin-1")
    return {
        **request,
        "type": "websocket",
        "scheme": "wss" if request["scheme"] == "https" else "ws",
        "subprotocols": [part.strip() for part in offered.split(",") if part.strip()],
    }
