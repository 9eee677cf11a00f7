"""Run one engine without a server: its path table, its handlers, and a storage that commits or rolls back.

    kit = EngineHarness(KvEngine, options={"version": "2"})
    await kit.update("data/db", data={"user": "app"})
    assert (await kit.read("data/db"))["data"] == {"user": "app"}

A call goes the way a request goes: the most specific template is matched, the input is bound and checked, a write becomes
a ``create`` where the path's ``exists`` says that nothing is there, the handler runs in a transaction of its own,
and that is committed when it returns and dropped when it raises.
"""

import asyncio
import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from broker.plugin.context import INTENT_GRACE, Caller, Connection, Context, Mount, NamespaceInfo
from broker.plugin.engine import Engine, EngineType
from broker.plugin.errors import Tampered, UnsupportedOperation
from broker.plugin.paths import Operation, Path, PathTable
from broker.plugin.secret import Secret
from broker.plugin.testing.memory import MemoryStore, MemoryView
from broker.plugin.verbs import Verb

ROOT = NamespaceInfo(id="root", uuid="root", path="")
START = 1_700_000_000.0


class Clock:
    """A clock that stands still until it is told to move. ``now`` in Unix seconds."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def advance(self, by: timedelta | float) -> None:
        """Let time pass: a duration, or seconds."""
        self.now += by.total_seconds() if isinstance(by, timedelta) else by


@dataclass(slots=True)
class Exchange:
    """What is known of the latest call besides its result."""

    verb: Verb
    path: str
    template: str
    warnings: list[str]


class EngineHarness:
    """An engine mounted on memory.

    ``caller`` and ``clock`` may be altered between calls; ``store.entries`` is what is stored; ``last`` tells the
    verb, the template and the warnings of the latest call. ``services`` go to the engine as its type's ``needs``.
    ``connection`` is where calls come from; ``wake_due()`` does what ``ctx.schedule`` asked for by now.
    """

    def __init__(
        self,
        engine: type[Engine] | EngineType,
        options: Mapping[str, str] | None = None,
        *,
        mount: Mount | None = None,
        clock: Clock | None = None,
        caller: Caller | None = None,
        services: Mapping[str, Any] | None = None,
    ) -> None:
        kind = engine.name if isinstance(engine, EngineType) else engine.__name__.lower()
        build: Callable[..., Engine] = engine.build if isinstance(engine, EngineType) else engine
        self.mount = mount or Mount(
            "test/", kind, "uuid-of-the-mount", f"{kind}_0", options=dict(options or {})
        )
        self.engine = build(self.mount, **(services or {}))
        self.table = PathTable(self.engine.PATHS)
        self.store = MemoryStore()
        self.clock = clock or Clock()
        self.caller = caller or Caller(
            accessor="accessor", display_name="tester", token_hash="0" * 32, root=True
        )
        self.denied: set[tuple[Verb, str]] = set()
        self.connection = Connection()
        self.scheduled: set[tuple[float, str]] = set()
        self.intended: list[tuple[str, Mapping[str, Any]]] = []
        self.last: Exchange | None = None
        self._random = random.Random(0)  # noqa: S311 - tests repeat

    async def read(self, path: str, **query: Any) -> Any:
        return await self.call(Verb.READ, path, query)

    async def create(self, path: str, **body: Any) -> Any:
        """Write to something new. Raises: AssertionError if it exists already."""
        result = await self.call(Verb.UPDATE, path, body)
        assert self.last is not None
        assert self.last.verb is Verb.CREATE, f"{path} exists already"
        return result

    async def update(self, path: str, **body: Any) -> Any:
        """Write, as POST and PUT do: a create or an update, as the path decides."""
        return await self.call(Verb.UPDATE, path, body)

    async def patch(self, path: str, **body: Any) -> Any:
        return await self.call(Verb.PATCH, path, body)

    async def delete(self, path: str, **query: Any) -> Any:
        return await self.call(Verb.DELETE, path, query)

    async def list(self, path: str = "", **query: Any) -> Any:
        return await self.call(Verb.LIST, path, query)

    async def scan(self, path: str = "", **query: Any) -> Any:
        return await self.call(Verb.SCAN, path, query)

    async def call(self, verb: Verb, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Run one request. ``body`` is for inputs whose names are no Python words. Raises what the handler raises."""
        row, params = self.table.match(path)
        transaction = self.store.transaction()
        ctx = self.context(verb, path, MemoryView(transaction))
        if verb is Verb.UPDATE and row.exists is not None and not await self._exists(row, ctx, params):
            ctx.verb = Verb.CREATE
        self.last = Exchange(ctx.verb, path, row.template, ctx.warnings)
        operation = _operation(row, ctx.verb)
        args = operation.bind(params, body)
        result = await operation.calls(self.engine, ctx, args)
        transaction.commit()
        return result

    async def _exists(self, row: Path, ctx: Context, params: Mapping[str, str]) -> bool:
        assert row.exists is not None
        try:
            return await row.exists(self.engine, ctx, params)
        except Tampered:
            return True  # as in a server: it is there, though it does not open

    async def wake_due(self) -> tuple[str, ...]:
        """Wake the engine for everything scheduled that is due, earliest first, each in a transaction of its own."""
        done: Any = []
        while due := sorted(errand for errand in self.scheduled if errand[0] <= self.clock.now):
            self.scheduled.discard(due[0])
            transaction = self.store.transaction()
            await self.engine.wake(self.context(Verb.UPDATE, "", MemoryView(transaction)), due[0][1])
            transaction.commit()
            done.append(due[0][1])
        return tuple(done)

    def context(self, verb: Verb, path: str, storage: MemoryView) -> Context:
        """Build what a handler is given. Every capability is allowed unless ``denied`` names it."""
        context = Context(
            request_id="request",
            verb=verb,
            path=path,
            namespace=ROOT,
            mount=self.mount,
            caller=self.caller,
            connection=self.connection,
            headers={},
            storage=storage,
            transaction=None,
            now=self.clock.now,
            random=self._random.randbytes,
            blocking=asyncio.to_thread,
            token=Secret("test-token"),
            wrap_ttl=None,
        )
        context.judge = _Allowing(self.denied)
        context.schedule = lambda when, name: self.scheduled.add((when, name))
        context.intend = self._intend
        context.default_ttl = self.mount.config.default_lease_ttl or DEFAULT_TTL
        context.max_ttl = self.mount.config.max_lease_ttl or DEFAULT_TTL
        return context

    async def _intend(
        self, kind: str, internal: Mapping[str, Any], *, grace: timedelta = INTENT_GRACE
    ) -> None:
        """Keep in ``intended`` what an engine wrote down before an effect."""
        self.intended.append((kind, internal))

    def act_as(self, **changes: Any) -> None:
        """Change the caller: ``kit.act_as(token_hash="b", root=False)``."""
        self.caller = replace(self.caller, **changes)


DEFAULT_TTL = 768 * 3600


@dataclass(frozen=True, slots=True)
class _Verdict:
    allowed: bool


class _Allowing:
    """Policies that allow all but what a test denies."""

    def __init__(self, denied: Collection[tuple[Verb, str]]) -> None:
        self._denied = denied

    def check(self, verb: Verb, path: str, *, now: float) -> _Verdict:
        return _Verdict((verb, path) not in self._denied)


def _operation(row: Path, verb: Verb) -> Operation:
    operation = row.operations.get(verb)
    if operation is None and verb is Verb.CREATE:
        operation = row.operations.get(Verb.UPDATE)
    if operation is None:
        raise UnsupportedOperation
    return operation
