import os

import pytest
from broker_plugins.seals import shamir
from broker_plugins.seals.shamir.seal import ShamirSeal

from broker.plugin.errors import ConfigError, Tampered
from broker.plugin.seal import SealKind
from broker.plugin.secret import Secret

ROOT_KEY = Secret(b"r" * 32)
KEY = Secret(b"k" * 32)


def test_it_is_offered_under_its_name():
    [offered] = shamir.register_seals()
    assert offered.name == "shamir"
    assert offered.build({}).kind is SealKind.SHARES


def test_a_setting_it_does_not_know_is_named():
    with pytest.raises(ConfigError, match="no setting 'kms_key_id'"):
        ShamirSeal.build({"kms_key_id": "x"})


async def test_what_it_wrapped_opens_under_the_same_key_only():
    seal = ShamirSeal()
    wrapped = await seal.wrap(ROOT_KEY, KEY)
    assert (await seal.unwrap(wrapped, KEY)).reveal() == ROOT_KEY.reveal()
    with pytest.raises(Tampered):
        await seal.unwrap(wrapped, Secret(os.urandom(32)))


async def test_wrapping_twice_never_gives_the_same_bytes():
    seal = ShamirSeal()
    assert len({await seal.wrap(ROOT_KEY, KEY) for _ in range(20)}) == 20


async def test_every_flipped_bit_and_every_cut_is_noticed():
    seal = ShamirSeal()
    wrapped = await seal.wrap(ROOT_KEY, KEY)
    bent = [
        bytes(b ^ (1 << bit % 8 if i == bit // 8 else 0) for i, b in enumerate(wrapped))
        for bit in range(len(wrapped) * 8)
    ]
    for altered in [*bent, *(wrapped[:n] for n in range(len(wrapped)))]:
        with pytest.raises(Tampered):
            await seal.unwrap(altered, KEY)


async def test_it_does_nothing_without_the_shares_key():
    with pytest.raises(TypeError):
        await ShamirSeal().wrap(ROOT_KEY, None)
    with pytest.raises(TypeError):
        await ShamirSeal().unwrap(b"x" * 61, None)
