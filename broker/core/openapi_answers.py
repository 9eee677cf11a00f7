"""What the OpenAPI document says of answers: Vault's envelope, and what a handler's signature tells of the rest.

The shape of an answer is read off the handler's return annotation, which a type checker holds to the code: ``Plain`` has
no envelope, ``Raw`` is no JSON, ``None`` has no body. What an operation declares to return tells the fields of ``data``.
"""

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from broker.plugin.messages import Auth, Plain, Raw, Response
from broker.plugin.paths import Operation

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_COUNT: Final[Schema] = {"type": "integer"}
_TRUTH: Final[Schema] = {"type": "boolean"}
_TEXTS: Final[Schema] = {"type": "array", "items": _TEXT}
_OPEN: Final[Schema] = {"type": "object", "additionalProperties": True}
_MAYBE: Final[Schema] = {"nullable": True}


def _object(*, required: bool = True, **properties: Schema) -> Schema:
    shown: Schema = {"type": "object", "properties": properties}
    return shown | {"required": list(properties)} if required else shown


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


COMPONENTS: Final[Mapping[str, Schema]] = {
    "Envelope": _object(
        request_id=_TEXT,
        lease_id=_TEXT,
        renewable=_TRUTH,
        lease_duration={**_COUNT, "description": "Seconds."},
        data={**_OPEN, **_MAYBE},
        wrap_info=_ref("WrapInfo"),
        warnings={**_TEXTS, **_MAYBE},
        auth=_ref("Auth"),
        mount_type=_TEXT,
    ),
    "WrapInfo": _MAYBE
    | _object(
        required=False,
        token={**_TEXT, "x-vault-displayAttrs": {"sensitive": True}},
        accessor=_TEXT,
        ttl={**_COUNT, "description": "Seconds."},
        creation_time={**_TEXT, "format": "date-time"},
        creation_path=_TEXT,
        wrapped_accessor=_TEXT,
    ),
    "Auth": _MAYBE
    | _object(
        required=False,
        client_token={**_TEXT, "x-vault-displayAttrs": {"sensitive": True}},
        accessor=_TEXT,
        policies={**_TEXTS, **_MAYBE},
        token_policies=_TEXTS,
        identity_policies=_TEXTS,
        metadata={"type": "object", "additionalProperties": _TEXT, **_MAYBE},
        lease_duration={**_COUNT, "description": "Seconds."},
        renewable=_TRUTH,
        entity_id=_TEXT,
        token_type=_TEXT,
        orphan=_TRUTH,
        mfa_requirement={**_OPEN, **_MAYBE},
        num_uses=_COUNT,
        expires_at={**_TEXT, "format": "date-time", **_MAYBE},
        capped_by=_TEXT,
    ),
}
"""The shared schemas: ``Envelope`` is every enveloped answer, ``auth`` in it a login's."""


def responses(operation: Operation, types_: Mapping[Any, Schema]) -> Schema:
    """Return the answers of an operation by status. ``types_`` are the schemas of plain types."""
    kinds = _kinds(operation.calls) or (operation.returns,)
    none = operation.returns is None or type(None) in kinds or None in kinds
    bodies = [kind for kind in kinds if kind not in (None, type(None))]
    shown: Schema = {}
    if bodies:
        bodied = (_body(kind, operation, types_) for kind in bodies if kind is not Raw)
        found = list({str(schema): schema for schema in bodied}.values())
        content: Schema = {}
        if found:
            content["application/json"] = {"schema": found[0] if len(found) == 1 else {"anyOf": found}}
        if Raw in bodies:
            content["*/*"] = {"schema": {"type": "string", "format": "binary"}}
        shown["200"] = {"description": "OK", "content": content}
    if none:
        shown["204"] = {"description": "Done; no body."}
    return shown


def used(paths: Mapping[str, Any]) -> dict[str, Schema]:
    """Return the shared schemas if any of the document's paths refers to them."""
    return dict(COMPONENTS) if str(_ref("Envelope")) in str(paths) else {}


def _body(kind: Any, operation: Operation, types_: Mapping[Any, Schema]) -> Schema:
    if kind is Plain:
        return dict(_OPEN)
    envelope = _ref("Envelope")
    if kind is Auth:
        return {"allOf": [envelope, _object(auth=_ref("Auth"))]}
    fields = _fields(operation.returns, types_)
    return {"allOf": [envelope, _object(data=_object(required=False, **fields))]} if fields else envelope


def _fields(kind: Any, types_: Mapping[Any, Schema]) -> dict[str, Schema]:
    """Return the fields of a declared result; none for a mapping, whose keys nobody has declared."""
    if not isinstance(kind, type) or kind in (Response, Plain, Raw, Auth):
        return {}
    if issubclass(kind, msgspec.Struct):
        return {field.encode_name: dict(types_.get(field.type, {})) for field in msgspec.structs.fields(kind)}
    if dataclasses.is_dataclass(kind):
        return {field.name: dict(types_.get(field.type, {})) for field in dataclasses.fields(kind)}
    return {}


@lru_cache(maxsize=4096)
def _kinds(handler: Callable[..., Any]) -> tuple[Any, ...]:
    """Return what a handler says it returns, an alternative each; nothing if it does not say."""
    try:
        said = typing.get_type_hints(handler).get("return", Any)
    except (NameError, TypeError):
        return ()
    parts = typing.get_args(said) if isinstance(said, types.UnionType) else (said,)
    return () if Any in parts else parts
