"""Write the API's reference from the path tables of the built-in plugins: ``python -m contrib.apidoc``.

``docs/api/openapi.json`` is for tools, ``docs/api/reference.md`` for people. With ``--check`` nothing is written; the exit
status tells whether both are fresh.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from broker.core.identity.engine import IdentityEngine
from broker.core.openapi import Described, document, shown
from broker.core.plugins import load_catalog
from broker.core.system.engine import SystemEngine
from broker.plugin.context import Mount
from broker.plugin.engine import EngineType
from broker.plugin.paths import Operation
from broker.plugin.paths import Path as Row

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "api"

INTRODUCTION = """# All paths

Written by `python -m contrib.apidoc` from the tables that also route the requests; `openapi.json` beside this page says the
same for tools, and a running server says it of its own mounts at `/v1/sys/internal/specs/openapi`.

All paths are below `/v1/`. Verbs are those of policies: *read* is GET, *create* and *update* are POST or PUT, *patch* is
PATCH, *delete* is DELETE, *list* and *scan* are HTTP verbs of their own (or GET with `list=true`, `scan=true`).
*sudo* marks verbs that need that capability besides their own, *open* those that need no token, *open with a token*
those that take one and ask no policy.
"""


def _mount_of(table: str, kind: EngineType) -> Mount:
    return Mount(
        path="x/", type=kind.name, uuid="x", accessor="x", table=table, options={"version": kind.version}
    )


def tables() -> Iterator[Described]:
    """Every built-in table: fixed mounts at their places, others below a parameter named after the type."""
    yield Described("sys/", "system", SystemEngine.PATHS)
    yield Described("identity/", "secrets", IdentityEngine.PATHS)
    catalog = load_catalog()
    for kind in catalog.engines:
        rows = kind.build(_mount_of("secret", kind), **dict.fromkeys(kind.needs)).PATHS
        if kind.singleton or kind.name == "cubbyhole":
            yield Described(f"{kind.name}/", "secrets", rows)
        else:
            name = kind.name + (f"_v{kind.version}" if kind.version else "") + "_mount_path"
            yield Described(f"{{{name}}}/", "secrets", rows, (name,))
    for kind in catalog.auth_methods:
        rows = kind.build(_mount_of("auth", kind), **dict.fromkeys(kind.needs)).PATHS
        if kind.singleton or kind.name == "token":
            yield Described(f"auth/{kind.name}/", "auth", rows)
        else:
            name = f"{kind.name}_mount_path"
            yield Described(f"auth/{{{name}}}/", "auth", rows, (name,))


def page(described: list[Described]) -> str:
    """Return the reference page: one table of paths per mount."""
    parts = [INTRODUCTION]
    for table in described:
        rows = sorted(filter(shown, table.paths), key=lambda row: row.template)
        parts.append(
            f"## `{table.prefix}`\n\n| Path | Verbs | |\n|---|---|---|\n" + "".join(map(_line, rows))
        )
    return "\n".join(parts)


def _line(row: Row) -> str:
    verbs = ", ".join(f"{verb.value}{_notes(operation)}" for verb, operation in shown(row).items())
    template = row.template.replace(":path}", "}") or "/"
    return f"| `{template}` | {verbs} | {row.summary.replace('|', '/')} |\n"


def _notes(operation: Operation) -> str:
    notes = []
    if operation.sudo:
        notes.append("sudo")
    if operation.authenticated is not True:
        notes.append("open with a token" if operation.authenticated else "open")
    return f" ({', '.join(notes)})" if notes else ""


def files() -> dict[Path, str]:
    """Return what the reference's files should hold."""
    described = list(tables())
    return {
        FOLDER / "openapi.json": json.dumps(document(described), indent=1, ensure_ascii=False) + "\n",
        FOLDER / "reference.md": page(described),
    }


def stale() -> list[str]:
    """Return the names of the files that are not what they should be."""
    return [path.name for path, text in files().items() if not path.exists() or path.read_text() != text]


def main() -> int:
    """Write the files, or with ``--check`` complain about those that are stale."""
    if "--check" in sys.argv[1:]:
        found = stale()
        for name in found:
            print(f"docs/api/{name} is stale: run python -m contrib.apidoc")
        return 1 if found else 0
    FOLDER.mkdir(exist_ok=True)
    for path, text in files().items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
