"""The OpenAPI document of mounts, made from their path tables: one row there is one path here.

Source: OpenAPI 3.0.3; the ``x-vault-*`` extensions are those of Vault's ``sys/internal/specs/openapi``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from broker.core.openapi_answers import responses, used
from broker.core.settings import VERSION
from broker.plugin.fields import InputField
from broker.plugin.paths import Operation, Path
from broker.plugin.verbs import Verb

METHODS = {
    "get": (Verb.READ, Verb.LIST, Verb.SCAN),
    "post": (Verb.UPDATE, Verb.CREATE),
    "patch": (Verb.PATCH,),
    "delete": (Verb.DELETE,),
}
"""HTTP methods and the verbs they carry; a listing is a GET with ``list=true``, for OpenAPI has no LIST."""

_WITH_BODY = ("post", "patch")
_TYPES: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    timedelta: {"type": "string", "format": "duration"},
    datetime: {"type": "string", "format": "date-time"},
    list[str]: {"type": "array", "items": {"type": "string"}},
    list[int]: {"type": "array", "items": {"type": "integer"}},
    list[Any]: {"type": "array", "items": {}},
    list[dict[str, Any]]: {"type": "array", "items": {"type": "object"}},
    dict[str, str]: {"type": "object", "additionalProperties": {"type": "string"}},
    dict[str, Any]: {"type": "object", "additionalProperties": True},
}


@dataclass(frozen=True, slots=True)
class Described:
    """A table at a place: ``prefix`` as in ``secret/``, empty for a table by itself. ``tag`` groups its paths.

    ``parameters`` are names in braces that the prefix itself carries, as in ``{kv_mount_path}/``.
    """

    prefix: str
    tag: str
    paths: Sequence[Path]
    parameters: tuple[str, ...] = ()


def document(tables: Iterable[Described], *, title: str = "Broker API") -> dict[str, Any]:
    """Return the document of these tables, paths in order."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for table in tables:
        for row in filter(shown, table.paths):
            paths["/" + table.prefix + row.template.replace(":path}", "}")] = _path_item(table, row, schemas)
    schemas |= used(paths)
    return {
        "openapi": "3.0.3",
        "info": {
            "title": title,
            "description": "HTTP API of the secrets broker. All routes are prefixed with `/v1/`.",
            "version": VERSION,
            "license": {"name": "Apache 2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "security": [{"token": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Vault-Token"}},
        },
    }


def shown(row: Path) -> dict[Verb, Operation]:
    """Return the operations of a row that are there to be used."""
    return {verb: operation for verb, operation in row.operations.items() if not operation.hidden}


def _path_item(table: Described, row: Path, schemas: dict[str, Any]) -> dict[str, Any]:
    offered = shown(row)
    operations = offered.values()
    item: dict[str, Any] = {"description": "\n\n".join(filter(None, (row.summary, row.description)))}
    parameters = [*map(_mount_parameter, table.parameters), *_path_parameters(row)]
    if parameters:
        item["parameters"] = parameters
    if any(operation.sudo for operation in operations):
        item["x-vault-sudo"] = True
    if any(operation.authenticated is not True for operation in operations):
        item["x-vault-unauthenticated"] = True
    if Verb.CREATE in offered or row.exists is not None:
        item["x-vault-createSupported"] = True
    for method, verbs in METHODS.items():
        found = {verb: offered[verb] for verb in verbs if verb in offered}
        if found:
            item[method] = _operation(table, row, method, found, schemas)
    return item


def _operation(
    table: Described, row: Path, method: str, found: dict[Verb, Operation], schemas: dict[str, Any]
) -> dict[str, Any]:
    operation = next(iter(found.values()))
    name = _name(table, row, method)
    told: dict[str, Any] = {
        "operationId": name,
        "tags": [table.tag],
        "summary": operation.summary or row.summary,
    }
    if operation.authenticated is not True:
        # An empty requirement beside the token's means: a token may be sent.
        told["security"] = [{}, {"token": []}] if operation.authenticated else []
    if method in _WITH_BODY:
        body = _body(operation, row)
        if body["properties"] or body.get("additionalProperties"):
            title = "".join(word.capitalize() for word in name.split("-")) + "Request"
            schemas[title] = body
            content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{title}"}}}
            told["requestBody"] = {"required": bool(body.get("required")), "content": content}
    else:
        query = _query(row, found)
        if query:
            told["parameters"] = query
    told["responses"] = responses(operation, _TYPES)
    return told


def _name(table: Described, row: Path, method: str) -> str:
    """Return the operation's id, unique in the document: ``secret-get-data-path``."""
    words = (table.prefix + " " + method + " " + row.template).replace(":path", "")
    return "-".join("".join(c if c.isalnum() else " " for c in words).split())


def _mount_parameter(name: str) -> dict[str, Any]:
    about = "Path where the engine is mounted."
    return {"name": name, "in": "path", "required": True, "description": about, "schema": {"type": "string"}}


def _path_parameters(row: Path) -> list[dict[str, Any]]:
    known = {field.name: field for operation in row.operations.values() for field in operation.inputs}
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": known[name].about.description,
            "schema": _schema(known[name], brief=True),
        }
        for name in row.parameters
    ]


def _query(row: Path, found: dict[Verb, Operation]) -> list[dict[str, Any]]:
    """Return the query of a GET or DELETE: its fields, and what turns a GET into a listing."""
    shown: list[dict[str, Any]] = []
    for verb in (Verb.LIST, Verb.SCAN):
        if verb in found:
            alone = len(found) == 1
            schema = {"type": "string", "enum": ["true"]} if alone else {"type": "string"}
            about = f"{'Must be' if alone else 'Set to'} `true` to {verb.value}"
            shown.append(
                {"name": verb.value, "in": "query", "required": alone, "description": about, "schema": schema}
            )
    fields = {field.name: field for operation in found.values() for field in operation.inputs}
    shown.extend(
        {
            "name": field.name,
            "in": "query",
            "required": field.required,
            "description": field.about.description,
            "schema": _schema(field, brief=True),
        }
        for field in fields.values()
        if field.name not in row.parameters and not field.about.rest
    )
    return shown


def _body(operation: Operation, row: Path) -> dict[str, Any]:
    """Return the schema of a request body. The path's parameters are not repeated in it."""
    fields = [field for field in operation.inputs if field.name not in row.parameters]
    named = [field for field in fields if not field.about.rest]
    body: dict[str, Any] = {"type": "object", "properties": {field.name: _schema(field) for field in named}}
    required = [field.name for field in named if field.required]
    if required:
        body["required"] = required
    body["additionalProperties"] = any(field.about.rest for field in fields)
    return body


def _schema(field: InputField, *, brief: bool = False) -> dict[str, Any]:
    """Return the schema of one input: its type and every bound that the server holds it to."""
    about, kind = field.about, _TYPES.get(field.type, {})
    schema: dict[str, Any] = dict(kind)
    if not brief:
        schema["description"] = about.description
    if field.type in (int, float):
        _add(schema, minimum=about.minimum, maximum=about.maximum)
    size = {"string": "Length", "array": "Items", "object": "Properties"}.get(schema.get("type", ""))
    if size:
        _add(schema, **{f"min{size}": about.min_length, f"max{size}": about.max_length})
    if about.choices is not None:
        schema["enum"] = list(about.choices)
    if about.nullable:
        schema["nullable"] = True
    if about.deprecated:
        schema["deprecated"] = True
    if field.secret:
        schema["x-vault-displayAttrs"] = {"sensitive": True}
    if type(field.default) in (bool, int, float, str) and field.default != "":
        schema["default"] = field.default
    elif type(field.default) is timedelta and field.default:
        schema["default"] = f"{field.default.total_seconds():g}s"
    return schema


def _add(schema: dict[str, Any], **bounds: float | None) -> None:
    for name, bound in bounds.items():
        if bound is not None:
            schema[name] = int(bound) if bound == int(bound) else bound


__all__ = ["Described", "document", "shown"]
