"""An engine that works in the kit works on the real storage: both views answer alike."""

import os
from datetime import UTC, datetime

from broker_plugins.storage.inmem import register_storage
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.barrier.codec import TenantCodec, new_tenant_secret
from broker.barrier.keyring import Keyring
from broker.plugin.testing.memory import MemoryStore, MemoryView
from broker.storage import LocalSignal, TenantStore, Writer

NAMES = st.lists(st.sampled_from(["a", "a-b", "é", "😀", "\uffff", "1"]), min_size=1, max_size=3).map(
    "/".join
)
FOLDERS = st.one_of(st.just(""), NAMES.map(lambda name: f"{name}/"))
AFTERS = st.one_of(st.just(""), NAMES, st.just("a/"))
LIMITS = st.one_of(st.none(), st.integers(1, 3))
STEPS = st.one_of(
    st.tuples(st.just("put"), NAMES, st.binary(max_size=3)),
    st.tuples(st.just("delete"), NAMES),
    st.tuples(st.just("get"), NAMES),
    st.tuples(st.sampled_from(["list", "scan"]), FOLDERS, AFTERS, LIMITS),
    st.just(("commit",)),
)


async def answer(view, step):
    """Take one step through a view and return what it answers."""
    match step:
        case ("list" | "scan" as word, folder, after, limit):
            return list(await getattr(view, word)(folder, after=after, limit=limit))
        case ("get", name):
            return await view.get(name)
        case (word, *arguments):
            return getattr(view, word)(*arguments)


@settings(max_examples=50, deadline=None)
@given(st.lists(STEPS, max_size=25))
async def test_both_views_answer_alike_before_and_after_a_commit(steps):
    [kind] = register_storage()
    backend = kind.build({})
    keyring = Keyring.create(datetime.now(UTC), os.urandom)
    codec = TenantCodec(lambda: keyring, "root", new_tenant_secret())
    store = await backend.open("root", create=True)
    real = TenantStore(store, tenant="root", codec=codec, signal=LocalSignal(), writer=Writer())
    memory = MemoryStore()
    theirs, ours = await real.begin(), memory.transaction()
    for step in steps:
        if step == ("commit",):
            await theirs.commit()
            ours.commit()
            theirs, ours = await real.begin(), memory.transaction()
        else:
            wanted = await answer(theirs.view("mount/").view("x/"), step)
            assert await answer(MemoryView(ours, "mount/").view("x/"), step) == wanted
    await backend.close()
