"""Groups within groups: never in a circle, and an entity has what a slow look at the whole picture says."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest
from broker_plugins.storage.inmem import InmemBackend
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.access.identity import store
from broker.access.identity.membership import (
    delete_group,
    follow_login,
    member_ids,
    memberships,
    set_member_groups,
    set_members,
)
from broker.access.identity.records import AliasRecord, EntityRecord, GroupRecord
from broker.barrier.codec import TenantCodec, new_tenant_secret
from broker.barrier.keyring import Keyring
from broker.plugin.errors import InvalidRequest
from broker.storage import LocalSignal, TenantStore, Writer
from broker.storage.errors import TransactionConflict
from broker.storage.transaction import Transaction

T = "2026-01-01T00:00:00Z"
ENTITIES = ("ann", "bob")
GROUPS = tuple(f"g{number}" for number in range(6))


async def empty() -> TenantStore:
    keyring = Keyring.create(datetime.now(UTC), os.urandom)
    codec = TenantCodec(lambda: keyring, "root", new_tenant_secret())
    raw = await InmemBackend().open("root", create=True)
    return TenantStore(raw, tenant="root", codec=codec, signal=LocalSignal(), writer=Writer())


def make_group(tx: Transaction, name: str, **more: object) -> GroupRecord:
    made = GroupRecord(name, name, T, T, policies=(f"p-{name}",), version=1, **more)  # type: ignore[arg-type]
    store.save_group(tx, None, made)
    return made


def make_entity(tx: Transaction, name: str) -> EntityRecord:
    made = EntityRecord(name, name, T, T)
    store.save_entity(tx, None, made)
    return made


async def peopled() -> TenantStore:
    """Two entities and six groups, unconnected."""
    space = await empty()
    tx = await space.begin()
    for name in ENTITIES:
        make_entity(tx, name)
    for name in GROUPS:
        make_group(tx, name)
    await tx.commit()
    return space


async def nest(tx: Transaction, group_id: str, members: list[str]) -> None:
    group = await store.group(tx, group_id)
    assert group is not None
    store.save_group(tx, group, await set_member_groups(tx, group, members))


class Picture:
    """The slow model: sets of pairs, and a walk over all of them."""

    def __init__(self) -> None:
        self.inside: dict[str, set[str]] = {name: set() for name in GROUPS}
        self.people: dict[str, set[str]] = {name: set() for name in GROUPS}

    def below(self, group: str) -> set[str]:
        seen: set[str] = set()
        waiting = [group]
        while waiting:
            for inner in self.inside.get(waiting.pop(), ()):
                if inner not in seen:
                    seen.add(inner)
                    waiting.append(inner)
        return seen

    def refuses(self, group: str, members: list[str]) -> bool:
        return any(
            member == group or member not in self.inside or group in self.below(member) for member in members
        )

    def groups_of(self, entity: str) -> tuple[set[str], set[str]]:
        direct = {group for group, people in self.people.items() if entity in people}
        above = {group for group in self.inside if self.below(group) & direct}
        return direct, above - direct

    def drop(self, group: str) -> None:
        self.inside.pop(group, None)
        self.people.pop(group, None)
        for inner in self.inside.values():
            inner.discard(group)


some = st.lists(st.sampled_from(GROUPS), max_size=3)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("nest"), st.sampled_from(GROUPS), some),
        st.tuples(st.just("fill"), st.sampled_from(GROUPS), st.lists(st.sampled_from(ENTITIES), max_size=2)),
        st.tuples(st.just("drop"), st.sampled_from(GROUPS), st.just([])),
    ),
    min_size=4,
    max_size=14,
)


@given(steps)
@settings(max_examples=60, deadline=None)
async def test_memberships_are_what_a_slow_look_at_everything_says(script):
    space, picture = await peopled(), Picture()
    for what, name, names in script:
        if name not in picture.inside:
            continue
        tx = await space.begin()
        group = await store.group(tx, name)
        assert group is not None
        if what == "nest" and picture.refuses(name, names):
            with pytest.raises(InvalidRequest):
                await set_member_groups(tx, group, names)
            continue
        if what == "nest":
            picture.inside[name] = set(names)
            await nest(tx, name, names)
        elif what == "fill":
            picture.people[name] = set(names)
            await set_members(tx, group, names)
        else:
            picture.drop(name)
            await delete_group(tx, group)
        await tx.commit()
    tx = await space.begin()
    for name in ENTITIES:
        entity = await store.entity(tx, name)
        assert entity is not None
        found = await memberships(tx, entity)
        direct, inherited = picture.groups_of(name)
        assert {group.id for group in found.direct} == direct
        assert {group.id for group in found.inherited} == inherited
        assert len(found.all) == len(direct | inherited)
        assert found.policies() == {f"p-{group}" for group in direct | inherited}
    for name in picture.inside:
        group = await store.group(tx, name)
        assert group is not None and set(group.members) == picture.inside[name]
        assert set(await member_ids(tx, name)) == picture.people[name]


async def test_two_changes_that_would_close_a_circle_together_conflict():
    space = await peopled()
    tx = await space.begin()
    await nest(tx, "g1", ["g2"])
    await tx.commit()
    one, other = await space.begin(), await space.begin()
    await nest(one, "g0", ["g1"])
    await nest(other, "g2", ["g0"])
    await one.commit()
    with pytest.raises(TransactionConflict):
        await other.commit()
    again = await space.begin()
    with pytest.raises(InvalidRequest, match="cyclic relationship"):
        await nest(again, "g2", ["g0"])


async def test_two_first_sights_of_the_same_name_conflict():
    space = await empty()
    one, other = await space.begin(), await space.begin()
    for number, tx in enumerate((one, other)):
        assert await store.entity_by_alias(tx, "auth_x", "ann") is None
        alias = AliasRecord(f"a{number}", "ann", "auth_x", f"e{number}", T, T)
        store.save_entity(tx, None, EntityRecord(f"e{number}", f"n{number}", T, T, aliases=(alias,)))
    await one.commit()
    with pytest.raises(TransactionConflict):
        await other.commit()


async def external() -> TenantStore:
    """One entity, an internal group, two external groups of one mount and one of another."""
    space = await empty()
    tx = await space.begin()
    entity = make_entity(tx, "ann")
    make_group(tx, "hand")
    for name, accessor in (("devs", "m1"), ("ops", "m1"), ("sales", "m2")):
        alias = AliasRecord(f"alias-{name}", name, accessor, name, T, T)
        make_group(tx, name, external=True, alias=alias)
    hand = await store.group(tx, "hand")
    assert hand is not None
    await set_members(tx, hand, [entity.id])
    await tx.commit()
    return space


async def after_login(space: TenantStore, accessor: str, *names: str) -> tuple[set[str], bool]:
    tx = await space.begin()
    entity = await store.entity(tx, "ann")
    assert entity is not None
    entity = await follow_login(tx, entity, accessor, names)
    wrote = tx.dirty
    await tx.commit()
    return set(entity.groups), wrote


async def test_a_login_sets_the_external_groups_of_its_own_mount_and_no_others():
    space = await external()
    assert await after_login(space, "m1", "devs", "unknown") == ({"hand", "devs"}, True)
    assert await after_login(space, "m2", "sales", "devs") == ({"hand", "devs", "sales"}, True)
    assert await after_login(space, "m1", "OPS") == ({"hand", "ops", "sales"}, True)
    assert await after_login(space, "m1", "ops") == ({"hand", "ops", "sales"}, False)
    assert await after_login(space, "m1") == ({"hand", "sales"}, True)
    tx = await space.begin()
    assert await member_ids(tx, "ops") == [] and await member_ids(tx, "sales") == ["ann"]


async def test_what_a_token_rests_on_is_its_entity_and_its_groups_however_many_others_there_are():
    space = await empty()
    tx = await space.begin()
    for number in range(300):
        make_entity(tx, f"e{number}")
        make_group(tx, f"x{number}")
    for name in ("a", "b", "c"):
        make_group(tx, name)
    await nest(tx, "b", ["a"])
    await nest(tx, "c", ["b"])
    group = await store.group(tx, "a")
    assert group is not None
    await set_members(tx, group, [f"e{number}" for number in range(300)])
    await tx.commit()
    tx = await space.begin()
    entity = await store.entity(tx, "e7")
    assert entity is not None
    assert [found.id for found in (await memberships(tx, entity)).all] == ["a", "b", "c"]
    assert len(tx.observed()) == 4


async def test_a_deleted_entity_leaves_no_name_alias_or_place_behind():
    space = await empty()
    tx = await space.begin()
    alias = AliasRecord("a1", "ann", "m1", "e1", T, T)
    store.save_entity(tx, None, EntityRecord("e1", "Ann", T, T, aliases=(alias,)))
    group = make_group(tx, "g")
    await set_members(tx, group, ["e1"])
    await tx.commit()
    tx = await space.begin()
    entity = await store.entity_by_name(tx, "aNN")
    assert entity is not None
    store.delete_entity(tx, entity)
    await tx.commit()
    tx = await space.begin()
    assert await store.entity_by_alias(tx, "m1", "ann") is None and await member_ids(tx, "g") == []
    left = [path for path in await tx.scan(store.BASE) if not path.startswith("group")]
    assert left == []
