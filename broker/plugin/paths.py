"""The table of an engine: one row per path, from which routing, validation, help, OpenAPI and access follow.

Templates, not regexes: ``data/{path:path}``, ``roles/{name}``, ``mounts/{path:path}/tune``. ``{name}`` takes one segment,
``{name:path}`` takes the rest, slashes included (also nothing, where that can be listed). The most specific template wins, in any order of rows.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

from broker.plugin.errors import BrokerError, UnsupportedPath
from broker.plugin.fields import InputField, binder, input_fields
from broker.plugin.verbs import Verb

Handler = Callable[[Any, Any, Any], Awaitable[Any]]
"""``async def handler(engine, ctx: Context, args) -> result``, an unbound method of the engine."""


class Operation:
    """One verb of one path: what it takes, what it gives, who may call it and what runs.

    ``sudo``: the caller needs the ``sudo`` capability on the path besides the verb's own. ``authenticated=False``:
    served without a token; ``"optional"``: likewise, but a token that is sent must be good and tells ``ctx.caller`` (no
    policy is asked, no use is taken: the handler judges). ``sealed=True``: served while the node is sealed (such handlers get no storage).
    ``root_only``: not served inside child namespaces. ``mirror``: ``data`` is repeated at the top level.
    ``hidden``: it only says what to ask instead, so help and the OpenAPI document leave it out.
    """

    __slots__ = (
        "args",
        "authenticated",
        "bind",
        "calls",
        "hidden",
        "inputs",
        "mirror",
        "raises",
        "returns",
        "root_only",
        "sealed",
        "sudo",
        "summary",
    )

    def __init__(
        self,
        args: type,
        returns: Any,
        *,
        calls: Handler,
        summary: str = "",
        raises: tuple[type[BrokerError], ...] = (),
        sudo: bool = False,
        authenticated: bool | Literal["optional"] = True,
        sealed: bool = False,
        root_only: bool = False,
        mirror: bool = False,
        hidden: bool = False,
    ) -> None:
        self.args = args
        self.returns = returns
        self.calls = calls
        self.summary = summary
        self.raises = raises
        self.sudo = sudo
        self.authenticated = authenticated
        self.sealed = sealed
        self.root_only = root_only
        self.mirror = mirror
        self.hidden = hidden
        self.inputs: tuple[InputField, ...] = input_fields(args)
        self.bind = binder(args)


_PARAMETER = re.compile(r"\{([a-z_]+)(:path)?\}", re.ASCII)


class Path:
    """One row: a template, a sentence for help, and an operation per verb.

    ``exists`` (an unbound ``async (engine, ctx, params) -> bool``) lets a write to something new need ``create`` and to
    something present ``update``; without it a write is an update. ``slash``: whether the path with a slash behind it is this
    row too; by default only where there is a ``list`` or ``scan``, for one thing under two names escapes a policy on one.
    """

    def __init__(
        self,
        template: str,
        summary: str,
        *,
        description: str = "",
        read: Operation | None = None,
        create: Operation | None = None,
        update: Operation | None = None,
        patch: Operation | None = None,
        delete: Operation | None = None,
        list: Operation | None = None,  # noqa: A002 - the keyword is the policy capability
        scan: Operation | None = None,
        exists: Callable[[Any, Any, Mapping[str, str]], Awaitable[bool]] | None = None,
        slash: bool | None = None,
    ) -> None:
        self.template = template
        self.summary = summary
        self.description = description
        self.exists = exists
        rows = {
            Verb.READ: read,
            Verb.CREATE: create,
            Verb.UPDATE: update,
            Verb.PATCH: patch,
            Verb.DELETE: delete,
            Verb.LIST: list,
            Verb.SCAN: scan,
        }
        self.operations: dict[Verb, Operation] = {verb: row for verb, row in rows.items() if row is not None}
        self.parameters: tuple[str, ...] = tuple(name for name, _ in _PARAMETER.findall(template))
        lists = list is not None or scan is not None
        self.slash = lists if slash is None else slash
        self.pattern = re.compile(
            self._expression(template, "/?" if self.slash else ""), re.ASCII | re.DOTALL
        )
        self.rank = self._rank(template)
        self._check()

    def _expression(self, template: str, tail: str) -> str:
        parts: list[str] = []
        at = 0
        for found in _PARAMETER.finditer(template):
            parts.append(re.escape(template[at : found.start()]))
            parts.append(f"(?P<{found[1]}>.*)" if found[2] else f"(?P<{found[1]}>[^/]+)")
            at = found.end()
        parts.append(re.escape(template[at:]))
        return "".join(parts) + ("" if template.endswith(":path}") or template == "" else tail)

    def _rank(self, template: str) -> tuple[tuple[int, str], ...]:
        kinds = {True: 2, False: 1}
        ranks = []
        for segment in template.split("/"):
            found = _PARAMETER.fullmatch(segment)
            ranks.append((kinds[bool(found[2])], "") if found else (0, segment))
        # Literal segments win from the left; among equals, a template with more behind its rest wins.
        return (*ranks, (3, ""))

    def _check(self) -> None:
        for verb, operation in self.operations.items():
            names = {field.name for field in operation.inputs}
            missing = set(self.parameters) - names
            if missing:
                raise TypeError(f"{self.template} {verb}: arguments lack path parameter {sorted(missing)[0]}")


class PathTable:
    """All rows of an engine, matched most specific first."""

    def __init__(self, paths: Sequence[Path]) -> None:
        templates = [path.template for path in paths]
        if len(set(templates)) != len(templates):
            raise TypeError(f"path given twice: {sorted(t for t in templates if templates.count(t) > 1)[0]}")
        self.paths = tuple(sorted(paths, key=lambda path: path.rank))
        self.match = lru_cache(maxsize=4096)(self._match)

    def _match(self, path: str) -> tuple[Path, Mapping[str, str]]:
        empty: tuple[Path, Mapping[str, str]] | None = None
        for row in self.paths:
            found = row.pattern.fullmatch(path)
            if found is not None:
                params = found.groupdict()
                if all(params.values()):
                    return row, params
                # policy/ means the row policy, not policy/{name:path} with nothing in it, where both exist.
                if row.slash or path == "":
                    empty = empty or (row, params)
        if empty is None:
            raise UnsupportedPath
        return empty
