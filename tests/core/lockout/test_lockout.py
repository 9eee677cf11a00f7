"""Failures add up, lock out, are forgotten in time, and leave nothing behind."""

import asyncio

import pytest

from broker.core import lockout
from broker.core.settings import CoreSettings, LockoutRules
from broker.plugin.errors import InvalidRequest


async def test_the_fifth_failure_locks_a_name_out_for_a_quarter_of_an_hour(door, clock):
    at = door()
    await at.fails("ann", times=4)
    assert await at.open("ann")
    await at.fails("ann")
    assert not await at.open("ann")
    assert await at.open("bob")
    clock.advance(899)
    assert not await at.open("ann")
    clock.advance(1)
    assert await at.open("ann")


async def test_failures_while_locked_out_do_not_make_it_longer(door, clock):
    at = door()
    await at.fails("ann", times=5)
    clock.advance(800)
    await at.fails("ann", times=10)
    clock.advance(100)
    assert await at.open("ann")
    await at.fails("ann", times=4)
    assert await at.open("ann")


async def test_failures_far_apart_do_not_add_up(door, clock):
    at = door()
    for _ in range(10):
        await at.fails("ann")
        clock.advance(900)
    assert await at.open("ann")


async def test_failures_close_to_each_other_add_up_however_long_it_takes(door, clock):
    at = door()
    for _ in range(5):
        await at.fails("ann")
        clock.advance(600)
        await at.tick()
    assert not await at.open("ann")


async def test_a_good_login_forgets_the_failures(door):
    at = door()
    await at.fails("ann", times=4)
    await at.passes("ann")
    await at.fails("ann", times=4)
    assert await at.open("ann")


async def test_a_source_is_locked_out_alone(door):
    at = door("approle")
    await at.fails("role", "192.0.2.1", times=5)
    assert not await at.open("role", "192.0.2.1")
    assert await at.open("role", "192.0.2.2")
    assert await at.open("other", "192.0.2.1")
    assert await at.listed() == ["role"]


async def test_unlocking_lets_in_from_everywhere_and_leaves_nothing(door):
    at = door("approle")
    for source in ("192.0.2.1", "192.0.2.2"):
        await at.fails("role", source, times=5)
    await at.fails("other", "192.0.2.1", times=5)
    assert await at.listed() == ["other", "role"]
    await at.unlock("role")
    await at.unlock("never-seen")
    assert await at.open("role", "192.0.2.1")
    assert await at.open("role", "192.0.2.2")
    assert await at.listed() == ["other"]
    await at.unlock("other")
    assert await at.stored() == []


async def test_mounts_do_not_share_their_counts(door):
    users, roles = door(), door("ldap")
    await users.fails("ann", times=5)
    assert await roles.open("ann")
    assert await roles.listed() == []


async def test_everything_counted_is_cleared_when_its_time_has_come(door, clock):
    at = door()
    for number in range(20):
        await at.fails(f"name{number}", times=1 + number % 5)
    assert await at.tick() == 0
    clock.advance(901)
    await at.tick()
    clock.advance(901)
    await at.tick()
    assert await at.stored() == []


async def test_one_failure_more_is_one_entry_more_to_write_and_none_to_look_at(door, clock):
    at = door()
    await at.fails("ann")
    before = await at.stored()
    clock.advance(10)
    await at.fails("ann", times=3)
    assert await at.stored() == before


async def test_no_name_stands_in_a_path(door):
    at = door("approle")
    await at.fails("role-id-of-mine", "192.0.2.1", times=5)
    assert not [path for path in await at.stored() if "mine" in path or "192.0" in path]


async def test_many_failures_at_once_are_all_counted(door):
    at = door(lockout_threshold=50)
    await asyncio.gather(*(at.fails("ann") for _ in range(49)))
    assert await at.open("ann")
    await at.fails("ann")
    assert not await at.open("ann")


async def test_a_guess_that_was_let_on_before_the_lock_cannot_be_stored_after_it(door):
    from broker.storage.errors import TransactionConflict

    at = door()
    tx, ctx = await at._begin()
    await at.service.guard(ctx, "ann")
    await at.fails("ann", times=5)
    tx.put("logical/up/token", b"x")
    with pytest.raises(TransactionConflict):
        await tx.commit()


async def test_the_mounts_tuning_goes_before_the_servers(door):
    settings = CoreSettings(
        user_lockout={"all": LockoutRules(threshold=3), "ldap": LockoutRules(threshold=2)}
    )
    plain, tuned, other = (
        door(settings=settings),
        door(settings=settings, lockout_threshold=1),
        door("ldap", settings),
    )
    for at, count in ((plain, 3), (tuned, 1), (other, 2)):
        await at.fails(f"name{count}", times=count - 1)
        assert await at.open(f"name{count}")
        await at.fails(f"name{count}")
        assert not await at.open(f"name{count}")


@pytest.mark.parametrize(
    ("kind", "settings", "tuned"),
    [
        ("userpass", CoreSettings(user_lockout_disabled=True), {}),
        ("userpass", CoreSettings(user_lockout={"all": LockoutRules(disabled=True)}), {}),
        ("userpass", CoreSettings(), {"lockout_disable": True}),
        ("jwt", CoreSettings(), {}),
    ],
)
async def test_where_it_is_switched_off_nothing_is_counted(door, kind, settings, tuned):
    at = door(kind, settings, **tuned)
    await at.fails("ann", times=20)
    assert await at.open("ann")
    assert await at.stored() == []


async def test_a_mount_may_lock_out_though_the_server_does_not(door):
    settings = CoreSettings(user_lockout={"all": LockoutRules(disabled=True)})
    at = door("userpass", settings, lockout_disable=False)
    await at.fails("ann", times=5)
    assert not await at.open("ann")


def test_the_stanzas_fill_each_other_in():
    from datetime import timedelta
    from types import SimpleNamespace

    def stanza(kind, threshold=0, duration=0, disable=False):
        return SimpleNamespace(
            type=kind,
            lockout_threshold=threshold,
            lockout_duration=timedelta(seconds=duration),
            lockout_counter_reset=timedelta(0),
            disable_lockout=disable,
        )

    rules = lockout.configured(
        [stanza("ldap", duration=30), stanza("all", threshold=9), stanza("userpass", 2)]
    )
    assert rules["ldap"] == LockoutRules(9, 30, 900)
    assert rules["userpass"] == LockoutRules(2, 900, 900)
    assert lockout.configured([]) == {}


@pytest.mark.parametrize("name", lockout.SWITCHES)
def test_the_environment_switches_it_off(name):
    assert lockout.switched_off({name: "true"})
    assert not lockout.switched_off({name: "false"})
    assert not lockout.switched_off({})


@pytest.mark.parametrize(
    "config", [{"lockout_threshold": -1}, {"lockout_duration": "x"}, {"lockout_disable": "x"}, {"lockout": 1}]
)
def test_a_tuning_that_is_no_good_is_refused_by_name(config):
    with pytest.raises(InvalidRequest, match=next(iter(config))):
        lockout.tuned(None, config)
