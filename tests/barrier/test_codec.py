import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.barrier.budget import STEP, EncryptionBudget
from broker.barrier.codec import TenantCodec, derive, new_tenant_secret, root_codec
from broker.barrier.envelope import OVERHEAD_BYTES, UnknownTerm
from broker.barrier.keyring import Keyring, utc_now
from broker.plugin.errors import Sealed, Tampered
from broker.plugin.secret import Secret

SECRET = Secret(bytes(range(32)))


class Holder:
    """The keyring in force, swapped as a worker does on rotation."""

    def __init__(self) -> None:
        self.keyring: Keyring | None = Keyring.create(utc_now(), os.urandom)

    def __call__(self) -> Keyring | None:
        return self.keyring

    def rotate(self) -> None:
        assert self.keyring is not None
        self.keyring = self.keyring.add_term(utc_now(), os.urandom)


@pytest.fixture
def holder() -> Holder:
    return Holder()


@pytest.fixture
def codec(holder: Holder) -> TenantCodec:
    return TenantCodec(holder, "root", SECRET)


@settings(max_examples=60, deadline=None)
@given(path=st.text(max_size=60), plaintext=st.binary(max_size=300))
def test_what_was_sealed_opens_again(path: str, plaintext: bytes):
    try:
        path.encode()
    except UnicodeEncodeError:
        return
    codec = TenantCodec(Holder(), "root", SECRET)
    sealed = codec.seal(path, plaintext)
    assert codec.open(path, sealed) == plaintext
    assert len(sealed) == len(plaintext) + OVERHEAD_BYTES


def test_the_same_entry_never_seals_to_the_same_bytes(codec):
    assert len({codec.seal("a", b"same") for _ in range(100)}) == 100


def test_every_flipped_bit_of_an_entry_is_noticed(codec):
    sealed = codec.seal("data/db", b"hunter2")
    for bit in range(len(sealed) * 8):
        bent = bytearray(sealed)
        bent[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Tampered, match="data/db"):
            codec.open("data/db", bytes(bent))


def test_every_shortened_entry_is_noticed(codec):
    sealed = codec.seal("data/db", b"hunter2")
    for length in range(len(sealed)):
        with pytest.raises(Tampered, match="data/db"):
            codec.open("data/db", sealed[:length])


def test_an_entry_moved_to_another_path_does_not_open(codec):
    sealed = codec.seal("policy/default", b"x")
    for path in ("policy/admin", "policy/defaul", "policy/default ", "", "olicy/default"):
        with pytest.raises(Tampered):
            codec.open(path, sealed)


def test_an_entry_of_one_tenant_does_not_open_for_another(holder):
    one, other = (TenantCodec(holder, name, new_tenant_secret()) for name in ("one", "other"))
    with pytest.raises(Tampered):
        other.open("a", one.seal("a", b"x"))


def test_tenant_and_path_cannot_trade_letters(holder):
    """Even under one secret: ``("ab", "c")`` and ``("a", "bc")`` are different places."""
    with pytest.raises(Tampered):
        TenantCodec(holder, "a", SECRET).open("bc", TenantCodec(holder, "ab", SECRET).seal("c", b"x"))


def test_an_entry_relabelled_with_another_term_does_not_open(holder, codec):
    sealed = codec.seal("a", b"x")
    holder.rotate()
    with pytest.raises(Tampered):
        codec.open("a", sealed[:1] + (2).to_bytes(4, "big") + sealed[5:])


def test_the_error_names_the_path_and_no_data(codec):
    sealed = codec.seal("data/db", b"hunter2")
    with pytest.raises(Tampered) as caught:
        codec.open("data/other", sealed)
    assert "data/other" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_rotation_reaches_a_codec_in_use_and_old_entries_still_open(holder, codec):
    old = codec.seal("a", b"old")
    holder.rotate()
    new = codec.seal("a", b"new")
    assert (codec.term_of(old), codec.term_of(new)) == (1, 2)
    assert (codec.open("a", old), codec.open("a", new)) == (b"old", b"new")
    assert codec.is_stale(old)
    assert not codec.is_stale(new)


def test_an_entry_of_a_newer_keyring_asks_for_a_reload(holder, codec):
    behind = TenantCodec(Holder(), "root", SECRET)
    behind_holder_keyring = holder.keyring
    behind = TenantCodec(lambda: behind_holder_keyring, "root", SECRET)
    holder.rotate()
    with pytest.raises(UnknownTerm) as caught:
        behind.open("a", codec.seal("a", b"x"))
    assert caught.value.term == 2


def test_a_sealed_node_opens_nothing_even_with_keys_already_derived(holder, codec):
    sealed = codec.seal("a", b"x")
    keyring, holder.keyring = holder.keyring, None
    with pytest.raises(Sealed):
        codec.open("a", sealed)
    with pytest.raises(Sealed):
        codec.seal("a", b"x")
    with pytest.raises(Sealed):
        codec.is_stale(sealed)
    holder.keyring = keyring
    assert codec.open("a", sealed) == b"x"


def test_a_codec_given_a_wholly_other_keyring_uses_none_of_its_old_keys(holder, codec):
    sealed = codec.seal("a", b"x")
    holder.keyring = Keyring.create(utc_now(), os.urandom)
    with pytest.raises(Tampered):
        codec.open("a", sealed)


def test_destroying_a_tenants_secret_destroys_its_entries(holder):
    sealed = TenantCodec(holder, "t", new_tenant_secret()).seal("a", b"x")
    with pytest.raises(Tampered):
        TenantCodec(holder, "t", new_tenant_secret()).open("a", sealed)


def test_the_root_tenant_finds_its_secret_in_the_keyring(holder):
    sealed = root_codec(holder).seal("a", b"x")
    holder.rotate()
    assert root_codec(holder).open("a", sealed) == b"x"
    holder.keyring = None
    with pytest.raises(Sealed):
        root_codec(holder)


def test_data_keys_differ_by_term_key_secret_tenant_and_term():
    base = (b"k" * 32, b"s" * 32, "t", 1)
    variants = [
        base,
        (b"K" * 32, *base[1:]),
        (base[0], b"S" * 32, "t", 1),
        (*base[:2], "u", 1),
        (*base[:3], 2),
    ]
    assert len({derive(*variant) for variant in variants}) == len(variants)


def test_the_derivation_never_changes():
    """Stored entries depend on it: HKDF-SHA256 computed apart, by its definition (RFC 5869)."""
    import hashlib
    import hmac

    prk = hmac.new(b"s" * 32, b"k" * 32, hashlib.sha256).digest()
    info = b"broker tenant t\x00\x00\x00\x07"
    assert derive(b"k" * 32, b"s" * 32, "t", 7) == hmac.new(prk, info + b"\x01", hashlib.sha256).digest()


def test_threads_may_share_a_codec_while_the_keyring_rotates(holder, codec):
    failures: list[Exception] = []

    def work() -> None:
        try:
            for i in range(300):
                assert codec.open("a", codec.seal("a", b"%d" % i)) == b"%d" % i
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        holder.rotate()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_budget_asks_in_time_and_reserves_ahead(holder):
    budget = EncryptionBudget()
    keyring = holder.keyring
    assert budget.wanted(keyring) == STEP
    budget.granted(keyring.active, STEP)
    assert budget.wanted(keyring) == 0
    codec = TenantCodec(holder, "root", SECRET, budget)
    codec.seal("a", b"")
    assert budget.wanted(keyring) == 0
    for _ in range(STEP // 2):
        budget.spend()
    assert budget.wanted(keyring) == STEP // 2 + 1


def test_a_reservation_does_not_carry_over_to_a_new_term_but_an_overdraft_does(holder):
    budget = EncryptionBudget()
    budget.granted(1, STEP)
    holder.rotate()
    assert budget.wanted(holder.keyring) == STEP
    budget.granted(2, STEP)
    for _ in range(STEP + 10):
        budget.spend()
    assert budget.wanted(holder.keyring) == STEP + 10
