"""The smallest HTTP client that sends exactly what it is told: any verb, any bytes, no redirects followed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Reply:
    """What came back; ``body`` is parsed JSON, or text if it is not JSON, or None if there was nothing."""

    status: int
    headers: dict[str, str]
    body: Any
    raw: bytes = field(repr=False, default=b"")


class Client:
    """One keep-alive connection to one server."""

    def __init__(self, address: str) -> None:
        self._host = urlsplit(address).netloc
        self._connection: HTTPConnection | None = None

    def send(self, method: str, target: str, headers: dict[str, str], body: bytes | None) -> Reply:
        """Send one request; a connection that the server closed in between is opened anew, once."""
        try:
            return self._send(method, target, headers, body)
        except (HTTPException, OSError):
            self.close()
        try:
            return self._send(method, target, headers, body)
        except (HTTPException, OSError):
            self.close()
            raise

    def _send(self, method: str, target: str, headers: dict[str, str], body: bytes | None) -> Reply:
        if self._connection is None:
            self._connection = HTTPConnection(self._host, timeout=60)
        self._connection.request(method, target, body=body, headers=headers)
        response = self._connection.getresponse()
        raw = response.read()
        return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, _parse(raw), raw)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _parse(raw: bytes) -> Any:
    if not raw:
        return None
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode(errors="replace")
