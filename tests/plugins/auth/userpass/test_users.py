"""Users: kept under one spelling, without their passwords, and only if all of them is good."""

import pytest

from broker.plugin import InvalidRequest, NotFound, UnsupportedPath


async def test_a_user_has_one_name_in_any_case(kit):
    await kit.create("users/Ann", password="first", token_policies=["a"])
    await kit.update("users/ANN", token_ttl="1h")
    shown = await kit.read("users/ann")
    assert (shown["token_policies"], shown["token_ttl"]) == (["a"], 3600)
    assert await kit.list("users") == {"keys": ["ann"]}


async def test_nothing_of_a_password_is_stored_or_shown(kit):
    await kit.create("users/ann", password="c0rrect horse")
    assert "c0rrect horse" not in str(kit.store.entries)
    assert "hash" not in str(await kit.read("users/ann"))


@pytest.mark.parametrize(
    "name",
    ["-ann", "ann.", "a b", "a@b", "änn", "\u212aelvin", "ann\u0000", "ann\n", "\uff41nn", "a\u200bnn", "."],
)
async def test_names_that_could_be_taken_for_others_are_no_names(kit, name):
    for call in (kit.read, kit.delete):
        with pytest.raises(UnsupportedPath):
            await call(f"users/{name}")
    with pytest.raises(UnsupportedPath):
        await kit.update(f"users/{name}", password="x")
    assert kit.store.entries == {}


@pytest.mark.parametrize(
    "policy", ["root", "ROOT", " root", "root\n", "root\u00a0", "\uff52oot", "root\u200b"]
)
async def test_no_spelling_of_root_is_a_policy(kit, policy):
    with pytest.raises(InvalidRequest):
        await kit.update("users/ann", password="x", token_policies=["default", policy])
    with pytest.raises(InvalidRequest):
        await kit.update("users/ann", password="x", policies=policy)
    assert kit.store.entries == {}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"password": ""},
        {"password": "x", "password_hash": "$2b$05$" + "C" * 53},
        {"password_hash": "y"},
        {"password": "x", "token_bound_cidrs": "nonsense"},
        {"password": "x", "token_num_uses": -1},
        {"password": "x", "token_ttl": "2h", "token_max_ttl": "1h"},
        {"password": ["x"]},
        {"password": {"a": "x"}},
        {"password": 5},
        {"password": True},
        {"password": "x" * 5000},
        {"password": "x", "unknown": 1},
    ],
)
async def test_what_is_no_good_stores_nothing_and_is_not_repeated(kit, body):
    with pytest.raises(InvalidRequest) as refusal:
        await kit.update("users/ann", **body)
    assert "x" * 100 not in str(refusal.value)
    assert kit.store.entries == {}


async def test_parameters_are_kept_where_nothing_is_said_of_them(kit):
    await kit.create("users/ann", password="x", policies="a", ttl="1h", bound_cidrs="10.0.0.0/8")
    await kit.update("users/ann", token_max_ttl="2h")
    shown = await kit.read("users/ann")
    assert {name: shown[name] for name in ("policies", "ttl", "token_policies", "token_max_ttl")} == {
        "policies": ["a"],
        "ttl": 3600,
        "token_policies": ["a"],
        "token_max_ttl": 7200,
    }
    await kit.update("users/ann/policies", token_policies=["b"])
    assert "policies" not in await kit.read("users/ann")


async def test_a_user_that_is_removed_is_gone(kit):
    await kit.create("users/ann", password="x")
    await kit.delete("users/ann")
    with pytest.raises(NotFound):
        await kit.read("users/ann")
    with pytest.raises(NotFound):
        await kit.list("users")
    for path in ("password", "policies"):
        with pytest.raises(InvalidRequest, match="does not exist"):
            await kit.update(f"users/ann/{path}", **{path: "x"})
