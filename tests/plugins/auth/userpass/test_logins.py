"""Logins: the right password gets in, and every failure looks alike, costs alike and is counted alike."""

from datetime import timedelta

import bcrypt
import pytest
from broker_plugins.auth.userpass import hashing
from broker_plugins.auth.userpass.hashing import Cost
from broker_plugins.auth.userpass.method import UserpassMethod
from broker_plugins.auth.userpass.records import KINDS, USER, KindsRecord, UserRecord

from broker.plugin import BrokerError, InvalidRequest, Login, PermissionDenied, Secret, Unavailable, Verb
from broker.plugin.testing.engine import EngineHarness
from broker.plugin.testing.memory import MemoryView
from tests.plugins.auth.userpass.conftest import CHEAP


async def stored(kit, path, kind):
    return await MemoryView(kit.store.transaction()).load(path, kind)


async def test_a_login_gets_what_its_user_may(kit, lockout):
    await kit.create("users/ann", password="p", token_policies=["a"], token_ttl="1h", token_num_uses=3)
    auth = await kit.update("login/ANN", password="p")
    assert (auth.policies, auth.ttl, auth.num_uses) == (("a",), timedelta(hours=1), 3)
    assert (auth.alias, auth.display_name, auth.metadata) == ("ann", "ann", {"username": "ann"})
    assert (lockout.successes, lockout.failures) == ([("ann", "")], [])


async def refusal(kit, name, password):
    with pytest.raises(BrokerError) as raised:
        await kit.update(f"login/{name}", password=password)
    return type(raised.value), str(raised.value)


async def test_every_failure_reads_the_same_and_is_counted(kit, lockout):
    await kit.create("users/ann", password="p")
    names = ["ann", "ANN", "nobody", "-x", "\u212aelvin", "änn", "x" * 500]
    answers = {await refusal(kit, name, "wrong") for name in names}
    assert answers == {(InvalidRequest, "invalid username or password")}
    assert [name for name, _ in lockout.failures] == ["ann", "ann", *names[2:]]
    assert lockout.real == {"ann"}  # the others' counts are bounded


async def test_a_name_that_is_locked_out_is_refused_before_any_work(kit, lockout):
    await kit.create("users/ann", password="p")
    lockout.closed = {"ann", "nobody"}
    for name in ("ann", "nobody"):
        assert await refusal(kit, name, "p") == (PermissionDenied, "permission denied")
    assert lockout.failures == []


async def test_a_letter_that_folds_to_ascii_is_not_that_letter(kit):
    await kit.create("users/kelvin", password="p")
    assert await refusal(kit, "\u212aelvin", "p") == (InvalidRequest, "invalid username or password")


@pytest.mark.parametrize("password", [None, ""])
async def test_a_login_without_a_password_is_no_failure(kit, lockout, password):
    with pytest.raises(InvalidRequest, match="missing password"):
        await kit.update("login/ann", password=password)
    assert lockout.failures == []


async def test_networks_are_asked_about_only_with_the_right_password(kit):
    await kit.create("users/ann", password="p", token_bound_cidrs="10.0.0.0/8")
    assert (await refusal(kit, "ann", "wrong"))[0] is InvalidRequest
    assert (await refusal(kit, "ann", "p"))[0] is PermissionDenied


async def test_an_unknown_name_is_checked_against_a_hash_like_a_users(kit, monkeypatch):
    await kit.create("users/ann", password="p")
    checked = []

    def watched(stored, password):
        checked.append(hashing.kind_of(stored))
        return False

    monkeypatch.setattr("broker_plugins.auth.userpass.method.fits", watched)
    await refusal(kit, "ann", "x")
    await refusal(kit, "nobody", "x")
    assert checked == [CHEAP.kind, CHEAP.kind]


async def test_unknown_names_keep_to_the_costs_in_use_when_the_cost_changes(kit, lockout, monkeypatch):
    await kit.create("users/ann", password="p")
    await kit.create("users/old", password_hash=bcrypt.hashpw(b"p", bcrypt.gensalt(4)).decode())
    dearer = EngineHarness(UserpassMethod, services={"lockout": lockout, "cost": Cost(128, 2)})
    dearer.store = kit.store
    kinds = set()

    def watched(stored, password):
        kinds.add(hashing.kind_of(stored))
        return False

    monkeypatch.setattr("broker_plugins.auth.userpass.method.fits", watched)
    for number in range(40):
        await refusal(dearer, f"nobody{number}", "x")
    assert kinds == {CHEAP.kind, "bcrypt 4"}


async def test_a_hash_of_another_cost_is_made_anew_at_the_next_login(kit, lockout):
    await kit.create("users/ann", password="p")
    dearer = EngineHarness(UserpassMethod, services={"lockout": lockout, "cost": Cost(128, 2)})
    dearer.store = kit.store
    before = (await stored(kit, USER + "ann", UserRecord)).hash
    await refusal(dearer, "ann", "wrong")
    assert (await stored(kit, USER + "ann", UserRecord)).hash == before
    await dearer.update("login/ann", password="p")
    after = (await stored(kit, USER + "ann", UserRecord)).hash
    assert hashing.kind_of(after) == Cost(128, 2).kind
    assert Cost(128, 2).kind in (await stored(kit, KINDS, KindsRecord)).kinds
    await dearer.update("login/ann", password="p")
    assert (await stored(kit, USER + "ann", UserRecord)).hash == after


async def test_a_bcrypt_hash_becomes_an_argon2_hash_at_the_first_login(kit):
    await kit.create("users/ann", password_hash=bcrypt.hashpw(b"p", bcrypt.gensalt(4)).decode(), policies="a")
    await refusal(kit, "ann", "wrong")
    await kit.update("login/ann", password="p")
    user = await stored(kit, USER + "ann", UserRecord)
    assert user.hash.startswith("$argon2id$")
    assert user.tokens.policies == ("a",)
    await kit.update("login/ann", password="p")


async def test_a_login_turned_away_at_the_door_tells_to_try_again(kit, monkeypatch):
    await kit.create("users/ann", password="p")
    monkeypatch.setattr(hashing, "MAX_WAITING", 0)
    assert (await refusal(kit, "ann", "p"))[0] is Unavailable


def _login(**more):
    return Login("ann", ("a", "default"), {"username": "ann"}, more)


async def renewed(kit):
    ctx = kit.context(Verb.UPDATE, "", MemoryView(kit.store.transaction()))
    return await kit.engine.renew_login(ctx, _login())


async def test_a_renewal_goes_by_the_users_lifetimes_now(kit):
    await kit.create("users/ann", password="p", token_policies=["a"])
    await kit.update("users/ann", token_ttl="30m")
    assert (await renewed(kit)).ttl == timedelta(minutes=30)


async def test_a_renewal_is_refused_once_the_policies_changed_or_the_user_is_gone(kit):
    await kit.create("users/ann", password="p", token_policies=["a", "b"])
    with pytest.raises(InvalidRequest, match="policies have changed"):
        await renewed(kit)
    await kit.delete("users/ann")
    with pytest.raises(PermissionDenied):
        await renewed(kit)


def test_published_hashes_are_read():
    # RFC 9106 names no encoded form; these come from the reference implementation's tests and from John the Ripper's.
    argon = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
    assert hashing.fits(argon, Secret("password"))
    assert not hashing.fits(argon, Secret("passwore"))
    assert hashing.fits("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", Secret("U*U"))
    assert not hashing.fits("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", Secret("U*V"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
        "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
        "$argon2id$v=19$m=256,t=99,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
        "$argon2id$v=19$m=256,t=2,p=255$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
        "$2b$31$" + "C" * 53,
        "$2b$10$" + "C" * 52,
        "$1$abc$def",
        "plain",
    ],
)
def test_hashes_that_cost_too_much_or_are_none_are_refused(text):
    with pytest.raises(InvalidRequest, match="not a valid bcrypt hash"):
        hashing.kind_of(text)


def test_a_dummy_fits_nothing_and_costs_what_its_kind_does():
    for kind in (CHEAP.kind, "bcrypt 4"):
        assert hashing.kind_of(hashing.dummy(kind)) == kind
        assert not hashing.fits(hashing.dummy(kind), Secret("anything"))
