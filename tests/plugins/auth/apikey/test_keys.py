import re
from datetime import timedelta

import pytest
from broker_plugins.auth.apikey.keys import id_in
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.plugin import Conflict, InvalidRequest, Login, NotFound, PermissionDenied, Tampered

SHAPE = r"bk_[0-9a-z]{16}_[0-9A-Za-z]{43}"


async def login(kit, key):
    return await kit.update("login", api_key=key)


async def renewed(kit, auth):
    login = Login(auth.alias, auth.policies, auth.metadata, auth.internal)
    view = kit.store.transaction()
    from broker.plugin.testing.memory import MemoryView

    return await kit.engine.renew_login(kit.context("update", "", MemoryView(view)), login)


async def test_a_key_is_shown_once_and_stored_never(kit):
    made = await kit.update("keys", name="billing", token_policies=["app"])
    assert re.fullmatch(SHAPE, made["api_key"])
    secret = made["api_key"].rpartition("_")[2]
    assert made["last_four"] == made["api_key"][-4:]
    assert not any(secret.encode() in value for value in kit.store.entries.values())
    read = await kit.read(f"keys/{made['id']}")
    assert secret not in repr(read)
    assert (read["prefix"], read["last_four"]) == (f"bk_{made['id']}_", made["last_four"])
    assert (read["state"], read["name"], read["token_policies"]) == ("active", "billing", ["app"])
    assert read["last_used_time"] is None


async def test_a_login_carries_what_the_key_says(kit):
    made = await kit.update(
        "keys",
        name="billing",
        token_policies=["app"],
        metadata={"team": "a", "key_id": "lies"},
        token_ttl="5m",
    )
    auth = await login(kit, made["api_key"])
    assert auth.policies == ("app",)
    assert auth.alias == made["id"]
    assert auth.metadata == {"team": "a", "key_id": made["id"], "key_name": "billing"}
    assert auth.ttl == timedelta(minutes=5)
    assert auth.explicit_max_ttl == timedelta(0)
    read = await kit.read(f"keys/{made['id']}")
    assert read["last_used_address"] == "192.0.2.7"
    assert read["last_used_time"] == read["versions"][0]["last_used_time"] is not None


async def refused(kit, key):
    before = dict(kit.store.entries)
    with pytest.raises(PermissionDenied) as caught:
        await login(kit, key)
    assert kit.store.entries == before
    return str(caught.value)


async def test_every_refused_login_reads_the_same(kit):
    made = await kit.update("keys", name="a")
    elsewhere = await kit.update("keys", name="b", token_bound_cidrs=["10.0.0.0/8"])
    revoked = await kit.update("keys", name="c")
    await kit.update(f"keys/{revoked['id']}/revoke")
    expired = await kit.update("keys", name="d", expires_in=1)
    deleted = await kit.update("keys", name="e")
    await kit.delete(f"keys/{deleted['id']}")
    kit.clock.advance(1)
    key = made["api_key"]
    wrong = [
        "",
        "x",
        key[:-1],
        key + "A",
        key + "\n",
        key[:-1] + ("A" if key[-1] != "A" else "B"),
        key.replace(made["id"], elsewhere["id"]),
        key.replace(made["id"], "0" * 16),
        key.upper(),
        key.replace("bk_", "BK_"),
        "bk_" + "é" * 16 + "_" + "a" * 43,
        "bk_" + "٣" * 16 + "_" + "a" * 43,
        "\ud800" * 70,
        "\x00" + key,
        elsewhere["api_key"],
        revoked["api_key"],
        expired["api_key"],
        deleted["api_key"],
    ]
    assert {await refused(kit, text) for text in wrong} == {"invalid API key"}


async def test_a_login_before_any_key_was_made_is_refused_in_the_same_words(kit):
    assert await refused(kit, f"bk_{'0' * 16}_{'0' * 43}") == "invalid API key"


async def test_the_use_of_a_key_is_noted_at_most_once_a_minute(kit):
    made = await kit.update("keys", name="busy")
    await login(kit, made["api_key"])
    noted = dict(kit.store.entries)
    kit.clock.advance(59)
    await login(kit, made["api_key"])
    assert kit.store.entries == noted
    kit.clock.advance(1)
    await login(kit, made["api_key"])
    assert kit.store.entries != noted


async def test_a_token_never_outlives_its_key(kit):
    made = await kit.update(
        "keys", name="short", expires_in="10m", token_ttl="1h", token_explicit_max_ttl="2h"
    )
    kit.clock.advance(timedelta(minutes=4))
    auth = await login(kit, made["api_key"])
    assert auth.ttl == auth.explicit_max_ttl == timedelta(minutes=6)


async def test_a_renewal_follows_the_keys_end(kit):
    made = await kit.update("keys", name="short", token_ttl="1h", token_policies=["app"])
    auth = await login(kit, made["api_key"])
    assert (await renewed(kit, auth)).max_ttl == timedelta(0)
    kit.clock.advance(60)
    await kit.update(f"keys/{made['id']}", expires_in="10m")
    assert (await renewed(kit, auth)).max_ttl == timedelta(minutes=11)
    await kit.update(f"keys/{made['id']}", token_policies=["other"])
    with pytest.raises(InvalidRequest, match="policies have changed, not renewing"):
        await renewed(kit, auth)
    await kit.update(f"keys/{made['id']}/revoke")
    with pytest.raises(PermissionDenied, match="no longer valid"):
        await renewed(kit, auth)


async def test_a_token_whose_key_was_deleted_is_not_renewed(kit):
    made = await kit.update("keys", name="gone")
    auth = await login(kit, made["api_key"])
    await kit.delete(f"keys/{made['id']}")
    with pytest.raises(PermissionDenied):
        await renewed(kit, auth)


async def test_a_rotation_keeps_both_versions_until_the_grace_ends(kit):
    made = await kit.update("keys", name="long", token_ttl="4h")
    first = await login(kit, made["api_key"])
    rotated = await kit.update(f"keys/{made['id']}/rotate", grace_period="1h")
    assert rotated["version"] == 2
    assert rotated["api_key"] != made["api_key"]
    old, new = await login(kit, made["api_key"]), await login(kit, rotated["api_key"])
    assert old.explicit_max_ttl == timedelta(hours=1)
    assert new.explicit_max_ttl == timedelta(0)
    assert (await renewed(kit, first)).max_ttl == timedelta(hours=1)
    read = await kit.read(f"keys/{made['id']}")
    assert read["state"] == "rotating"
    assert [version["version"] for version in read["versions"]] == [1, 2]
    kit.clock.advance(timedelta(hours=1))
    assert await refused(kit, made["api_key"])
    with pytest.raises(PermissionDenied):
        await renewed(kit, first)
    await login(kit, rotated["api_key"])
    assert (await kit.read(f"keys/{made['id']}"))["state"] == "active"


async def test_the_hash_of_a_version_goes_when_its_grace_ends(kit):
    made = await kit.update("keys", name="long")
    before = kit.store.entries[f"key/{made['id']}"]
    await kit.update(f"keys/{made['id']}/rotate", grace_period="1h")
    assert await kit.wake_due() == ()
    kit.clock.advance(3600.5)
    assert await kit.wake_due() == (made["id"],)
    import msgspec
    from broker_plugins.auth.apikey.records import ApiKey

    old = (
        msgspec.msgpack.decode(before, type=ApiKey)
        if before[:1] != b"{"
        else msgspec.json.decode(before, type=ApiKey)
    )
    assert old.versions[0].hash not in kit.store.entries[f"key/{made['id']}"]


async def test_in_an_emergency_a_rotation_ends_every_version_so_far(kit):
    made = await kit.update("keys", name="leaked")
    second = await kit.update(f"keys/{made['id']}/rotate", grace_period="1h")
    third = await kit.update(f"keys/{made['id']}/rotate", grace_period=0)
    assert await refused(kit, made["api_key"])
    assert await refused(kit, second["api_key"])
    assert third["version"] == 3
    assert third["grace_end_time"] is None
    await login(kit, third["api_key"])


async def test_no_third_version_lives_beside_two(kit):
    made = await kit.update("keys", name="long")
    second = await kit.update(f"keys/{made['id']}/rotate", grace_period="1h")
    with pytest.raises(Conflict, match="only two versions live at once"):
        await kit.update(f"keys/{made['id']}/rotate", grace_period="2h")
    await login(kit, made["api_key"])
    await kit.update(f"keys/{made['id']}/retire")
    assert await refused(kit, made["api_key"])
    await login(kit, second["api_key"])
    assert (await kit.update(f"keys/{made['id']}/rotate", grace_period="2h"))["version"] == 3


async def test_a_rotation_that_expects_another_version_is_refused(kit):
    made = await kit.update("keys", name="raced")
    await kit.update(f"keys/{made['id']}/rotate", grace_period=0, version=1)
    with pytest.raises(Conflict, match="current version is 2, not 1"):
        await kit.update(f"keys/{made['id']}/rotate", grace_period=0, version=1)


async def test_a_dead_key_is_not_brought_back(kit):
    made = await kit.update("keys", name="dead", expires_in=60)
    kit.clock.advance(60)
    for path, body in (("", {"expires_in": 0}), ("/rotate", {}), ("/retire", {})):
        with pytest.raises(Conflict, match="the key is expired"):
            await kit.update(f"keys/{made['id']}{path}", **body)
    assert await refused(kit, made["api_key"])


async def test_a_dead_key_stays_listed_for_a_month_without_its_hash(kit):
    made = await kit.update("keys", name="dead", expires_in=60)
    await login(kit, made["api_key"])
    kit.clock.advance(61)
    await kit.wake_due()
    read = await kit.read(f"keys/{made['id']}")
    assert (read["state"], read["versions"], read["name"]) == ("expired", [], "dead")
    kit.clock.advance(timedelta(days=30))
    await kit.wake_due()
    with pytest.raises(NotFound):
        await kit.read(f"keys/{made['id']}")
    assert set(kit.store.entries) == {"salt"}


async def test_a_revoked_key_is_dead_at_once_and_revoking_it_again_is_no_error(kit):
    made = await kit.update("keys", name="revoked")
    await kit.update(f"keys/{made['id']}/revoke")
    await kit.update(f"keys/{made['id']}/revoke")
    assert await refused(kit, made["api_key"])
    assert (await kit.read(f"keys/{made['id']}"))["state"] == "revoked"


async def test_keys_are_listed_by_id_and_described_by_the_page(kit):
    ids = sorted([(await kit.update("keys", name=f"k{number}"))["id"] for number in range(3)])
    assert await kit.list("keys") == {"keys": ids}
    page = await kit.list("keys", limit=2)
    assert page["keys"] == ids[:2] == list(page["key_info"])
    assert (await kit.list("keys", after=ids[1], limit=2))["keys"] == ids[2:]
    with pytest.raises(InvalidRequest):
        await kit.list("keys", limit=1001)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": " "},
        {"name": "a\nb"},
        {"name": "a\x00"},
        {"name": "\u202eevil"},
        {"name": "n" * 257},
        {"name": ["a"]},
        {"name": 7},
        {"name": "a", "expires_in": -1},
        {"name": "a", "expires_in": True},
        {"name": "a", "expires_in": "soon"},
        {"name": "a", "expires_at": "2001-01-01T00:00:00Z"},
        {"name": "a", "expires_at": "tomorrow"},
        {"name": "a", "expires_in": 60, "expires_at": "2100-01-01T00:00:00Z"},
        {"name": "a", "metadata": {"a": {"b": "c"}}},
        {"name": "a", "metadata": {"a": "b" * 5000}},
        {"name": "a", "metadata": {str(n): "" for n in range(65)}},
        {"name": "a", "token_policies": ["root"]},
        {"name": "a", "token_policies": [" ROOT "]},
        {"name": "a", "token_policies": [1]},
        {"name": "a", "token_bound_cidrs": ["anywhere"]},
        {"name": "a", "token_ttl": "2h", "token_max_ttl": "1h"},
        {"name": "a", "api_key": "chosen"},
        {"name": "a", "id": "chosen"},
    ],
)
async def test_a_key_that_makes_no_sense_is_refused_and_stores_nothing(kit, body):
    with pytest.raises(InvalidRequest):
        await kit.update("keys", **body)
    assert kit.store.entries == {}


@pytest.mark.parametrize("value", [None, True, 7, [], ["a"], {}, {"a": "b"}])
async def test_a_key_of_the_wrong_type_is_refused_by_name(kit, value):
    with pytest.raises(InvalidRequest, match="api_key"):
        await kit.update("login", api_key=value)


async def test_an_unknown_key_is_not_found(kit):
    for verb, path in (
        ("read", "keys/x"),
        ("update", "keys/x"),
        ("update", "keys/x/rotate"),
        ("update", "keys/x/revoke"),
    ):
        with pytest.raises(NotFound):
            await getattr(kit, verb)(path)
    await kit.delete("keys/x")


async def test_two_mounts_hash_the_same_key_differently(kit, new_kit):
    from broker_plugins.auth.apikey.keys import hash_of

    other = new_kit()
    other._random.seed(1)
    key = (await kit.update("keys", name="a"))["api_key"]
    await other.update("keys", name="b")
    assert await refused(other, key) == "invalid API key"
    assert hash_of(key, b"1" * 32) != hash_of(key, b"2" * 32)


@given(st.text(max_size=80))
@settings(max_examples=100)
def test_only_the_exact_shape_names_an_id(text):
    assert bool(id_in(text)) == bool(re.fullmatch(SHAPE, text, re.ASCII))


async def test_tokens_end_with_the_version_of_the_key_that_made_them(kit):
    made = await kit.update("keys", name="a")
    key = made["id"]
    assert (await login(kit, made["api_key"])).below == f"{key}/v1"
    await kit.update(f"keys/{key}/rotate", grace_period="1h")
    assert kit.ended == []
    kit.clock.advance(3601)
    await kit.wake_due()
    assert kit.ended == [f"login/{key}/v1"]
    await kit.update(f"keys/{key}/rotate", grace_period=0)
    assert kit.ended.pop() == f"login/{key}/v2"
    await kit.update(f"keys/{key}/rotate", grace_period="1h")
    await kit.update(f"keys/{key}/retire")
    assert kit.ended.pop() == f"login/{key}/v3"
    await kit.update(f"keys/{key}/revoke")
    assert kit.ended.pop() == f"login/{key}"
    await kit.delete(f"keys/{key}")
    assert kit.ended.pop() == f"login/{key}"


async def test_tokens_end_when_a_key_expires_sooner_than_they_were_told(kit):
    made = await kit.update("keys", name="a")
    await kit.update(f"keys/{made['id']}", expires_in="1m")
    kit.clock.advance(61)
    await kit.wake_due()
    assert kit.ended == [f"login/{made['id']}/v1"]


async def test_a_key_whose_entry_is_damaged_is_deleted_with_its_tokens(kit):
    made = await kit.update("keys", name="spoilt")
    kit.store.damaged.add(f"key/{made['id']}")
    with pytest.raises(Tampered):
        await kit.read(f"keys/{made['id']}")
    await kit.delete(f"keys/{made['id']}")
    assert kit.ended == [f"login/{made['id']}"]
    assert (await kit.list("keys"))["keys"] == []
