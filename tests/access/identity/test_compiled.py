"""Compiled rules are shared where they are the same, and never with somebody they do not speak of."""

from __future__ import annotations

from broker.access.policies import NOBODY, POLICY, PolicyStore
from broker.access.policy.parse import parse_policy
from broker.access.policy.template import Identity
from broker.access.records import PolicyRecord
from broker.plugin.verbs import Verb
from broker.storage import TenantStore
from tests.access.identity.test_membership import empty

HOME = 'path "home/{{identity.entity.name}}" { capabilities = ["read"] }'
SAME = 'path "same" { capabilities = ["read"] }'


async def written(**texts: str) -> TenantStore:
    space = await empty()
    tx = await space.begin()
    for name, text in texts.items():
        tx.save(POLICY + name, PolicyRecord(name, text, parse_policy(name, text)))
    await tx.commit()
    return space


async def test_each_person_has_rules_of_their_own_and_tokens_of_one_person_share_them():
    space, policies = await written(home=HOME), PolicyStore()
    ann, bob = Identity(id="1", name="ann"), Identity(id="2", name="bob")

    async def may(person: Identity, path: str) -> bool:
        acl = await policies.acl(await space.begin(), ("home",), person)
        return acl.check(Verb.READ, path, now=1.0).allowed

    for _ in range(2):
        assert await may(ann, "home/ann") and not await may(ann, "home/bob")
        assert await may(bob, "home/bob") and not await may(bob, "home/ann")
        assert not await may(NOBODY, "home/ann") and not await may(NOBODY, "home/")
    first = await policies.acl(await space.begin(), ("home",), Identity(id="1", name="ann"))
    assert first is await policies.acl(await space.begin(), ("home",), ann)


async def test_a_changed_person_or_policy_is_compiled_anew():
    space, policies = await written(home=HOME), PolicyStore()
    before = await policies.acl(await space.begin(), ("home",), Identity(id="1", name="ann"))
    after = await policies.acl(await space.begin(), ("home",), Identity(id="1", name="eve"))
    assert before is not after and after.check(Verb.READ, "home/eve", now=1.0).allowed
    assert not after.check(Verb.READ, "home/ann", now=1.0).allowed
    tx = await space.begin()
    text = HOME.replace("home", "house")
    tx.save(POLICY + "home", PolicyRecord("home", text, parse_policy("home", text)))
    await tx.commit()
    changed = await policies.acl(await space.begin(), ("home",), Identity(id="1", name="eve"))
    assert not changed.check(Verb.READ, "home/eve", now=1.0).allowed


async def test_rules_without_templates_are_the_same_for_everybody():
    space, policies = await written(same=SAME), PolicyStore()
    found = [
        await policies.acl(await space.begin(), ("same",), person)
        for person in (NOBODY, Identity(id="1", name="ann"), Identity(id="2", name="bob"))
    ]
    assert found[0] is found[1] is found[2]
