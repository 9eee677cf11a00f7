"""Results kept with the reads they rest on: good exactly as long as every one of those reads still holds."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.storage import LocalSignal, TenantStore, TransactionConflict, Writer


async def put(tenant, **values):
    transaction = await tenant.begin()
    for path, value in values.items():
        transaction.put(path, value) if value is not None else transaction.delete(path)
    await transaction.commit()


async def reads_of(tenant, *paths):
    transaction = await tenant.begin()
    for path in paths:
        await transaction.get(path)
    return transaction.observed()


async def test_reads_that_still_hold_are_taken_over_and_count_as_read(tenant):
    await put(tenant, a=b"1")
    reads = await reads_of(tenant, "a", "nothing")
    later = await tenant.begin()
    assert later.rely_on(reads)
    assert later.revision("a") == 1
    assert later.revision("nothing") == 0


@pytest.mark.parametrize("change", [{"a": b"2"}, {"a": None}, {"nothing": b"now"}])
@pytest.mark.parametrize("elsewhere", [False, True])
async def test_one_change_and_none_of_the_reads_is_taken(tenant, worker, change, elsewhere):
    await put(tenant, a=b"1", b=b"1")
    reads = await reads_of(tenant, "b", "a", "nothing")
    await put(worker() if elsewhere else tenant, **change)
    later = await tenant.begin()
    assert not later.rely_on(reads)
    assert later.revision("b") is None
    assert not tenant.holds(reads)


async def test_what_a_transaction_has_read_itself_is_not_replaced_by_something_newer(tenant):
    await put(tenant, a=b"1")
    old = await tenant.begin()
    assert await old.get("a") == b"1"
    await put(tenant, a=b"2")
    newer = await reads_of(tenant, "a", "nothing")
    assert not old.rely_on(newer)
    assert await old.get("a") == b"1"
    old.put("b", b"from the old one")
    with pytest.raises(TransactionConflict):
        await old.commit()


async def test_the_same_read_by_oneself_and_by_an_earlier_one_is_one_read(tenant):
    await put(tenant, a=b"1", b=b"1")
    reads = await reads_of(tenant, "a", "b")
    later = await tenant.begin()
    await later.get("a")
    tenant.cache.drop("a")
    again = await reads_of(tenant, "a", "b")
    assert not later.rely_on(reads)  # what was cached then is gone, so nothing vouches for it
    assert later.rely_on(again)


async def test_a_change_elsewhere_in_the_tenant_disturbs_no_reads(tenant, worker):
    await put(tenant, a=b"1")
    reads = await reads_of(tenant, "a")
    await put(worker(), b=b"1")
    assert (await tenant.begin()).rely_on(reads)
    assert tenant.holds(reads)


async def test_news_that_was_not_heard_yet_is_no_proof_that_reads_hold(tenant, worker):
    await put(tenant, a=b"1")
    reads = await reads_of(tenant, "a")
    assert tenant.holds(reads)
    await put(worker(), b=b"1")
    assert not tenant.holds(reads)
    assert tenant.begin_now() is None
    await tenant.begin()
    assert tenant.begin_now() is not None


async def test_what_is_relied_on_is_a_precondition_of_the_commit(tenant, worker):
    await put(tenant, token=b"alive")
    reads = await reads_of(tenant, "token")
    mine = await tenant.begin()
    assert mine.rely_on(reads)
    mine.put("a", b"1")
    await put(worker(), token=None)
    with pytest.raises(TransactionConflict):
        await mine.commit()
    assert await (await tenant.begin()).get("a") is None


async def test_forgotten_plaintext_is_relied_on_no_more(tenant):
    await put(tenant, a=b"1")
    reads = await reads_of(tenant, "a")
    tenant.forget()
    assert not (await tenant.begin()).rely_on(reads)
    assert not tenant.holds(reads)


paths = st.sampled_from("abc")
steps = st.lists(st.tuples(st.booleans(), paths, st.sampled_from([b"1", b"2", None])), max_size=6)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(known=st.lists(paths, min_size=1, max_size=3), steps=steps)
async def test_reliance_is_never_given_when_a_fresh_read_would_differ(store, codec, known, steps):
    signal = LocalSignal()
    here, there = (
        TenantStore(store, tenant="root", codec=codec, signal=signal, writer=Writer()) for _ in range(2)
    )
    reads = await reads_of(here, *known)
    before = {path: await (await here.begin()).get(path) for path in known}
    for local, path, value in steps:
        await put(here if local else there, **{path: value})
    later = await here.begin()
    if later.rely_on(reads):
        assert {path: await (await there.begin()).get(path) for path in known} == before
