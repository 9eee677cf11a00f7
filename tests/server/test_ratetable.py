"""The shared count of calls: exact between processes, of fixed size, and hard to push anybody out of."""

from __future__ import annotations

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.server.ratetable import SETS, WAYS, RateTable

HOUR = 3600 * 10**9


def allowed(table: RateTable, name: str, **more: int) -> bool:
    values = {"limit": 3, "interval": HOUR, "block": 0, "now": 1, **more}
    return table.take(name, **values).allowed


def test_a_window_has_room_for_its_limit_and_the_next_begins_anew():
    table = RateTable()
    taken = [table.take("a", limit=3, interval=100, block=0, now=5) for _ in range(4)]
    assert [one.allowed for one in taken] == [True, True, True, False]
    assert [one.left for one in taken] == [2, 1, 0, 0]
    assert {one.reset for one in taken} == {100}
    assert taken[3].wait == 100
    assert not allowed(table, "a", interval=100, now=104)
    assert allowed(table, "a", interval=100, now=105)


def test_one_name_does_not_count_for_another():
    table = RateTable()
    assert [allowed(table, "a", limit=1), allowed(table, "b", limit=1)] == [True, True]
    assert [allowed(table, "a", limit=1), allowed(table, "b", limit=1)] == [False, False]


def test_whoever_goes_over_is_blocked_beyond_the_window():
    table = RateTable()
    settings = {"limit": 1, "interval": 10, "block": 100}
    assert table.take("a", **settings, now=1).allowed
    assert table.take("a", **settings, now=2) == (False, 0, 9, 100)
    assert table.take("a", **settings, now=50) == (False, 0, 0, 52)
    assert table.take("a", **settings, now=102).allowed


def test_all_processes_count_as_one():
    table, children = RateTable(), []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            os._exit(sum(allowed(table, "a", limit=100) for _ in range(60)))
        children.append(pid)
    granted = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    assert sum(granted) == 100
    assert not allowed(table, "a", limit=100)


def test_many_addresses_take_no_more_room_than_the_table_has():
    table = RateTable(sets=4)
    for number in range(10_000):
        assert allowed(table, f"address-{number}")
    assert len(table._words) == 4 * WAYS * 4
    assert SETS * WAYS * 4 * 8 == 1 << 20  # a MiB for each node


def test_a_flood_of_addresses_does_not_free_who_is_blocked_or_has_used_the_most():
    table = RateTable(sets=1)
    for _ in range(2):
        allowed(table, "blocked", limit=1, block=HOUR)
    for _ in range(60):
        assert allowed(table, "busy", limit=60)
    for number in range(5000):
        allowed(table, f"flood-{number}")
    assert not allowed(table, "blocked", limit=1, block=HOUR)
    assert not allowed(table, "busy", limit=60)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 40)), max_size=60), st.integers(1, 5))
def test_no_window_ever_lets_more_through_than_its_limit(calls, limit):
    table, now, granted = RateTable(), 1, {}
    for name, pause in calls:
        now += pause
        if table.take(name, limit=limit, interval=50, block=0, now=now).allowed:
            granted.setdefault(name, []).append(now)
    for times in granted.values():
        # Two windows may touch: any stretch of their length has room for twice the limit, and not for one more.
        for at in range(len(times) - 2 * limit):
            assert times[at + 2 * limit] - times[at] >= 50


def test_what_is_counted_by_is_hashed_with_a_key_of_the_table():
    one, other = RateTable(), RateTable()
    allowed(one, "a")
    allowed(other, "a")
    assert {w for w in one._words if w > 2**40} != {w for w in other._words if w > 2**40}
