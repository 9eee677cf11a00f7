"""The due index: what falls due in a tenant, in the order of its time, for whoever sees to it then.

::

    sys/due/<time>/<kind>-<name>    DueEntry; the time in milliseconds, 16 digits

Nobody reads a row before its time has come, so none takes a place in the cache.
"""

import msgspec

from .transaction import Transaction

DUE = "sys/due/"
_encode = msgspec.json.Encoder().encode
_KIND_AT = 17


class DueEntry(msgspec.Struct, frozen=True):
    """Something that falls due at the time in its path: ``kind`` says what, ``name`` which."""

    kind: str
    name: str
    v: int = 1


def due_path(when: float, kind: str, name: str) -> str:
    """Return where something that is due at ``when`` (Unix seconds) is entered."""
    return f"{DUE}{int(when * 1000):016d}/{kind}-{name}"


def mark_due(tx: Transaction, when: float, kind: str, name: str) -> None:
    """Enter something that is to be seen to at ``when`` (Unix seconds)."""
    tx.mark(due_path(when, kind, name), _encode(DueEntry(kind, name)))


def unmark_due(tx: Transaction, when: float, kind: str, name: str) -> None:
    """Take back what was entered for ``when``."""
    tx.delete(due_path(when, kind, name))


def due_at(row: str) -> float:
    """Return the time (Unix seconds) that a row below ``DUE`` tells.

    >>> due_at("0000000000001500/token-abc")
    1.5
    """
    return int(row[: _KIND_AT - 1]) / 1000


def name_in(row: str, kind: str) -> str | None:
    """Return what a row below ``DUE`` names, if it is of this kind. Its path only says so: the entry proves it.

    >>> name_in("0000000000001500/token-abc", "token")
    'abc'
    """
    return row[_KIND_AT + len(kind) + 1 :] if row.startswith(f"{kind}-", _KIND_AT) else None


__all__ = ["DUE", "DueEntry", "due_at", "due_path", "mark_due", "name_in", "unmark_due"]
