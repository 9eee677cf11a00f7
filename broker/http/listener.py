"""What a listener's stanza asks of the edge, worked out once when the worker starts.

A request finds its listener's rules by one look-up; a rule that is not configured costs nothing more than a ``None``.
"""

import re
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from broker.http.cors import Cors
from broker.http.errors import PreconditionFailed
from broker.http.forwarded import ForwardedFor
from broker.http.headers import ResponseHeaders
from broker.http.lateness import Lateness
from broker.http.strictjson import JsonLimits
from broker.plugin.errors import ConfigError, PermissionDenied
from broker.plugin.messages import Plain, Response
from broker.server.settings import ListenerConfig, ServerConfig

Headers = Sequence[tuple[bytes, bytes]]
Scope = Mapping[str, Any]

DEFAULT_SIZE = 32 * 1024 * 1024
DEFAULT_MEMORY = 64 * 1024 * 1024
DEFAULT_STRINGS = 1000
HSTS = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")

CEREMONIES = re.compile(
    r"(?:^|/)sys/(?:init|unseal|seal(?!-)|rekey|generate-root|rotate|step-down|namespaces|remount)(?:[/-]|$)"
)
"""Steps that are more than one transaction: never cancelled halfway."""

_REDACTED = {
    "redact_version": ("version",),
    "redact_cluster_name": ("cluster_name",),
    "redact_addresses": ("leader_address", "leader_cluster_address"),
}
_STATUS_PATHS = ("sys/health", "sys/seal-status", "sys/leader", "sys/unseal")
_CEREMONY_KEYS = {
    "disable_unauthed_rekey_endpoints": "rekey",
    "disable_unauthed_generate_root_endpoints": "generate-root",
}


class ListenerRules:
    """One listener's rules. Sizes in bytes. ``None`` stands for a rule that is not configured."""

    __slots__ = (
        "added",
        "closed",
        "cors",
        "forwarded",
        "gated",
        "json",
        "lateness",
        "listener",
        "max_body",
        "redacted",
        "require_header",
    )

    def __init__(
        self,
        listener: ListenerConfig,
        *,
        duration: float = 90.0,
        hostname: str = "",
        closed: Sequence[str] = (),
    ) -> None:
        """``closed`` names ceremonies that are not served here. Raises: ConfigError for headers or networks that mean nothing."""
        self.closed = tuple(closed)
        self.listener = listener
        self.max_body = listener.max_request_size or DEFAULT_SIZE
        self.json = JsonLimits(
            max_strings=listener.max_request_json_strings or DEFAULT_STRINGS,
            max_memory=listener.max_request_json_memory or DEFAULT_MEMORY,
        )
        self.lateness = Lateness(listener.max_request_duration.total_seconds() or duration)
        self.forwarded = _forwarded(listener)
        self.cors = (
            Cors(listener.cors_allowed_origins, listener.cors_allowed_headers)
            if listener.cors_enabled
            else None
        )
        self.require_header = listener.require_request_header
        self.gated = bool(self.forwarded or self.cors or self.require_header)
        self.added = _added(listener, hostname)
        self.redacted = tuple(
            field for key, fields in _REDACTED.items() if getattr(listener, key) for field in fields
        )

    def admit(self, scope: Scope) -> tuple[str | None, Headers]:
        """Judge a request by its head; called only where ``gated``.

        Returns the client's address if a listed proxy names it, and headers for the answer.
        Raises: PreconditionFailed, PermissionDenied, InvalidRequest.
        """
        raw: list[tuple[bytes, bytes]] = scope["headers"]
        client: str | None = None
        granted: Headers = ()
        if self.forwarded is not None:
            values = [value.decode("latin-1") for name, value in raw if name == b"x-forwarded-for"]
            client = self.forwarded.client((scope.get("client") or ("",))[0], values)
        if self.cors is not None:
            origin = first(raw, b"origin")
            if origin:
                if not self.cors.allows(origin):
                    raise PermissionDenied("origin not allowed")
                granted = self.cors.granted(origin)
                if scope["method"] == "OPTIONS":
                    return client, granted  # a browser's question comes without headers of the page's
        if self.require_header and [value for name, value in raw if name == b"x-vault-request"] != [b"true"]:
            raise PreconditionFailed("missing 'X-Vault-Request' header")
        return client, granted

    def check_ceremony(self, path: str) -> None:
        """Refuse a ceremony that another listener takes part in without a token, and this one does not.

        Raises: PermissionDenied. Nobody would ask for the token here either: what a path asks for holds for the node.
        """
        if any(f"sys/{name}" in path for name in self.closed):
            raise PermissionDenied("this ceremony is served on another listener")

    def redact(self, path: str, response: Response) -> Response:
        """Leave out of a status page what this listener does not tell."""
        plain = response.plain
        if path.endswith(_STATUS_PATHS) and plain is not None and isinstance(plain.body, dict):
            hidden = {name: "" for name in self.redacted if name in plain.body}
            response.plain = Plain({**plain.body, **hidden}, plain.status)
        return response


def first(raw: Iterable[tuple[bytes, bytes]], wanted: bytes) -> bytes:
    """Return a header's first value, empty if there is none."""
    return next((value for name, value in raw if name == wanted), b"")


def _forwarded(listener: ListenerConfig) -> ForwardedFor | None:
    if not listener.x_forwarded_for_authorized_addrs:
        return None
    try:
        return ForwardedFor(
            listener.x_forwarded_for_authorized_addrs,
            hop_skips=listener.x_forwarded_for_hop_skips,
            reject_not_authorized=listener.x_forwarded_for_reject_not_authorized,
            reject_not_present=listener.x_forwarded_for_reject_not_present,
        )
    except ValueError as error:
        raise ConfigError(f"expected x_forwarded_for_authorized_addrs to be IP networks: {error}") from error


def _added(listener: ListenerConfig, hostname: str) -> Callable[[int], Headers] | None:
    always = [HSTS] if listener.tls else []
    if hostname:
        always.append((b"x-vault-hostname", hostname.encode("ascii", "replace")))
    if not always and not listener.custom_response_headers:
        return None
    return ResponseHeaders(always, listener.custom_response_headers).of


def _closed(listener: ListenerConfig, everybody: Sequence[ListenerConfig]) -> list[str]:
    """Return the ceremonies that are open to all elsewhere, but not on this listener."""
    return [
        name
        for key, name in _CEREMONY_KEYS.items()
        if getattr(listener, key) and not all(getattr(other, key) for other in everybody)
    ]


class RuleBook:
    """The rules of all listeners. A connection brings its listener's settings along in the ASGI scope."""

    def __init__(self, rules: Sequence[ListenerRules] = (), *, other: ListenerConfig | None = None) -> None:
        """``other`` is for requests that come from no listener of ours."""
        self._rules = tuple(rules)
        self._other = ListenerRules(other or ListenerConfig())
        # By identity: comparing settings field by field for each request would cost more than the rules save.
        self.by_id = {id(entry.listener): entry for entry in rules}
        self._kept: list[object] = []  # so that no other object gets a known id

    @classmethod
    def of(cls, config: ServerConfig) -> "RuleBook":
        """Return the rules of a server's listeners. Raises: ConfigError."""
        hostname = socket.gethostname() if config.enable_response_header_hostname else ""
        duration = config.default_max_request_duration.total_seconds() or 90.0
        return cls(
            [
                ListenerRules(
                    entry, duration=duration, hostname=hostname, closed=_closed(entry, config.listeners)
                )
                for entry in config.listeners
            ]
        )

    def find(self, scope: Scope) -> ListenerRules:
        """Return the rules that a request falls under."""
        listener = scope.get("broker.listener")
        return self.by_id.get(id(listener)) or self._learn(listener)

    def _learn(self, listener: object) -> ListenerRules:
        if listener is None:
            return self._other
        found = next((entry for entry in self._rules if entry.listener == listener), self._other)
        self._kept.append(listener)
        self.by_id[id(listener)] = found
        return found
