"""Logins of machines: both ids together, as often and as long as the secret id is good, and from where it is."""

from datetime import timedelta

import pytest
from broker_plugins.auth.approle.records import SECRET

from broker.plugin import BrokerError, Connection, InvalidRequest, Login, PermissionDenied, Verb
from broker.plugin.testing.memory import MemoryView

BAD = (InvalidRequest, "invalid role or secret ID")


async def login(kit, role_id, secret_id):
    return await kit.update("login", role_id=role_id, secret_id=secret_id)


async def refusal(kit, role_id, secret_id):
    with pytest.raises(BrokerError) as raised:
        await login(kit, role_id, secret_id)
    return type(raised.value), str(raised.value)


async def test_a_login_gets_what_its_role_may(kit, role):
    ids = await role({"metadata": {"k": "v"}}, token_policies=["a"], token_ttl="1h", token_num_uses=2)
    auth = await login(kit, *ids)
    assert (auth.policies, auth.ttl, auth.num_uses) == (("a",), timedelta(hours=1), 2)
    assert (auth.alias, auth.metadata) == (ids[0], {"role_name": "app", "k": "v"})


async def test_metadata_cannot_pretend_to_another_role(kit, role):
    auth = await login(kit, *await role({"metadata": {"role_name": "admin"}}))
    assert auth.metadata == {"role_name": "app"}


async def test_every_failure_reads_the_same_and_is_counted_with_its_source(kit, role, lockout):
    role_id, secret_id = await role()
    tries = [
        (role_id, "no"),
        ("no", secret_id),
        (role_id.upper() + "x", secret_id),
        (role_id, secret_id + " "),
    ]
    assert {await refusal(kit, *ids) for ids in tries} == {BAD}
    assert lockout.failures == [(ids[0], "192.0.2.7") for ids in tries]


async def test_a_secret_id_of_one_role_is_none_of_another(kit, role):
    _, secret_id = await role()
    await kit.update("role/two")
    other = (await kit.read("role/two/role-id"))["role_id"]
    assert await refusal(kit, other, secret_id) == BAD


async def test_uses_are_counted_down_to_the_last(kit, role):
    ids = await role({"num_uses": 2})
    await login(kit, *ids)
    assert (await kit.update("role/app/secret-id/lookup", secret_id=ids[1]))["secret_id_num_uses"] == 1
    await login(kit, *ids)
    assert await refusal(kit, *ids) == BAD
    assert not [path for path in kit.store.entries if SECRET in path or "accessor/" in path]


async def test_a_login_from_elsewhere_costs_no_use(kit, role):
    ids = await role({"num_uses": 1, "cidr_list": "10.0.0.0/8"})
    assert "unauthorized through CIDR restrictions" in (await refusal(kit, *ids))[1]
    kit.connection = Connection(remote_address="::ffff:10.1.2.3")
    await login(kit, *ids)


async def test_the_networks_of_the_role_hold_too(kit, role):
    ids = await role(secret_id_bound_cidrs="10.0.0.0/8")
    assert "unauthorized through CIDR restrictions" in (await refusal(kit, *ids))[1]


async def test_an_unknown_source_is_in_no_network(kit, role):
    ids = await role(secret_id_bound_cidrs="0.0.0.0/0,::/0")
    kit.connection = Connection()
    assert "unauthorized" in (await refusal(kit, *ids))[1]


async def test_the_tokens_networks_are_the_secret_ids_where_it_has_any(kit, role):
    ids = await role({"token_bound_cidrs": "192.0.2.7/32"}, token_bound_cidrs="192.0.2.0/24")
    assert (await login(kit, *ids)).bound_cidrs == ("192.0.2.7",)
    plain = (await kit.update("role/app/secret-id"))["secret_id"]
    assert (await login(kit, ids[0], plain)).bound_cidrs == ("192.0.2.0/24",)


async def test_a_secret_id_ends_to_the_second(kit, role):
    ids = await role({"ttl": "60s"})
    kit.clock.advance(59.9)
    await login(kit, *ids)
    kit.clock.advance(0.1)
    assert await refusal(kit, *ids) == BAD
    assert await kit.update("role/app/secret-id/lookup", secret_id=ids[1]) is None


async def test_an_expired_secret_id_is_cleared_away(kit, role):
    ids = await role({"ttl": "60s"})
    kit.clock.advance(60)
    assert len(await kit.wake_due()) == 1
    assert not [path for path in kit.store.entries if path.startswith((SECRET, "accessor/"))]
    assert await refusal(kit, *ids) == BAD


async def test_a_role_without_secret_ids_is_bound_to_its_networks(kit, lockout):
    await kit.update("role/app", role_id="r", bind_secret_id=False, token_bound_cidrs="10.0.0.0/8")
    with pytest.raises(PermissionDenied):
        await kit.update("login", role_id="r")
    kit.connection = Connection(remote_address="10.0.0.1")
    assert (await kit.update("login", role_id="r")).alias == "r"
    assert lockout.failures == []


async def test_a_missing_secret_id_is_told_alike_for_any_role(kit, role):
    role_id, _ = await role()
    for name in (role_id, "no"):
        assert await refusal(kit, name, "") == (InvalidRequest, "missing secret_id")
        with pytest.raises(InvalidRequest, match="missing secret_id"):
            await kit.update("login", role_id=name)


async def test_a_holder_of_a_made_secret_id_gets_in_while_the_role_is_locked_out(kit, role, lockout):
    role_id, made = await role()
    chosen = (await kit.update("role/app/custom-secret-id", secret_id="hunter2"))["secret_id"]
    lockout.closed = {role_id, "no"}
    await login(kit, role_id, made)
    for ids in ((role_id, chosen), (role_id, "wrong"), ("no", "wrong")):
        assert await refusal(kit, *ids) == (PermissionDenied, "permission denied")
    assert lockout.failures == []


@pytest.mark.parametrize("value", [True, 1, -1, 1.5, [], [[]], ["a"], {}, {"a": "b"}, "x" * (1 << 20)])
@pytest.mark.parametrize("field", ["role_id", "secret_id"])
async def test_ids_of_another_type_are_refused_by_name_and_not_repeated(kit, role, field, value, lockout):
    ids = dict(zip(("role_id", "secret_id"), await role(), strict=True))
    with pytest.raises(InvalidRequest, match=f'field "{field}": expected') as raised:
        await kit.update("login", **{**ids, field: value})
    assert len(str(raised.value)) < 100
    assert lockout.failures == []


async def test_a_renewal_goes_by_the_role_as_it_is_now(kit, role):
    auth = await login(kit, *await role(token_ttl="1h"))

    async def renewed():
        ctx = kit.context(Verb.UPDATE, "", MemoryView(kit.store.transaction()))
        return await kit.engine.renew_login(ctx, Login(auth.alias, (), auth.metadata, {}))

    await kit.update("role/app", token_ttl="5m")
    assert (await renewed()).ttl == timedelta(minutes=5)
    await kit.delete("role/app")
    with pytest.raises(InvalidRequest, match="does not exist during renewal"):
        await renewed()


async def test_quotas_know_a_login_by_the_name_of_its_role(kit):
    async def found(path, **data):
        return await kit.engine.find_role(MemoryView(kit.store.transaction()), path, data)

    assert await found("login", role_id="r") == ""  # no role yet
    await kit.update("role/App", role_id="r")
    assert await found("login", role_id="r") == "app"
    assert await found("login", role_id="app") == await found("login", role_id=["r"]) == ""
    assert await found("login") == await found("role/app", role_id="r") == ""
