import os
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.barrier.keyring import MAX_OPERATIONS, MIN_OPERATIONS, Keyring, RotateConfig
from broker.plugin.errors import ConfigError, InvalidRequest, Tampered

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ROOT_KEY = b"r" * 32


@pytest.fixture
def keyring() -> Keyring:
    return Keyring.create(NOW, os.urandom)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["rotate", "reserve", "configure"]), max_size=8))
def test_a_keyring_survives_wrapping_whatever_was_done_to_it(steps: list[str]):
    keyring = Keyring.create(NOW, os.urandom)
    for step in steps:
        match step:
            case "rotate":
                keyring = keyring.add_term(NOW, os.urandom)
            case "reserve":
                keyring = keyring.reserve(1000)
            case "configure":
                keyring = keyring.with_rotation(RotateConfig(interval_seconds=0))
    assert Keyring.unwrap(ROOT_KEY, keyring.wrap(ROOT_KEY)) == keyring


def test_a_new_term_encrypts_and_every_old_key_stays(keyring):
    rotated = keyring.add_term(NOW, os.urandom).add_term(NOW, os.urandom)
    assert (keyring.active, rotated.active) == (1, 3)
    assert rotated.key(1) == keyring.key(1)
    assert len({rotated.key(term) for term in (1, 2, 3)}) == 3
    assert rotated.key(0) is rotated.key(4) is rotated.key(-1) is None


def test_another_root_key_does_not_open_it(keyring):
    with pytest.raises(Tampered, match="core/keyring"):
        Keyring.unwrap(b"x" * 32, keyring.wrap(ROOT_KEY))


def test_every_flipped_bit_of_a_wrapped_keyring_is_noticed(keyring):
    wrapped = keyring.wrap(ROOT_KEY)
    for bit in range(0, len(wrapped) * 8, 7):
        bent = bytearray(wrapped)
        bent[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Tampered):
            Keyring.unwrap(ROOT_KEY, bytes(bent))


def test_neither_repr_nor_error_shows_a_key(keyring):
    key = keyring.key(1)
    assert key is not None
    for shown in (repr(keyring), str(keyring), repr(keyring.terms), repr(keyring.info())):
        assert repr(key)[2:-1] not in shown
        assert key.hex() not in shown


def test_a_newer_format_is_a_clear_error(keyring):
    with pytest.raises(ConfigError, match="format 2"):
        Keyring.decode(keyring.encode().replace(b'"v":1', b'"v":2', 1))


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"\xff", b'{"v":1}', b'{"v":1,"terms":[],"root_secret":""}']
)
def test_anything_else_is_malformed(data):
    with pytest.raises(Tampered, match="malformed"):
        Keyring.decode(data)


def test_a_gap_in_the_terms_is_malformed(keyring):
    rotated = keyring.add_term(NOW, os.urandom)
    with pytest.raises(Tampered, match="malformed"):
        Keyring.decode(rotated.encode().replace(b'"term":2', b'"term":3'))


def test_it_is_due_after_90_days_and_not_before(keyring):
    assert keyring.due(NOW + timedelta(days=90) - timedelta(seconds=1)) is None
    assert keyring.due(NOW + timedelta(days=90)) == "interval"
    assert keyring.add_term(NOW + timedelta(days=90), os.urandom).due(NOW + timedelta(days=90)) is None


def test_it_is_due_long_before_the_limit_of_the_cipher(keyring):
    assert keyring.reserve(2**31 - 1).due(NOW) is None
    assert keyring.reserve(2**31).due(NOW) == "operations"
    assert keyring.reserve(2**31).add_term(NOW, os.urandom).due(NOW) is None


def test_switching_rotation_off_does_not_lift_the_limit_of_the_cipher(keyring):
    off = keyring.with_rotation(RotateConfig(enabled=False))
    assert off.due(NOW + timedelta(days=1000)) is None
    assert off.reserve(2**31).due(NOW) is None
    assert off.reserve(MAX_OPERATIONS).due(NOW) == "operations"


def test_interval_zero_means_never_by_age(keyring):
    assert keyring.with_rotation(RotateConfig(interval_seconds=0)).due(NOW + timedelta(days=9999)) is None


@pytest.mark.parametrize("count", [0, 5, MIN_OPERATIONS - 1, MAX_OPERATIONS + 1])
def test_operations_out_of_range_are_refused(keyring, count):
    with pytest.raises(InvalidRequest, match=r"max_operations must be in the range \[1000000,3865470566\]"):
        keyring.with_rotation(RotateConfig(max_operations=count))


@pytest.mark.parametrize("seconds", [-1, 1, 86399])
def test_an_interval_below_a_day_is_refused(keyring, seconds):
    with pytest.raises(InvalidRequest, match="interval must be greater or equal to 24h0m0s"):
        keyring.with_rotation(RotateConfig(interval_seconds=seconds))


def test_key_status_counts_reservations(keyring):
    info = keyring.reserve(10).reserve(5).info()
    assert (info.term, info.install_time, info.encryptions) == (1, NOW, 15)
