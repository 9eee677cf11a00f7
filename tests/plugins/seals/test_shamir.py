import os

import pytest
from broker_plugins.seals import shamir
from broker_plugins.seals.shamir.seal import ShamirSeal

from broker.plugin.errors import Tampered, WrongSetting
from broker.plugin.seal import SealKind
from broker.plugin.secret import Secret
from broker.plugin.testing.seal import ROOT_KEY, SealContract

KEY = Secret(b"k" * 32)


class TestShamir(SealContract):
    @pytest.fixture
    def seal(self):
        return ShamirSeal()

    @pytest.fixture
    def key(self):
        return KEY


def test_it_is_offered_under_its_name():
    [offered] = shamir.register_seals()
    assert offered.name == "shamir"
    assert offered.build({}).kind is SealKind.SHARES


def test_a_setting_it_does_not_know_is_named():
    with pytest.raises(WrongSetting, match="no setting 'kms_key_id'"):
        ShamirSeal.build({"kms_key_id": "x"})


async def test_what_it_wrapped_opens_under_the_same_key_only():
    seal = ShamirSeal()
    wrapped = await seal.wrap(ROOT_KEY, KEY)
    with pytest.raises(Tampered):
        await seal.unwrap(wrapped, Secret(os.urandom(32)))


async def test_it_does_nothing_without_the_shares_key():
    with pytest.raises(TypeError):
        await ShamirSeal().wrap(ROOT_KEY, None)
    with pytest.raises(TypeError):
        await ShamirSeal().unwrap(b"x" * 61, None)
