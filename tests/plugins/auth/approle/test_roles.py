"""Roles and their secret ids: one spelling, nothing secret at rest, no more than the role allows."""

import pytest
from broker_plugins.auth.approle.records import ACCESSOR, SECRET

from broker.plugin import InvalidRequest, NotFound, Tampered, UnsupportedPath


async def test_a_role_has_one_name_in_any_case(kit):
    await kit.create("role/App", token_policies="a")
    await kit.update("role/APP/token-ttl", token_ttl="1h")
    shown = await kit.read("role/app")
    assert (shown["token_policies"], shown["token_ttl"]) == (["a"], 3600)
    assert await kit.list("role") == {"keys": ["app"]}


@pytest.mark.parametrize("name", ["-app", "app.", "a b", "\u00e4pp", "\u212aube", "app\u0000", "a\u200bpp"])
async def test_names_that_could_be_taken_for_others_are_no_names(kit, name):
    for path in (f"role/{name}", f"role/{name}/secret-id", f"role/{name}/policies"):
        with pytest.raises(UnsupportedPath):
            await kit.update(path, **({"policies": "x"} if "policies" in path else {}))
    assert kit.store.entries == {}


@pytest.mark.parametrize("policy", ["root", "ROOT", " root", "root\n", "root\u00a0", "\uff52oot"])
async def test_no_spelling_of_root_is_a_policy(kit, policy):
    await kit.create("role/app")
    before = dict(kit.store.entries)
    for path in ("role/app", "role/app/policies"):
        with pytest.raises(InvalidRequest):
            await kit.update(path, token_policies=["default", policy])
    assert kit.store.entries == before


async def test_no_id_is_stored_in_clear(kit, role):
    await role(role_id="the-role-id")
    made = await kit.update("role/app/custom-secret-id", secret_id="the-secret-id")
    everything = str({path: value for path, value in kit.store.entries.items() if path != "role/app"})
    assert "the-secret-id" not in str(kit.store.entries)
    assert "the-role-id" not in everything
    assert made["secret_id"] == "the-secret-id"


async def test_roles_cannot_share_an_id_and_give_it_up_with_their_end(kit):
    await kit.create("role/one", role_id="r")
    for path in ("role/two", "role/two/role-id"):
        with pytest.raises((InvalidRequest, UnsupportedPath)):
            await kit.update(path, role_id="r")
    await kit.delete("role/one")
    await kit.create("role/two", role_id="r")
    await kit.update("role/two/role-id", role_id="s")
    await kit.create("role/one", role_id="r")


async def test_a_role_needs_something_to_tie_a_login_to_it(kit):
    with pytest.raises(InvalidRequest, match="at least one constraint"):
        await kit.update("role/app", bind_secret_id=False)
    await kit.create("role/app", bind_secret_id=False, token_bound_cidrs="10.0.0.0/8")
    with pytest.raises(InvalidRequest, match="at least one constraint"):
        await kit.delete("role/app/token-bound-cidrs")
    with pytest.raises(InvalidRequest, match="at least one constraint"):
        await kit.update("role/app/token-bound-cidrs", token_bound_cidrs=[])
    await kit.update("role/app/bind-secret-id", bind_secret_id=True)
    await kit.delete("role/app/token-bound-cidrs")


async def test_secret_ids_of_a_role_made_anew_are_not_the_old_ones(kit, role):
    ids = await role(role_id="r")
    await kit.delete("role/app")
    await kit.create("role/app", role_id="r")
    with pytest.raises(InvalidRequest, match="invalid role or secret ID"):
        await kit.update("login", role_id=ids[0], secret_id=ids[1])
    with pytest.raises(NotFound):
        await kit.list("role/app/secret-id")


async def test_what_a_role_leaves_behind_is_cleared_in_steps(kit, role):
    await role()
    for _ in range(450):
        await kit.update("role/app/secret-id")
    await kit.delete("role/app")
    steps = 0
    while [path for path in kit.store.entries if path.startswith((SECRET, ACCESSOR))]:
        steps += len(await kit.wake_due())
        kit.clock.advance(1)
    assert steps == 3


async def test_tidy_clears_what_expired_and_leaves_the_rest(kit, role):
    await role({"ttl": "1m"})
    for _ in range(250):
        await kit.update("role/app/secret-id", ttl="1m")
    kept = await kit.update("role/app/secret-id")
    kit.clock.advance(61)
    kit.scheduled.clear()  # as if nobody had been woken in time
    await kit.update("tidy/secret-id")
    for _ in range(5):
        await kit.wake_due()
        kit.clock.advance(1)
    assert (await kit.list("role/app/secret-id"))["keys"] == [kept["secret_id_accessor"]]


async def test_accessors_are_listed_in_pages(kit, role):
    await role()
    for _ in range(4):
        await kit.update("role/app/secret-id")
    everything = (await kit.list("role/app/secret-id"))["keys"]
    first = (await kit.list("role/app/secret-id", limit=3))["keys"]
    rest = (await kit.list("role/app/secret-id", after=first[-1]))["keys"]
    assert (len(first), first + rest) == (3, everything)


async def test_an_accessor_ends_its_secret_id_and_no_other(kit, role):
    role_id, first = await role()
    second = await kit.update("role/app/secret-id")
    await kit.update("role/app/secret-id-accessor/destroy", secret_id_accessor=second["secret_id_accessor"])
    with pytest.raises(InvalidRequest):
        await kit.update("login", role_id=role_id, secret_id=second["secret_id"])
    await kit.update("login", role_id=role_id, secret_id=first)
    for odd in ("../" + second["secret_id_accessor"], "a/b", "x" * 100):
        with pytest.raises(NotFound):
            await kit.update("role/app/secret-id-accessor/lookup", secret_id_accessor=odd)


@pytest.mark.parametrize(
    "body",
    [
        {"num_uses": 4},
        {"num_uses": 0},
        {"num_uses": -1},
        {"ttl": "11m"},
        {"ttl": 0},
        {"ttl": "-1s"},
        {"cidr_list": "11.0.0.0/8"},
        {"cidr_list": "10.0.0.1"},
        {"cidr_list": "::/0"},
        {"cidr_list": "fe80::1%eth0/64"},
        {"token_bound_cidrs": "0.0.0.0/0"},
        {"metadata": "nonsense"},
        {"metadata": "[1]"},
        {"metadata": {"a": 1}},
        {"metadata": {str(number): "x" for number in range(65)}},
        {"unknown": 1},
    ],
)
async def test_a_secret_id_cannot_be_good_for_more_than_its_role(kit, body):
    limits = {"secret_id_num_uses": 3, "secret_id_ttl": "10m"}
    await kit.create("role/app", secret_id_bound_cidrs="10.0.0.0/8", token_bound_cidrs="10.0.0.0/8", **limits)
    before = dict(kit.store.entries)
    with pytest.raises(InvalidRequest):
        await kit.update("role/app/secret-id", **body)
    assert kit.store.entries == before


async def test_a_secret_id_takes_its_limits_from_the_role(kit):
    await kit.create("role/app", secret_id_num_uses=3, secret_id_ttl="10m")
    made = await kit.update("role/app/secret-id", metadata='{"k": "v"}')
    assert (made["secret_id_num_uses"], made["secret_id_ttl"]) == (3, 600)
    about = await kit.update("role/app/secret-id/lookup", secret_id=made["secret_id"])
    assert about["metadata"] == {"k": "v"}


async def test_a_secret_id_lives_no_longer_than_the_mount_allows(kit):
    await kit.create("role/app")
    assert (await kit.update("role/app/secret-id", ttl="9000h"))["secret_id_ttl"] == 768 * 3600


async def test_a_custom_secret_id_is_taken_once(kit):
    await kit.create("role/app")
    await kit.update("role/app/custom-secret-id", secret_id="mine")
    with pytest.raises(InvalidRequest, match="already registered") as raised:
        await kit.update("role/app/custom-secret-id", secret_id="mine")
    assert "mine" not in str(raised.value)
    await kit.create("role/two")
    await kit.update("role/two/custom-secret-id", secret_id="mine")


async def test_a_damaged_role_is_deleted_and_the_next_of_its_name_is_another(kit):
    ids = {"bind_secret_id": False, "secret_id_bound_cidrs": ["192.0.2.0/24"]}
    await kit.create("role/app", role_id="old", **ids)
    kit.store.damaged.add("role/app")
    with pytest.raises(Tampered):
        await kit.read("role/app")
    await kit.delete("role/app")
    await kit.create("role/app", role_id="new", **ids)
    assert (await kit.update("login", role_id="new")).alias == "new"
    with pytest.raises(InvalidRequest):
        await kit.update("login", role_id="old")
    await kit.create("role/two", role_id="old", **ids)
    assert (await kit.update("login", role_id="old")).metadata["role_name"] == "two"
