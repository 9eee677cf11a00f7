"""The client: one method per verb, over one kept connection."""

import json
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode

from broker.client.errors import ApiError, ClientError
from broker.client.reply import Json, Reply
from broker.client.settings import DEFAULT_ADDRESS, Settings, Tls
from broker.client.transport import Transport
from broker.plugin.errors import InvalidRequest
from broker.plugin.secret import Secret

TIMEOUT_SECONDS = 60.0


class Client:
    """Talks to one server as one token in one namespace. Not for sharing between threads.

    >>> client = Client("http://127.0.0.1:8200", Secret("hvs.example"))
    >>> client
    <Client http://127.0.0.1:8200 namespace=''>
    """

    def __init__(
        self,
        addr: str = DEFAULT_ADDRESS,
        token: Secret[str] | None = None,
        namespace: str = "",
        *,
        tls: Tls | None = None,
        headers: Mapping[str, str] | None = None,
        wrap_ttl: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._transport = Transport(addr, tls or Tls(), timeout_seconds=timeout_seconds)
        self._headers = dict(headers or {})
        self._wrap_ttl = wrap_ttl
        self.token = token
        self.namespace = namespace

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Client":
        """A client as ``BROKER_*`` (or ``VAULT_*``, ``BAO_*``) describe it."""
        settings = Settings.from_env(environ)
        return cls(settings.address, settings.token, settings.namespace, tls=settings.tls)

    def __repr__(self) -> str:
        return f"<Client {self.address} namespace={self.namespace!r}>"

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def address(self) -> str:
        """The server's address, as given."""
        return self._transport.address

    def use(self, transport: Transport) -> None:
        """Send by this transport from now on, in place of the address's own."""
        self._transport.close()
        self._transport = transport

    def close(self) -> None:
        """Close the kept connections."""
        self._transport.close()

    @contextmanager
    def unwrapped(self) -> Iterator[None]:
        """Within this block ``wrap_ttl`` rests: for questions on the way to the answer that is to be wrapped."""
        resting, self._wrap_ttl = self._wrap_ttl, None
        try:
            with self._transport.asking():
                yield
        finally:
            self._wrap_ttl = resting

    def read(self, path: str, **query: str) -> Reply | None:
        """Read; None if nothing is there. A deleted KV version answers with its metadata and status 404."""
        return self._find("GET", path, query=query)

    def read_raw(self, path: str, **query: str) -> bytes:
        """Read what is no JSON object, such as a certificate; the body comes as it is. Raises: as ``request``."""
        target = _target(path, query)
        response = self._transport.send("GET", target, self._outgoing({}, None), None)
        if response.status_code < 400:
            return response.content
        body = _decode(response.content)
        raise _refusal(response.status_code, body, response.text, "GET", self.address + target)

    def list(self, path: str, **query: str) -> Reply | None:
        """List the names below ``path``; None if there are none."""
        return self._find("GET", path, query={**query, "list": "true"})

    def scan(self, path: str, **query: str) -> Reply | None:
        """List all names below ``path``, at any depth; None if there are none."""
        return self._find("GET", path, query={**query, "scan": "true"})

    def write(self, path: str, data: Json | None = None) -> Reply:
        """Create or update."""
        return self.request("PUT", path, body=data or {})

    def patch(self, path: str, data: Json) -> Reply:
        """Change some fields by JSON merge patch: a field set to None is removed."""
        return self.request(
            "PATCH", path, body=data, headers={"Content-Type": "application/merge-patch+json"}
        )

    def delete(self, path: str, **query: str) -> Reply:
        """Delete; succeeds also where nothing is."""
        return self.request("DELETE", path, query=query)

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Json | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        accept: Collection[int] = (),
    ) -> Reply:
        """Send one request below ``/v1/`` and return its answer.

        ``accept`` names further statuses that count as an answer (a sealed server's health is 503).
        Raises: ApiError for any other status from 400 up; Unreachable; RedirectRefused; InvalidRequest for a path
        that would arrive as a different one.
        """
        target = _target(path, query)
        encoded = None if body is None else json.dumps(body).encode()
        response = self._transport.send(method, target, self._outgoing(headers or {}, encoded), encoded)
        decoded = _decode(response.content)
        if response.status_code < 400 or response.status_code in accept:
            if decoded is None:
                raise ClientError(f"the answer of {self.address} to {method} {path} is not a JSON object")
            return Reply(response.status_code, decoded, response.headers)
        raise _refusal(response.status_code, decoded, response.text, method, self.address + target)

    def _find(self, method: str, path: str, query: Mapping[str, str]) -> Reply | None:
        try:
            return self.request(method, path, query=query)
        except ApiError as error:
            if error.status != 404:
                raise
            body = dict(error.data or {})
            return Reply(404, body, {}) if body.get("data") or body.get("warnings") else None

    def _outgoing(self, headers: Mapping[str, str], body: bytes | None) -> dict[str, str]:
        outgoing = {"X-Vault-Request": "true", **self._headers}
        if body is not None:
            outgoing["Content-Type"] = "application/json"
        if self.token:
            outgoing["X-Vault-Token"] = _sendable(self.token)
        if self.namespace:
            outgoing["X-Vault-Namespace"] = self.namespace
        if self._wrap_ttl:
            outgoing["X-Vault-Wrap-TTL"] = self._wrap_ttl
        return outgoing | dict(headers)


def wait_until_answering(client: Client, *, seconds: float = 10.0) -> None:
    """Return once the server answers at all, sealed or not.

    Raises: Unreachable if it does not within ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            client.request("GET", "sys/seal-status")
            return
        except ApiError:
            return
        except ClientError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _target(path: str, query: Mapping[str, str] | None) -> str:
    return "/v1/" + _quoted(path) + ("?" + urlencode(query) if query else "")


def _quoted(path: str) -> str:
    """Quote a path so that it arrives as written; refuse what HTTP libraries on the way would rewrite."""
    stripped = path.lstrip("/")
    if any(segment in {".", ".."} for segment in stripped.split("/")):
        raise InvalidRequest("a path must not have . or .. as a segment")
    return quote(stripped, safe="/~!$&'()*+,;=:@")


def _sendable(token: Secret[str]) -> str:
    text = token.reveal()
    if not text.isascii() or not text.isprintable() or " " in text:
        # The HTTP library would refuse it too, with the token in its message.
        raise InvalidRequest("the token contains characters that cannot be sent")
    return text


def _decode(content: bytes) -> dict[str, Any] | None:
    if not content:
        return {}
    try:
        decoded = json.loads(content)
    except ValueError:
        return None
    return decoded if isinstance(decoded, dict) else None


def _refusal(status: int, body: Json | None, raw: str, method: str, url: str) -> ApiError:
    if body is None:
        return ApiError(status, (), method=method, url=url, raw=raw)
    errors = body.get("errors")
    sentences = [str(error) for error in errors] if isinstance(errors, list) else []
    return ApiError(status, sentences, method=method, url=url, body=body)
