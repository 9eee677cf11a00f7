"""What a path says of itself (``GET PATH?help=1``), made from the table that also routes it.

Shape: ``{"help": text, "see_also": null, "openapi": {...}}`` without an envelope, as Vault answers and ``path-help`` reads.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from textwrap import indent
from typing import Any

from broker.core.openapi import Described, document, shown
from broker.plugin.context import Context
from broker.plugin.engine import Engine
from broker.plugin.fields import InputField, Nothing
from broker.plugin.messages import Plain
from broker.plugin.paths import Operation, Path, PathTable

_WORDS: Mapping[Any, str] = {
    str: "string",
    int: "int",
    float: "float",
    bool: "bool",
    timedelta: "duration",
    datetime: "time",
    list[str]: "list of strings",
    list[int]: "list of integers",
    list[Any]: "list",
    list[dict[str, Any]]: "list of objects",
    dict[str, str]: "map of strings",
    dict[str, Any]: "map",
}


@lru_cache(maxsize=256)
def _table(paths: tuple[Path, ...]) -> PathTable:
    return PathTable(paths)


async def describe(engine: Engine, ctx: Context, args: Nothing) -> Plain:
    """Describe the request's path, or with nothing behind the mount's path the whole mount."""
    table = _table(tuple(engine.PATHS))
    tag = "system" if ctx.mount.type == "system" else "auth" if ctx.mount.table == "auth" else "secrets"
    rows = [table.match(ctx.path)[0]] if ctx.path else [row for row in table.paths if shown(row)]
    text = path_text(rows[0], ctx.path) if ctx.path else mount_text(type(engine), rows)
    openapi = document([Described("", tag, rows)])
    return Plain({"help": text, "openapi": openapi, "see_also": None})


def path_text(row: Path, path: str) -> str:
    """Return one row as a page for the terminal."""
    parts = [f"Request:        {path}\nMatching Route: {row.template}\n\n{row.summary}"]
    fields = {field.name: field for operation in shown(row).values() for field in operation.inputs}
    if fields:
        parts += ["## PARAMETERS", *(_parameter(fields[name]) for name in sorted(fields))]
    if row.description:
        parts += ["## DESCRIPTION", row.description]
    verbs = [_verb(verb.value, operation) for verb, operation in shown(row).items()]
    return "\n\n".join([*parts, "## OPERATIONS", "\n".join(verbs)])


def _parameter(field: InputField) -> str:
    about = field.about
    notes = []
    if about.choices:
        notes.append("One of: " + ", ".join(about.choices) + ".")
    if about.deprecated:
        notes.append("Deprecated.")
    if field.required:
        notes.append("Required.")
    text = " ".join((about.description, *notes))
    return f"    {field.name} ({_WORDS.get(field.type, 'any')})\n\n        {text}"


def _verb(verb: str, operation: Operation) -> str:
    notes = [operation.summary] if operation.summary else []
    if operation.sudo:
        notes.append("Needs the sudo capability.")
    if operation.authenticated is not True:
        notes.append("Takes a token or none." if operation.authenticated else "Needs no token.")
    return f"    {verb}" + (f": {' '.join(notes)}" if notes else "")


def mount_text(kind: type[Engine], rows: list[Path]) -> str:
    """Return an engine and the list of its paths as a page for the terminal."""
    about = (kind.__doc__ or "").strip().partition("\n\n")[0]
    paths = "\n\n".join(f"{row.template or '/'}\n{indent(row.summary, '    ')}" for row in rows)
    return f"## DESCRIPTION\n\n{about}\n\n## PATHS\n\n{indent(paths, '    ')}"


HELP = Operation(Nothing, dict, calls=describe)
"""What every path answers to ``help``; a valid token is all it takes."""
