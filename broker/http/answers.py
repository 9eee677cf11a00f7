"""Responses as bytes: Vault's envelope, with its explicit nulls."""

from typing import Any

from broker.access.lifetimes import issue_time
from broker.core.jsontext import encode
from broker.plugin.errors import BrokerError
from broker.plugin.messages import Auth, Response, WrapInfo
from broker.plugin.settled import Settled

from .errors import status_of

JSON = "json"
"""Names the JSON of settled data."""


def auth_body(auth: Auth) -> dict[str, Any]:
    """Return the ``auth`` block of the envelope."""
    return {
        "client_token": "" if auth.client_token is None else auth.client_token.reveal(),
        "accessor": auth.accessor,
        "policies": None if auth.mfa_requirement else list(auth.policies),
        **({"token_policies": list(auth.token_policies)} if auth.token_policies else {}),
        **({"identity_policies": list(auth.identity_policies)} if auth.identity_policies else {}),
        "metadata": dict(auth.metadata) or None,
        "lease_duration": auth.lease_duration,
        "renewable": auth.renewable,
        "entity_id": auth.entity_id,
        "token_type": auth.token_type,
        "orphan": auth.orphan,
        "mfa_requirement": auth.mfa_requirement,
        "num_uses": auth.num_uses,
        "expires_at": issue_time(auth.expires_at) if auth.expires_at else None,
        "capped_by": auth.capped_by,
    }


def _wrap_body(wrap: WrapInfo) -> dict[str, Any]:
    body = {
        "token": wrap.token.reveal(),
        "accessor": wrap.accessor,
        "ttl": wrap.ttl,
        "creation_time": issue_time(wrap.creation_time),
        "creation_path": wrap.creation_path,
    }
    if wrap.wrapped_accessor:
        body["wrapped_accessor"] = wrap.wrapped_accessor
    return body


def envelope(request_id: str, response: Response) -> bytes:
    """Return the JSON body of an enveloped response."""
    data = response.data
    parts = [
        b'{"request_id":"',
        request_id.encode(),
        b'","lease_id":',
        encode(response.lease_id),
        b',"renewable":true' if response.renewable else b',"renewable":false',
        b',"lease_duration":%d,"data":' % response.lease_duration,
        b"null" if data is None else data.once(JSON, encode) if type(data) is Settled else encode(data),
        b',"wrap_info":',
        b"null" if response.wrap_info is None else encode(_wrap_body(response.wrap_info)),
        b',"warnings":',
        encode(response.warnings) if response.warnings else b"null",
        b',"auth":',
        b"null" if response.auth is None else encode(auth_body(response.auth)),
        b',"mount_type":',
        encode(response.mount_type),
    ]
    if response.mirror and data:
        mirrored = encode({key: value for key, value in data.items() if key not in _ENVELOPE})
        if len(mirrored) > 2:
            parts += [b",", mirrored[1:-1]]
    parts.append(b"}\n")
    return b"".join(parts)


_ENVELOPE = frozenset(
    (
        "request_id",
        "lease_id",
        "renewable",
        "lease_duration",
        "data",
        "wrap_info",
        "warnings",
        "auth",
        "mount_type",
    )
)


def error_body(error: BrokerError, request_id: str) -> tuple[int, bytes]:
    """Return the status and body of an error: ``{"errors": [...]}``, or the envelope where it carries data or warnings."""
    status = status_of(error)
    if error.data is not None or error.warnings:
        return status, envelope(request_id, Response(data=error.data, warnings=list(error.warnings)))
    return status, encode({"errors": [str(message) for message in error.messages]}) + b"\n"
