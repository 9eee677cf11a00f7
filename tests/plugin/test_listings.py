"""Listings of every path are asked for and answered alike."""

from dataclasses import dataclass

import pytest

from broker.plugin import NotFound, Page, listing
from broker.plugin.fields import binder


@pytest.mark.parametrize(
    ("given", "size"), [({}, None), ({"limit": -1}, None), ({"limit": "0"}, None), ({"limit": "2"}, 2)]
)
def test_a_page_is_everything_unless_its_limit_is_positive(given, size):
    assert binder(Page)({}, given).size == size


def test_a_page_of_names_at_hand_is_sorted_and_begins_behind_the_last_one():
    names = {"c", "a", "d", "b"}
    assert Page().of(names) == ["a", "b", "c", "d"]
    assert Page(after="aa", limit=2).of(names) == ["b", "c"]


def test_a_page_of_a_path_with_parameters_derives_from_it():
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Below(Page):
        folder: str

    assert binder(Below)({"folder": "a"}, {"after": "b"}) == Below(folder="a", after="b")


def test_a_listing_names_its_keys_and_what_is_known_of_them():
    assert listing(("a", "b")) == {"keys": ["a", "b"]}
    assert listing({"a": {"id": 1}}) == {"keys": ["a"], "key_info": {"a": {"id": 1}}}


@pytest.mark.parametrize("nothing", [[], {}])
def test_an_empty_listing_is_not_found(nothing):
    with pytest.raises(NotFound):
        listing(nothing)
