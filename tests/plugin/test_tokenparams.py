"""The parameters that all auth methods share: kept where nothing is said of them, checked, shown by the names they came by."""

import ipaddress
from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.plugin import InvalidRequest, PermissionDenied, TokenParams, TokenSettings
from broker.plugin.fields import binder
from broker.plugin.tokenparams import OldBoundCidrs, OldPolicies, OldTtl, cidrs, within


@dataclass(frozen=True, slots=True, kw_only=True)
class Write(TokenParams):
    policies: OldPolicies = None
    ttl: OldTtl = None
    bound_cidrs: OldBoundCidrs = None


BIND = binder(Write)


def changed(settings, **body):
    return settings.changed(BIND({}, body))


def test_what_is_not_given_stays():
    first = changed(TokenSettings(), token_policies=["a"], token_ttl="1h", token_type="batch")
    assert changed(first) == first
    second = changed(first, token_ttl=0, token_policies=[])
    assert (second.ttl, second.policies, second.type) == (0, (), "batch")


def test_a_value_is_shown_by_its_old_name_as_long_as_that_was_used_last():
    first = changed(TokenSettings(), policies="b,a", ttl="1h")
    shown = first.shown()
    assert (shown["policies"], shown["token_policies"], shown["ttl"]) == (["a", "b"], ["a", "b"], 3600)
    second = changed(first, token_policies="c")
    assert "policies" not in second.shown()
    assert second.shown()["ttl"] == 3600
    assert changed(second, policies="x", token_policies="d").shown()["policies"] == ["d"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"token_ttl": "2h", "token_max_ttl": "1h"}, "'token_ttl' cannot be greater than 'token_max_ttl'"),
        ({"token_num_uses": -1}, "'token_num_uses' cannot be negative"),
        ({"token_type": "batch", "token_period": "1h"}, "periodic tokens"),
        ({"token_type": "batch", "token_num_uses": 1}, "limited use count"),
        ({"token_type": "default-batch"}, "invalid 'token_type' value"),
        ({"token_policies": "root"}, "root is reserved"),
        ({"token_bound_cidrs": "10.0.0.0/33"}, "error parsing address"),
        ({"token_bound_cidrs": "fe80::1%eth0"}, "error parsing address"),
        ({"token_bound_cidrs": ["x"] * 2000}, "at most 1024"),
        ({"token_ttl": "-1s"}, "at least 0"),
    ],
)
def test_what_cannot_hold_is_refused(body, words):
    with pytest.raises(InvalidRequest, match=words):
        changed(TokenSettings(), **body)


def test_a_login_carries_everything():
    auth = changed(
        TokenSettings(), token_policies="a", token_ttl=5, token_num_uses=2, token_bound_cidrs="10.0.0.1/32"
    ).auth(alias="ann", policies=("group",))
    assert (auth.policies, auth.ttl, auth.num_uses) == (("a", "group"), timedelta(seconds=5), 2)
    assert (auth.alias, auth.bound_cidrs) == ("ann", ("10.0.0.1",))


def test_networks_are_spelt_as_the_field_spells_them():
    given_ = ["127.0.0.1/32", "10.0.0.5/8", "::1/128", "2001:DB8::1/64", "192.0.2.1"]
    assert cidrs(given_) == ("127.0.0.1", "10.0.0.5/8", "::1", "2001:db8::1/64", "192.0.2.1")


@pytest.mark.parametrize("address", ["", "nonsense", "10.0.0.1:80", "10.0.0.256", "@", "/run/socket"])
def test_what_is_no_address_is_in_no_network(address):
    assert not within(address, ["0.0.0.0/0", "::/0"])
    with pytest.raises(PermissionDenied):
        TokenSettings(bound_cidrs=("0.0.0.0/0",)).check_source(address)


def test_without_networks_any_source_is_good():
    TokenSettings().check_source("")


@settings(max_examples=100)
@given(st.integers(0, 2**32 - 1), st.integers(0, 32), st.integers(0, 2**32 - 1))
def test_being_within_is_having_the_same_first_bits(network, prefix, address):
    text = f"{ipaddress.IPv4Address(network)}/{prefix}"
    same = network >> (32 - prefix) == address >> (32 - prefix)
    plain = str(ipaddress.IPv4Address(address))
    for form in (plain, f"::ffff:{plain}"):
        assert within(form, cidrs([text])) is same
