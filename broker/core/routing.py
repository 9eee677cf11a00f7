"""From a path to the mount, engine and table row that serve it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from broker.core.records import MountTable
from broker.plugin.context import Mount
from broker.plugin.engine import Engine, EngineType
from broker.plugin.errors import InvalidRequest, UnsupportedPath
from broker.plugin.paths import Operation, Path, PathTable

ALIASES = {"kv-v1": ("kv", "1"), "kv-v2": ("kv", "2"), "generic": ("kv", "1")}
"""Mount types that name a version of another."""

TRUSTED = frozenset({("secret", "system"), ("secret", "identity"), ("auth", "token")})
"""Table and type of the core's own mounts, which every tenant has from birth and nobody can add to."""

MAX_CACHED = 8192


@dataclass(slots=True)
class Route:
    """Where a path leads. ``row`` is ``None`` if the mount exists but has no such path."""

    mount: Mount
    engine: Engine
    storage_prefix: str
    rest: str
    row: Path | None
    params: Mapping[str, str]
    trusted: bool = False
    """Whether the engine is one of the core's own, which work on the whole tenant and not on their mount alone."""
    version: str = ""
    """Of the plugin that the engine comes from, for the audit log."""
    bound: dict[Operation, Any] = field(default_factory=dict)
    """Arguments of operations called without any data: the path alone decides them, so they are bound once."""

    def bind(self, operation: Operation, data: Mapping[str, Any]) -> Any:
        """Return the operation's arguments. Raises: InvalidRequest."""
        if data:
            return operation.bind(self.params, data)
        args = self.bound.get(operation)
        if args is None:
            args = self.bound[operation] = operation.bind(self.params, None)
        return args


class Registry:
    """The engine and auth method types on offer, by table, name and version."""

    def __init__(self, engines: Sequence[EngineType], auth_methods: Sequence[EngineType]) -> None:
        self._types: dict[tuple[str, str, str], EngineType] = {}
        for table, offered in (("secret", engines), ("auth", auth_methods)):
            for kind in offered:
                self._types[table, kind.name, kind.version] = kind

    def find(self, table: str, name: str, options: Mapping[str, str] | None = None) -> EngineType:
        """Return the type of a mount. Raises: InvalidRequest for a name that no plugin offers."""
        name, version = ALIASES.get(name, (name, (options or {}).get("version", "")))
        kinds = {v: kind for (t, n, v), kind in self._types.items() if t == table and n == name}
        if not kinds:
            raise InvalidRequest(f'plugin not found in the catalog: "{name[:128]}"')
        wanted = version or min(kinds)
        if wanted not in kinds:
            raise InvalidRequest(f'"{name}" has no version "{wanted}"; versions: {", ".join(sorted(kinds))}')
        return kinds[wanted]

    def catalog(self) -> list[tuple[str, EngineType]]:
        """Return every type with its table."""
        return [
            (table, kind) for (table, _, _), kind in sorted(self._types.items(), key=lambda item: item[0])
        ]


class Router:
    """The mounts of one tenant, as one version of its mount table says."""

    def __init__(
        self,
        table: MountTable,
        build: Callable[[Mount], Engine],
        tables: Callable[[Engine], PathTable],
        versions: Callable[[Mount], str],
        reuse: "Router | None" = None,
    ) -> None:
        self.table = table
        self._build = build
        self._tables = tables
        self._versions = versions
        self._by_prefix = {mount.prefix: mount for mount in table.mounts}
        self._engines: dict[str, tuple[Mount, Engine]] = {}
        self._cache: dict[str, Route] = {}
        if reuse is not None:
            self._engines = {
                u: pair for u, pair in reuse._engines.items() if pair[0] in self._by_prefix.values()
            }

    def mount_of(self, path: str) -> Mount | None:
        """Return the mount with the longest prefix of ``path``."""
        end = len(path)
        while (slash := path.rfind("/", 0, end)) >= 0:
            mount = self._by_prefix.get(path[: slash + 1])
            if mount is not None:
                return mount
            end = slash
        return None

    def engine_of(self, mount: Mount) -> Engine:
        """Return the engine that serves ``mount`` in this worker."""
        known = self._engines.get(mount.uuid)
        if known is not None:
            return known[1]
        engine = self._build(mount)
        self._engines[mount.uuid] = (mount, engine)
        return engine

    def route(self, path: str) -> Route | None:
        """Return where ``path`` leads, or ``None`` if no mount covers it. Cached: this is on every request's way."""
        known = self._cache.get(path)
        if known is not None:
            return known
        # A mount's own path without the slash still means the mount, as in LIST cubbyhole.
        mount = self.mount_of(path) or self._by_prefix.get(path + "/")
        if mount is None or mount.tainted:
            return None
        engine = self.engine_of(mount)
        rest = path[len(mount.prefix) :]
        row: Path | None
        params: Mapping[str, str]
        try:
            row, params = self._tables(engine).match(rest)
        except UnsupportedPath:
            row, params = None, {}
        found = Route(
            mount,
            engine,
            storage_prefix(mount),
            rest,
            row,
            params,
            trusted=(mount.table, mount.type) in TRUSTED,
            version=self._versions(mount),
        )
        if len(self._cache) >= MAX_CACHED:
            self._cache.clear()
        self._cache[path] = found
        return found


def storage_prefix(mount: Mount) -> str:
    """Return where a mount keeps its entries in the tenant's store."""
    return "cubbyhole/" if mount.type == "cubbyhole" else f"logical/{mount.uuid}/"
