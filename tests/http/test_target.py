"""One path, one reading: what the policy judges, the router finds and the storage keeps is the same text."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.http.target import MAX_TARGET, parse_namespace, parse_path, parse_query
from broker.plugin.errors import InvalidRequest, NotFound

NAMES = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="/"), min_size=1, max_size=12
).filter(lambda name: name not in (".", ".."))


@settings(max_examples=100, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=5), st.sampled_from(["", "/"]))
def test_a_path_comes_back_as_it_was_meant(names, tail):
    path = "/".join(names) + tail
    assert parse_path(b"/v1/" + quote(path).encode()) == path
    assert parse_path(b"/v1/" + quote(path, safe="").encode()) == path


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=40))
def test_any_bytes_are_a_clean_path_or_a_refusal(raw):
    try:
        path = parse_path(b"/v1/" + raw)
    except InvalidRequest:
        return
    segments = path.removesuffix("/").split("/") if path else []
    assert not {".", ".."} & set(segments)
    assert "//" not in path
    assert not path.startswith("/")
    assert not any(ord(mark) < 32 or 127 <= ord(mark) < 160 for mark in path)


@pytest.mark.parametrize(
    "raw",
    [
        b"a/../b",
        b"a/./b",
        b"../a",
        b"..",
        b".",
        b"a/..",
        b"a/.",
        b"a/../",
        b"a/%2e%2e/b",
        b"a/%2E./b",
        b"a/.%2e/b",
        b"a/%2e/b",
        b"a/..%2fb",
        b"a%2f..%2fb",
        b"a/%2e%2e%2fvictim",
        b"%2e%2e/%2e%2e/etc",
    ],
)
def test_dot_segments_are_refused_however_they_are_written(raw):
    with pytest.raises(InvalidRequest, match="relative paths not supported"):
        parse_path(b"/v1/secret/data/mine/" + raw)


@pytest.mark.parametrize("name", ["a..b", "...", "..a", "a..", ".a", "a.", "....", "a.b.c"])
def test_dots_within_a_name_are_a_name(name):
    assert parse_path(b"/v1/secret/" + name.encode()) == "secret/" + name


def test_an_encoded_slash_is_a_slash():
    assert parse_path(b"/v1/secret%2fdata%2Fdeny%2fx") == parse_path(b"/v1/secret/data/deny/x")


def test_nothing_is_decoded_twice():
    assert parse_path(b"/v1/a%252fb") == "a%2fb"
    assert parse_path(b"/v1/a/%252e%252e/b") == "a/%2e%2e/b"


@pytest.mark.parametrize(
    "raw",
    [
        b"a%ff",
        b"a%fe",
        b"%c0%ae%c0%ae",
        b"%ed%a0%80",
        b"a%00b",
        b"a%0ab",
        b"a%7f",
        b"a%c2%85b",
        b"a%",
        b"a%2",
        b"a%zz",
        b"a#b",
        b"a\xff",
    ],
)
def test_bytes_that_are_no_path_are_refused(raw):
    with pytest.raises(InvalidRequest):
        parse_path(b"/v1/" + raw)


@pytest.mark.parametrize("raw", [b"a//b", b"/a", b"a/%2fb", b"%2fa", b"//"])
def test_empty_segments_are_refused(raw):
    with pytest.raises(InvalidRequest):
        parse_path(b"/v1/" + raw)


@pytest.mark.parametrize("raw", [b"a/", b"a//", b"a///", b"a%2f"])
def test_several_slashes_at_the_end_are_one(raw):
    assert parse_path(b"/v1/" + raw) == "a/"


@pytest.mark.parametrize("raw", [b"/v1", b"/V1/a", b"/v2/a", b"/", b"", b"/ui/", b"v1/a"])
def test_outside_the_api_there_is_nothing(raw):
    with pytest.raises(NotFound):
        parse_path(raw)


def test_a_path_has_an_end():
    with pytest.raises(InvalidRequest, match=str(MAX_TARGET)):
        parse_path(b"/v1/" + b"a" * MAX_TARGET)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", ""),
        ("/", ""),
        ("root", ""),
        ("a", "a/"),
        ("/a/b/", "a/b/"),
        ("a/b", "a/b/"),
        ("//a///b//", "a/b/"),
    ],
)
def test_a_namespace_has_one_spelling(text, path):
    assert parse_namespace(text) == path


@pytest.mark.parametrize("text", ["..", "a/../b", "a/./b", "a//../b", "a\x00", "a\nb"])
def test_a_namespace_has_no_way_around(text):
    with pytest.raises(InvalidRequest):
        parse_namespace(text)


def test_a_field_given_several_times_is_a_list():
    assert parse_query(b"a=1&b=&a=2&a=%C3%A9") == {"a": ["1", "2", "é"], "b": ""}


@pytest.mark.parametrize("raw", [b"a=%ff", b"a=\xff", b"&".join(b"k%d=1" % number for number in range(101))])
def test_a_query_that_is_none_is_refused(raw):
    with pytest.raises(InvalidRequest):
        parse_query(raw)
