from broker.storage.due import DUE, DueEntry, due_at, due_path, mark_due, name_in, unmark_due


async def test_what_falls_due_lies_in_the_order_of_its_time(tenant):
    transaction = await tenant.begin()
    for when, name in ((10, "c"), (9.999, "b"), (0.5, "a"), (1_700_000_000, "d")):
        mark_due(transaction, when, "kind", name)
    mark_due(transaction, 10, "other", "c")
    await transaction.commit()
    later = await tenant.begin()
    rows = await later.scan(DUE)
    assert [name_in(row, "kind") for row in rows] == ["a", "b", "c", None, "d"]
    assert [due_at(row) for row in rows] == [0.5, 9.999, 10, 10, 1_700_000_000]
    assert await later.load(DUE + rows[0], DueEntry) == DueEntry("kind", "a")


async def test_a_kind_is_not_taken_for_one_whose_name_it_begins_with():
    assert name_in(due_path(1, "tidy-leases", "x").removeprefix(DUE), "tidy-leases") == "x"
    assert name_in(due_path(1, "tidyx", "x").removeprefix(DUE), "tidy") is None


async def test_what_is_taken_back_is_not_due_and_nothing_of_it_is_kept_in_memory(tenant):
    transaction = await tenant.begin()
    for name in ("a", "b"):
        mark_due(transaction, 1, "kind", name)
    await transaction.commit()
    assert not [path for path in tenant.cache.entries if path.startswith(DUE)]
    transaction = await tenant.begin()
    unmark_due(transaction, 1, "kind", "a")
    await transaction.commit()
    assert await (await tenant.begin()).scan(DUE) == ["0000000000001000/kind-b"]
