"""Printing answers: aligned columns as ``bao`` prints them, JSON, YAML, or one field.

On a terminal the columns are drawn by rich; on a pipe they are plain, so that scripts see what they always saw.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from broker.cli.invocation import Failure, Invocation

if TYPE_CHECKING:
    from broker.client import Reply

Rows = Sequence[tuple[str, Any]]
GAP = "    "
ENVELOPE = ("request_id", "lease_id", "lease_duration", "renewable", "data", "warnings")
DURATIONS = ("period", "ttl", "duration")


def print_reply(run: Invocation, reply: "Reply", rows: Rows | None = None) -> int:
    """Print an answer as asked for. ``rows`` replace the table that the answer's shape suggests. Returns 0."""
    warn_of(run, reply)
    field = run.given.text("field")
    if field is not None:
        print_field(run, dict(rows or reply_rows(reply, human=False)) | _aliases(reply), field)
    elif run.format == "table":
        print_pairs(rows if rows is not None else reply_rows(reply))
    else:
        print_structure(run, envelope(reply))
    return 0


def envelope(reply: "Reply") -> dict[str, Any]:
    """The answer's body in Vault's order, without the parts that are not there."""
    body = reply.body
    ordered = {name: body.get(name) for name in ENVELOPE if name in body}
    return ordered | {name: body[name] for name in ("auth", "wrap_info") if body.get(name)} or body


def warn_of(run: Invocation, reply: "Reply") -> None:
    """Print the server's warnings on stderr, where they are in nobody's way."""
    if reply.warnings and run.format == "table":
        listed = "".join(f"\n\n  * {printable(warning)}" for warning in reply.warnings)
        run.warn(f"WARNING! The following warnings were returned from the server:{listed}\n")


def print_structure(run: Invocation, value: Any) -> None:
    """Print any value as JSON, or as YAML if that was asked for."""
    if run.format == "yaml":
        import yaml

        print(yaml.safe_dump(value, allow_unicode=True, default_flow_style=False).rstrip())
    else:
        print(json.dumps(value, indent=2, ensure_ascii=False))


def print_field(run: Invocation, fields: Mapping[str, Any], name: str, *, where: str = "secret") -> None:
    """Print one value and nothing else; a newline follows only on a terminal.

    Raises: Failure (exit code 1) if there is no such field.
    """
    if name not in fields:
        raise Failure(f'Field "{name}" not present in {where}', 1)
    value = fields[name]
    if run.format != "table":
        print_structure(run, value)
        return
    sys.stdout.write(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    if sys.stdout.isatty():
        sys.stdout.write("\n")


def print_pairs(rows: Rows, header: tuple[str, str] | None = ("Key", "Value")) -> None:
    """Print two columns, or nothing where there are no rows."""
    if rows:
        print_table(header, [(key, value) for key, value in rows])


def print_table(header: Sequence[str] | None, rows: Sequence[Sequence[Any]]) -> None:
    """Print aligned columns; an empty cell reads ``n/a``, as in Vault's tables."""
    cells = [[printable(show(cell)) or "n/a" for cell in row] for row in rows]
    if sys.stdout.isatty() and _print_rich(header, cells):
        return
    if header:
        cells = [list(header), ["-" * len(title) for title in header], *cells]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        print(GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_keys(run: Invocation, keys: Sequence[str], header: str = "Keys") -> None:
    """Print names, one a line; a table is sorted, for a program they come as the server has them."""
    if run.format == "table":
        print_table([header], [[key] for key in sorted(keys)])
    else:
        print_structure(run, list(keys))


def reply_rows(reply: "Reply", *, human: bool = True) -> list[tuple[str, Any]]:
    """The rows that Vault's command line shows for an answer: lease, wrapping, login, then the data by name."""
    rows = _lease_rows(reply, human) + _wrap_rows(reply, human) + _auth_rows(reply, human)
    for key in sorted(reply.data):
        value = reply.data[key]
        rows.append((key, duration(value) if human and _is_duration(key) else value))
    return rows


def duration(seconds: Any) -> Any:
    """A whole number of seconds for humans; anything else as it is.

    >>> duration(768 * 3600), duration(90), duration(0), duration("30d")
    ('768h', '1m30s', '0s', '30d')
    """
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        return seconds
    hours, rest = divmod(seconds, 3600)
    parts = zip((hours, *divmod(rest, 60)), "hms", strict=True)
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


def show(value: Any, *, inside: bool = False) -> str:
    """A value as Vault's tables write it.

    >>> show({"b": [1, True], "a": None}), show(None), show("")
    ('map[a:<nil> b:[1 true]]', '<nil>', '')
    """
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "map[" + " ".join(f"{key}:{show(value[key], inside=True)}" for key in sorted(value)) + "]"
    if isinstance(value, list | tuple):
        return "[" + " ".join(show(item, inside=True) for item in value) + "]"
    return str(value)


def printable(text: str) -> str:
    """Spell out control characters, so that a stored value cannot command the reader's terminal.

    >>> printable("a\\x1b[2J")
    'a\\\\x1b[2J'
    """
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)


def quoted(items: Any) -> str:
    """A list of names as Vault writes policies: ``["a" "b"]``, by the field's custom."""
    return "[" + " ".join(json.dumps(str(item)) for item in items or []) + "]"


def _print_rich(header: Sequence[str] | None, cells: list[list[str]]) -> bool:
    """Draw the table if it fits the terminal; one that does not is better wrapped by the terminal than cut here."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, show_header=bool(header), header_style="bold", pad_edge=False)
    for number in range(len(cells[0]) if cells else len(header or ())):
        table.add_column(header[number] if header else "", no_wrap=True, style="cyan" if number == 0 else "")
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    console = Console(highlight=False)
    every = [list(header), *cells] if header else cells
    width = sum(max(map(len, column)) + 3 for column in zip(*every, strict=True))
    if width > console.width or any("\n" in cell for row in cells for cell in row):
        return False
    console.print(table)
    return True


def _is_duration(key: str) -> bool:
    return key in {"lease_max", "ttl_max"} or any(
        key == word or key.endswith(f"_{word}") for word in DURATIONS
    )


def _lease_rows(reply: "Reply", human: bool) -> list[tuple[str, Any]]:
    lease_id, seconds = reply.body.get("lease_id"), reply.body.get("lease_duration") or 0
    if not seconds:
        return []
    shown = duration(seconds) if human else seconds
    if lease_id:
        renewable = bool(reply.body.get("renewable"))
        return [("lease_id", lease_id), ("lease_duration", shown), ("lease_renewable", renewable)]
    return [("refresh_interval", shown)]


def _wrap_rows(reply: "Reply", human: bool) -> list[tuple[str, Any]]:
    wrap = reply.wrap_info
    if not wrap:
        return []
    colon = ":" if human else ""
    rows = [
        ("wrapping_token", wrap.get("token")),
        ("wrapping_accessor", wrap.get("accessor")),
        ("wrapping_token_ttl", duration(wrap.get("ttl")) if human else wrap.get("ttl")),
        ("wrapping_token_creation_time", wrap.get("creation_time")),
        ("wrapping_token_creation_path", wrap.get("creation_path")),
    ]
    if wrap.get("wrapped_accessor"):
        rows.append(("wrapped_accessor", wrap["wrapped_accessor"]))
    return [(name + colon, value) for name, value in rows]


def _auth_rows(reply: "Reply", human: bool) -> list[tuple[str, Any]]:
    auth = reply.auth
    if not auth:
        return []
    seconds = auth.get("lease_duration") or 0
    names: Any = quoted if human else list
    rows: list[tuple[str, Any]] = [
        ("token", auth.get("client_token") or ""),
        ("token_accessor", auth.get("accessor") or ""),
        ("token_duration", (duration(seconds) if seconds else "∞") if human else seconds),
        ("token_renewable", bool(auth.get("renewable"))),
        ("token_policies", names(auth.get("token_policies") or [])),
        ("identity_policies", names(auth.get("identity_policies") or [])),
        ("policies", names(auth.get("policies") or [])),
    ]
    rows += [(f"token_{key}", auth[key]) for key in ("expires_at", "capped_by") if auth.get(key)]
    return rows + [
        (f"token_meta_{key}", value) for key, value in sorted((auth.get("metadata") or {}).items())
    ]


def _aliases(reply: "Reply") -> dict[str, Any]:
    """Envelope fields that ``-field`` may name though no table row shows them."""
    return {
        name: reply.body[name] for name in ("lease_id", "lease_duration", "request_id") if name in reply.body
    }
