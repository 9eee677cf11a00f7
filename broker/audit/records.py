"""From facts to the two records of a request, in Vault's JSON shape, every value hashed with the device's salt."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from broker.audit.clock import NANOSECONDS, nano_text, seconds_text
from broker.audit.entry import AuditEntry, AuthFacts, PolicyResults, ResponseFacts
from broker.audit.hashing import RAW_BODY, Salt, plain
from broker.audit.options import RecordOptions
from broker.audit.shapes import (
    AuthShape,
    NamespaceShape,
    RequestShape,
    ResponseShape,
    SecretShape,
    WrapShape,
)
from broker.plugin.messages import WrapInfo
from broker.plugin.secret import Secret
from broker.plugin.settled import Settled

RECENT_AUTHS = 512
LISTING = ("list", "scan")

_encode = msgspec.json.Encoder().encode

_issue_time = lru_cache(64)(lambda second: seconds_text(second) + "Z")

AuditedHeaders = dict[str, bool]
"""Lower-case header name -> whether its values are hashed."""


class RecordEncoder:
    """One device's way of writing records. Each method returns a JSON object without its closing brace and time.

    Kept per device because each has its own salt. What repeats from request to request is kept encoded: the
    ``auth`` object per token, and the ``request`` object from the request's record to the response's.
    """

    def __init__(self, device: str, salt: Salt, options: RecordOptions, headers: AuditedHeaders) -> None:
        self._device = device
        self._salt = salt
        self._options = options
        self._headers = headers
        self._auth_json = lru_cache(RECENT_AUTHS)(self._encode_auth)
        hashes = not options.log_raw
        self._token = salt.recent if hashes else str
        self._accessor = salt.recent if hashes and options.hmac_accessor else str
        self._new_token = salt.text if hashes else str
        self._new_accessor = salt.text if hashes and options.hmac_accessor else str

    def request(self, entry: AuditEntry) -> bytes:
        """The record written before anything happens."""
        return b'"type":"request","auth":%b,"request":%b%b' % (
            self._auth(entry),
            self._request(entry),
            _error(entry.error),
        )

    def response(self, entry: AuditEntry, response: ResponseFacts) -> bytes:
        """The record written before the answer leaves."""
        return b'"type":"response","auth":%b,"request":%b,"response":%b%b' % (
            self._auth(entry),
            self._request(entry),
            self._response(entry, response),
            _error(entry.error),
        )

    def forget(self) -> None:
        """Drop every token kept in clear (the node is being sealed)."""
        self._auth_json.cache_clear()
        self._salt.forget()

    def _auth(self, entry: AuditEntry) -> bytes:
        if entry.auth is None:
            return b'{"token_type":"default"}'
        return self._auth_json(entry.auth, entry.remaining_uses, entry.policy_results)

    def _encode_auth(self, auth: AuthFacts, remaining_uses: int, results: PolicyResults | None) -> bytes:
        return self._shaped(auth, self._token, self._accessor, remaining_uses, results)

    def _made(self, auth: AuthFacts) -> bytes:
        """What a login made. Not kept: thousands of these a second would push out the tokens that are in use."""
        return self._shaped(auth, self._new_token, self._new_accessor, 0, None)

    def _shaped(
        self,
        auth: AuthFacts,
        token: Callable[[str], str],
        accessor: Callable[[str], str],
        remaining_uses: int,
        results: PolicyResults | None,
    ) -> bytes:
        shape = AuthShape(
            client_token=token(auth.client_token) if auth.client_token else "",
            accessor=accessor(auth.accessor) if auth.accessor else "",
            display_name=auth.display_name,
            policies=auth.policies,
            token_policies=auth.token_policies,
            identity_policies=auth.identity_policies,
            no_default_policy=auth.no_default_policy,
            policy_results=results,
            metadata=dict(auth.metadata),
            num_uses=auth.num_uses,
            remaining_uses=remaining_uses,
            entity_id=auth.entity_id,
            entity_created=auth.entity_created,
            token_type=auth.token_type,
            token_ttl=auth.token_ttl,
            token_issue_time=_issue_time(int(auth.token_issue_time)) if auth.token_issue_time else "",
        )
        return _tolerant(shape)

    def _request(self, entry: AuditEntry) -> bytes:
        encoded = entry.encoded.get(self._device)
        if encoded is None:
            encoded = entry.encoded[self._device] = self._encode_request(entry)
        return encoded

    def _encode_request(self, entry: AuditEntry) -> bytes:
        shape = RequestShape(
            id=entry.request_id,
            client_id=entry.client_id,
            operation=entry.operation,
            client_token=self._token(entry.client_token) if entry.client_token else "",
            client_token_accessor=(
                self._accessor(entry.client_token_accessor) if entry.client_token_accessor else ""
            ),
            namespace=NamespaceShape(entry.namespace_id, entry.namespace_path),
            path=entry.path,
            remote_address=entry.remote_address,
            remote_port=entry.remote_port,
            wrap_ttl=entry.wrap_ttl,
            client_certificate_serial_number=entry.client_certificate_serial_number,
        )
        clear: Collection[str] = ()
        if (mount := entry.mount) is not None:
            clear = mount.config.audit_non_hmac_request_keys
            shape.mount_point = entry.namespace_path + mount.prefix
            shape.mount_type = mount.type
            shape.mount_accessor = mount.accessor
            shape.mount_running_version = entry.mount_version
            shape.mount_class = mount.table
        if entry.data:
            shape.data = self._data(entry.data, clear)
        if self._headers and entry.headers:
            shape.headers = self._chosen_headers(entry.headers) or None
        return _tolerant(shape)

    def _response(self, entry: AuditEntry, response: ResponseFacts) -> bytes:
        shape = ResponseShape(
            warnings=response.warnings, redirect=response.redirect, headers=response.headers
        )
        clear: Collection[str] = ()
        if (mount := entry.mount) is not None:
            clear = mount.config.audit_non_hmac_response_keys
            shape.mount_point = entry.namespace_path + mount.prefix
            shape.mount_type = mount.type
            shape.mount_accessor = mount.accessor
            shape.mount_running_plugin_version = entry.mount_version
            shape.mount_class = mount.table
        if response.auth is not None:
            shape.auth = msgspec.Raw(self._made(response.auth))
        if response.lease_id:
            shape.secret = SecretShape(response.lease_id)
        if response.wrap_info is not None:
            shape.wrap_info = self._wrap(response.wrap_info)
        shape.data = self._response_data(entry, response.data, clear)
        return _tolerant(shape)

    def _response_data(
        self, entry: AuditEntry, data: Mapping[str, Any] | bytes | None, clear: Collection[str]
    ) -> Any:
        if not data:
            return self._data({"error": entry.error}, clear) if entry.error else None
        if self._options.elide_list_responses and entry.operation in LISTING and not isinstance(data, bytes):
            counts, rest = _counted(data)
            return {**self._data(rest, clear), **counts}
        if type(data) is Settled and not self._options.log_raw:
            return msgspec.Raw(
                data.once(
                    (self._device, *clear), lambda same: _tolerant(self._salt.structure(dict(same), clear))
                )
            )
        return self._data(data, clear)

    def _data(self, data: Mapping[str, Any] | bytes, clear: Collection[str]) -> Any:
        body = {RAW_BODY: data} if isinstance(data, bytes) else data
        if self._options.log_raw:
            return _in_clear(body)
        return self._salt.structure(body, clear)

    def _chosen_headers(self, headers: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        text = str if self._options.log_raw else self._salt.text
        chosen: dict[str, list[str]] = {}
        for name, hashed in self._headers.items():
            if name in headers:
                given = headers[name]
                values = [given] if isinstance(given, str) else list(given)
                chosen[name] = [text(value) for value in values] if hashed else values
        return chosen

    def _wrap(self, wrap: WrapInfo) -> WrapShape:
        return WrapShape(
            ttl=wrap.ttl,
            token=self._token(wrap.token.reveal()),
            accessor=self._accessor(wrap.accessor),
            creation_time=nano_text(int(wrap.creation_time * NANOSECONDS)),
            creation_path=wrap.creation_path,
            wrapped_accessor=self._accessor(wrap.wrapped_accessor) if wrap.wrapped_accessor else "",
        )


def _error(text: str) -> bytes:
    return b',"error":' + _tolerant(text) if text else b""


def _counted(data: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, Any]]:
    """A listing's bulky parts as their sizes, and the rest as it is."""
    counts = {}
    if isinstance(data.get("keys"), Sequence) and not isinstance(data["keys"], str | bytes):
        counts["keys"] = len(data["keys"])
    if isinstance(data.get("key_info"), Mapping):
        counts["key_info"] = len(data["key_info"])
    return counts, {name: value for name, value in data.items() if name not in counts}


def _tolerant(value: Any) -> bytes:
    """JSON of ``value``, whatever odd text or number a caller sent: a record must never fail for that."""
    try:
        return _encode(value)
    except (UnicodeEncodeError, OverflowError, ValueError, TypeError):
        return _encode(
            _encodable(msgspec.structs.asdict(value) if isinstance(value, msgspec.Struct) else value)
        )


def _encodable(value: Any) -> Any:
    """Lone surrogates escaped, integers beyond 64 bits as text."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, msgspec.Struct):
        value = {k: v for k, v in msgspec.structs.asdict(value).items() if v}
    if isinstance(value, Mapping):
        return {_encodable(str(name)): _encodable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(item) for item in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return hex(value)
    return value


def _in_clear(value: Any) -> Any:
    """For ``log_raw``: every value as it is, in plain JSON."""
    if isinstance(value, Secret):
        return _in_clear(value.reveal())
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8", "backslashreplace")
    if isinstance(value, Mapping):
        return {str(name): _in_clear(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_in_clear(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    return _in_clear(plain(value))
