"""Anybody can make names up: what is stored of them is bounded, and a flood of them neither frees nor locks out a person."""

import pytest

from broker.core import lockout


@pytest.fixture
def slots(monkeypatch):
    """``slots(3)``: as many places for names that never logged in."""
    return lambda number: monkeypatch.setattr(lockout, "SLOTS", number)


async def flood(at, number=60, *, times=1):
    for each in range(number):
        await at.fails(f"made-up-{each}", times=times)


async def test_made_up_names_leave_no_more_than_there_are_places(door, slots):
    slots(8)
    at = door()
    await flood(at, times=5)
    await flood(at)
    # In each place a count and when to look at it, and at most one that is locked out.
    assert 8 <= len(await at.stored()) <= 3 * 8
    assert len(await at.listed()) <= 8


async def test_made_up_sources_leave_no_more_either(door, slots):
    slots(8)
    at = door("approle")
    await at.known("role")
    for number in range(60):
        await at.fails("role", f"2001:db8::{number:x}", times=5)
    assert len(await at.stored()) <= 3 * 8


async def test_a_flood_does_not_reach_the_count_of_somebody_who_has_logged_in_before(door, slots):
    slots(2)
    at = door()
    await at.known("ann")
    await at.fails("ann", times=4)
    await flood(at, times=5)
    assert await at.open("ann")
    await at.fails("ann")
    assert not await at.open("ann")


async def test_nor_the_count_of_a_name_that_the_method_says_is_somebodys(door, slots):
    slots(2)
    at = door()
    await flood(at, times=5)
    await at.fails("ann", times=4, real=True)
    await flood(at)
    assert await at.open("ann")
    await at.fails("ann", real=True)
    assert not await at.open("ann")
    await at.unlock("ann")
    assert await at.open("ann")


async def test_a_flood_ends_no_lock(door, slots, clock):
    slots(1)
    at = door()
    await at.known("ann")
    await at.fails("ann", times=5)
    await at.fails("made-up", times=5)
    await flood(at)
    assert not await at.open("ann")
    assert not await at.open("made-up")
    assert await at.listed() == ["ann", "made-up"]
    clock.advance(900)
    assert await at.open("ann")
    assert await at.open("made-up")


async def test_nobody_is_locked_out_for_what_another_in_the_same_place_did(door, slots):
    slots(1)
    at = door()
    await at.known("ann")
    await at.fails("made-up", times=4)
    await at.fails("ann")
    await at.fails("bob")  # takes the place over, from one
    assert await at.open("made-up") and await at.open("ann") and await at.open("bob")
    await at.fails("made-up", times=4)
    assert await at.open("made-up")
    await at.fails("made-up")
    assert not await at.open("made-up")
    assert await at.open("ann") and await at.open("bob")


async def test_a_place_is_free_again_once_the_lock_on_it_is_over(door, slots, clock):
    slots(1)
    at = door()
    await at.fails("bob", times=5)
    clock.advance(900)
    await at.fails("eve", times=4)
    assert await at.open("eve")
    assert await at.listed() == []
    await at.fails("eve")
    assert await at.listed() == ["eve"]
    await at.unlock("bob")
    assert not await at.open("eve")
    await at.unlock("eve")
    assert await at.stored() == []


async def test_what_a_flood_left_is_cleared_in_time(door, slots, clock):
    slots(8)
    at = door()
    await flood(at, times=5)
    await flood(at)
    for _ in range(3):
        clock.advance(901)
        await at.tick()
    assert await at.stored() == []


async def test_a_good_login_forgets_what_was_counted_before_the_name_was_known(door):
    at = door()
    await at.fails("ann", times=4)
    await at.known("ann")
    await at.passes("ann")
    await at.fails("ann", times=4)
    assert await at.open("ann")


async def test_a_lock_from_before_a_name_was_known_holds(door):
    at = door()
    await at.fails("ann", times=5)
    await at.known("ann")
    assert not await at.open("ann")
    await at.unlock("ann")
    assert await at.open("ann")


def test_places_are_many_and_spread():
    places = {lockout.slot_of(f"{number:064x}/any") for number in range(2000)}
    assert len(places) > 1900
    assert lockout.SLOTS == 65_536
