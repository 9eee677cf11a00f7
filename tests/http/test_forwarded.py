"""Whom a request counts as coming from: the socket's peer decides whether a header is believed, and nobody else."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.http.forwarded import ForwardedFor, parse_address, parse_network
from broker.plugin.errors import InvalidRequest

PROXY, STRANGER = "10.0.0.1", "192.0.2.9"


def rule(*networks, **options):
    return ForwardedFor(networks or ("10.0.0.0/8",), **options)


@pytest.mark.parametrize(
    ("values", "client"),
    [
        (["203.0.113.7"], "203.0.113.7"),
        (["1.1.1.1, 203.0.113.7"], "203.0.113.7"),
        (["1.1.1.1", "203.0.113.7"], "203.0.113.7"),
        (["1.1.1.1,2.2.2.2", "3.3.3.3 ,\t203.0.113.7 "], "203.0.113.7"),
        (["203.0.113.7:4711"], "203.0.113.7"),
        (["2001:db8::1"], "2001:db8::1"),
        (["2001:DB8:0::1"], "2001:db8::1"),
        (["[2001:db8::1]"], "2001:db8::1"),
        (["[2001:db8::1]:443"], "2001:db8::1"),
        (["::ffff:203.0.113.7"], "203.0.113.7"),
        (["[::ffff:203.0.113.7]:80"], "203.0.113.7"),
        (["unknown, <script>, 203.0.113.7"], "203.0.113.7"),
    ],
)
def test_the_last_address_counts(values, client):
    assert rule().client(PROXY, values) == client


@pytest.mark.parametrize("skips", range(4))
def test_known_hops_are_skipped_from_the_rear(skips):
    chain = ["1.2.3.4, 2.3.4.5", "3.4.5.6, 4.5.6.7"]
    expected = ("4.5.6.7", "3.4.5.6", "2.3.4.5", "1.2.3.4")[skips]
    assert rule(hop_skips=skips).client(PROXY, chain) == expected


@pytest.mark.parametrize("skips", [2, 3, 50])
def test_skipping_past_the_first_address_is_refused(skips):
    with pytest.raises(InvalidRequest, match="would skip before earliest"):
        rule(hop_skips=skips).client(PROXY, ["1.2.3.4, 2.3.4.5"])


NO_ADDRESSES = """
    unknown _hidden 1.2.3 1.2.3.4.5 01.2.3.4 1.2.3.256 1.2.3.4: 1.2.3.4:123456 fe80::1%eth0 [::1 ::1] [1.2.3.4]:80
    1.2.3.4; 10.0.0.0/8 \u0661.2.3.4 localhost 0x7f.1 2130706433 1.2.3.4\x00 "1.2.3.4" for=1.2.3.4
"""


@pytest.mark.parametrize("hop", ["", " ", "1.2.3.4 5.6.7.8", *NO_ADDRESSES.split()])
def test_what_is_no_address_is_refused_where_it_counts(hop):
    with pytest.raises(InvalidRequest, match="expected IP addresses"):
        rule().client(PROXY, [f"203.0.113.7, {hop}"])
    with pytest.raises(InvalidRequest, match="expected IP addresses"):
        rule(hop_skips=1).client(PROXY, [f"203.0.113.7, {hop}"])


@pytest.mark.parametrize("peer", [STRANGER, "", "/run/broker.sock", "@", "11.0.0.1", "2001:db8::a00:1"])
def test_others_are_refused_or_disregarded(peer):
    with pytest.raises(InvalidRequest, match="not authorized for x-forwarded-for"):
        rule().client(peer, ["203.0.113.7"])
    assert rule(reject_not_authorized=False).client(peer, ["203.0.113.7"]) is None
    assert rule(reject_not_authorized=False).client(peer, ["garbage"]) is None


@pytest.mark.parametrize("peer", [PROXY, STRANGER])
def test_a_missing_header_is_refused_or_means_the_peer(peer):
    with pytest.raises(InvalidRequest, match="missing x-forwarded-for"):
        rule().client(peer, [])
    assert rule(reject_not_present=False).client(peer, []) is None


@pytest.mark.parametrize(
    ("network", "peer"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("10.0.0.1", "::ffff:10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.0/104", "10.200.0.1"),
        ("10.1.2.3/8", "10.9.9.9"),
        ("2001:db8::/32", "2001:db8::5"),
        ("fe80::/10", "fe80::1%eth0"),
    ],
)
def test_both_spellings_of_an_address_are_the_same_proxy(network, peer):
    assert rule(network).trusts(peer)


def test_an_ipv4_rule_does_not_let_in_all_of_ipv6():
    assert not rule("0.0.0.0/0").trusts("2001:db8::1")
    assert not rule("::ffff:0:0/96").trusts("2001:db8::1")


@pytest.mark.parametrize("text", ["", "proxy", "10.0.0.0/33", "10.0.0.0-10.0.0.9", "*"])
def test_networks_that_mean_nothing_are_refused(text):
    with pytest.raises(ValueError, match=r"does not appear|Expected|expected|address"):
        parse_network(text)


addresses = st.ip_addresses().map(str)


@settings(max_examples=100, deadline=None)
@given(chain=st.lists(addresses, min_size=1, max_size=50), skips=st.integers(0, 60))
def test_of_up_to_fifty_hops_the_right_one_counts(chain, skips):
    forwarded = rule(hop_skips=skips)
    if skips >= len(chain):
        with pytest.raises(InvalidRequest):
            forwarded.client(PROXY, [",".join(chain)])
    else:
        expected = ip_address(chain[-1 - skips])
        mapped = getattr(expected, "ipv4_mapped", None)
        assert forwarded.client(PROXY, [",".join(chain)]) == str(mapped or expected)


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=60))
def test_whatever_comes_is_an_address_or_refused(text):
    try:
        client = rule().client(PROXY, [text])
    except InvalidRequest:
        return
    assert client is not None
    assert parse_address(client) == ip_address(client)
