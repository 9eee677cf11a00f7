"""Two workers on one store behave like a dictionary with optimistic transactions."""

import asyncio

import pytest
from broker_plugins.storage.inmem import InmemBackend
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.storage import LocalSignal, TenantStore, TransactionConflict, Writer

PATHS = ("a", "a-", "a/b", "a/b/c", "a/c", "a0", "b/é", "b/x/y", "😀")
FOLDERS = ("", "a/", "a/b/", "b/", "b/x/", "none/")

path = st.sampled_from(PATHS)
page = st.tuples(
    st.sampled_from(FOLDERS),
    st.sampled_from(("", "a", "a/", "b", "b/", "c", "é")),
    st.sampled_from((None, 1, 2, 5)),
)
step = st.one_of(
    st.tuples(st.sampled_from(("put", "delete", "get")), path),
    st.tuples(st.sampled_from(("list", "scan")), page),
    st.tuples(st.sampled_from(("other put", "other delete")), path),
    st.tuples(st.sampled_from(("commit", "rollback", "forget", "validate")), st.none()),
)


class Clear:
    """No cipher: the model is about what is stored where, and the barrier has tests of its own."""

    def seal(self, path, plaintext):
        return path.encode() + b"=" + plaintext

    def open(self, path, sealed):
        return sealed.removeprefix(path.encode() + b"=")


class Model:
    """What must be true; every value is written once, so equal values mean that nobody was in between."""

    def __init__(self):
        self.stored, self.values = {}, 0
        self.restart()

    def restart(self):
        self.reads, self.writes = {}, {}
        # What a first read of a path may find: its value at the beginning or any since.
        self.possible = {path: {self.stored.get(path)} for path in PATHS}

    def new_value(self):
        self.values += 1
        return b"%d" % self.values

    def store(self, writes):
        for path, value in writes.items():
            self.stored[path] = value
            self.possible[path].add(value)

    def visible(self):
        merged = {**self.stored, **self.writes}
        return sorted(path for path, value in merged.items() if value is not None)

    def scan(self, prefix, after, limit):
        names = [path[len(prefix) :] for path in self.visible() if path.startswith(prefix)]
        return [name for name in names if name > after][:limit]

    def list(self, prefix, after, limit):
        names = self.scan(prefix, "", None)
        children = sorted({name[: name.find("/") + 1] or name for name in names})
        return [child for child in children if child > after][:limit]


class Run:
    """One transaction at a time on one worker; the other worker writes in between."""

    def __init__(self, tenant, other):
        self.tenant, self.other, self.model = tenant, other, Model()

    async def begin(self):
        self.transaction = await self.tenant.begin()
        self.model.restart()

    async def step(self, what, argument):
        await getattr(self, what.replace(" ", "_"))(argument)

    async def put(self, path):
        self.model.writes[path] = value = self.model.new_value()
        self.transaction.put(path, value)

    async def delete(self, path):
        self.model.writes[path] = None
        self.transaction.delete(path)

    async def get(self, path):
        found = await self.transaction.get(path)
        if path in self.model.writes:
            assert found == self.model.writes[path]
        elif path in self.model.reads:
            assert found == self.model.reads[path]
        else:
            assert found in self.model.possible[path]
            self.model.reads[path] = found

    async def list(self, page):
        prefix, after, limit = page
        assert await self.transaction.list(prefix, after=after, limit=limit) == self.model.list(*page)

    async def scan(self, page):
        prefix, after, limit = page
        assert await self.transaction.scan(prefix, after=after, limit=limit) == self.model.scan(*page)

    async def other_put(self, path):
        await self.write_elsewhere(path, self.model.new_value())

    async def other_delete(self, path):
        await self.write_elsewhere(path, None)

    async def write_elsewhere(self, path, value):
        transaction = await self.other.begin()
        assert await transaction.get(path) == self.model.stored.get(path)
        transaction.put(path, value) if value is not None else transaction.delete(path)
        await transaction.commit()
        self.model.store({path: value})

    async def commit(self, _):
        moved = {path for path, value in self.model.reads.items() if self.model.stored.get(path) != value}
        if moved and self.model.writes:
            with pytest.raises(TransactionConflict) as conflict:
                await self.transaction.commit()
            assert set(conflict.value.paths) == moved
        else:
            revision = await self.transaction.commit()
            assert (revision is None) == (not self.model.writes)
            self.model.store(self.model.writes)
        await self.begin()
        for worker in (self.tenant, self.other):
            look = await worker.begin()
            assert {path: await look.get(path) for path in PATHS} == {
                p: self.model.stored.get(p) for p in PATHS
            }

    async def rollback(self, _):
        self.transaction.rollback()
        await self.transaction.reset()
        self.model.restart()

    async def forget(self, _):
        self.tenant.forget()

    async def validate(self, _):
        if await self.transaction.validate():
            assert all(self.model.stored.get(path) == value for path, value in self.model.reads.items())


@given(st.lists(step, max_size=40), st.sampled_from([0, 1500, 1_000_000]))
@settings(max_examples=100, deadline=None)
def test_two_workers_behave_like_a_dictionary(steps, cache_bytes):
    async def run():
        backend = InmemBackend()
        store, signal, writer = await backend.open("root", create=True), LocalSignal(), Writer()
        parts = {
            "tenant": "root",
            "codec": Clear(),
            "signal": signal,
            "writer": writer,
            "cache_bytes": cache_bytes,
        }
        try:
            state = Run(TenantStore(store, **parts), TenantStore(store, **parts))
            await state.begin()
            for what, argument in [*steps, ("commit", None)]:
                await state.step(what, argument)
        finally:
            await backend.close()

    asyncio.run(run())
