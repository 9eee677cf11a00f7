"""Bodies are read in one way or refused: nothing doubled, lossy, endless, or understood differently elsewhere."""

from __future__ import annotations

import json
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.http.strictjson import MAX_DIGITS, JsonLimits, parse_body
from broker.plugin.errors import InvalidRequest

LIMITS = JsonLimits()


def refused(body: bytes) -> str:
    with pytest.raises(InvalidRequest) as caught:
        parse_body(body, LIMITS)
    return str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_what_json_can_say_comes_back_exactly(value):
    assert parse_body(json.dumps(value).encode(), LIMITS) == value


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_an_object_or_a_refusal(body):
    with suppress(InvalidRequest):
        assert isinstance(parse_body(body, LIMITS), dict)


@pytest.mark.parametrize("body", [b"", b" \n", b"null", b" null "])
def test_no_body_is_an_empty_object(body):
    assert parse_body(body, LIMITS) == {}


@pytest.mark.parametrize(
    "body",
    [
        b"[1]",
        b'"text"',
        b"1",
        b"true",
        b"{",
        b"}",
        b"{}{}",
        b"{} x",
        b"{'a': 1}",
        b'{"a": 01}',
        b'{"a":}',
        b"\xef\xbb\xbf{}",
    ],
    ids=repr,
)
def test_what_is_not_one_object_is_refused(body):
    refused(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 1}}',
        b'{"a": [{"b": 1, "b": 2}]}',
        b'{"a": 1, "\\u0061": 2}',
        '{"é": 1, "\\u00e9": 2}'.encode(),
    ],
    ids=repr,
)
def test_a_key_given_twice_is_refused_however_it_is_written(body):
    assert "given twice" in refused(body)


@pytest.mark.parametrize(
    "number",
    [
        "NaN",
        "Infinity",
        "-Infinity",
        "1e400",
        "-1e400",
        "1.10000000000000000001",
        "0.1234567890123456789012345",
    ],
)
def test_numbers_that_would_not_come_back_are_refused(number):
    refused(f'{{"a": {number}}}'.encode())


@pytest.mark.parametrize("digits", [29, 400, MAX_DIGITS])
def test_integers_come_back_with_every_digit(digits):
    number = int("9" * digits)
    assert parse_body(f'{{"a": {number}}}'.encode(), LIMITS) == {"a": number}


def test_an_integer_of_endless_digits_is_refused():
    assert str(MAX_DIGITS) in refused(b'{"a": ' + b"9" * (MAX_DIGITS + 1) + b"}")


@pytest.mark.parametrize(
    "number", ["0.1", "1e-7", "123456789.123456", "-0.0", "1E5", "1e22", "100000000000000000000.0"]
)
def test_decimals_that_a_double_keeps_are_taken(number):
    assert parse_body(f'{{"a": {number}}}'.encode(), LIMITS) == {"a": float(number)}


@pytest.mark.parametrize("opened", [b"[", b'{"a":'])
@pytest.mark.parametrize("depth", [101, 3000, 90_000])
def test_depth_without_end_is_refused(opened, depth):
    assert "deeper" in refused(b'{"a":' + opened * depth)


def test_braces_inside_text_are_text():
    value = {"a": "[" * 500, "b": '{"\\' * 200}
    assert parse_body(json.dumps(value).encode(), LIMITS) == value


def test_a_hundred_levels_are_enough():
    body = b'{"a":' + b"[" * 99 + b"]" * 99 + b"}"
    assert parse_body(body, LIMITS)
    refused(b'{"a":' + b"[" * 100 + b"]" * 100 + b"}")


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": [' + b"{}," * 200_000 + b"{}]}",
        b"{" + b",".join(b'"k%d":1' % number for number in range(200_000)) + b"}",
        b"[" * 150_000,
    ],
    ids=["objects", "keys", "open"],
)
def test_width_is_refused_before_objects_are_built_from_it(body):
    tracemalloc.start()
    refused(body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < len(body) + 1_000_000


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": "\xff"}',
        b'{"a": "\xc0\xaf"}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"a": "\\ud800"}',
        b'{"\\udfff": 1}',
    ],
    ids=repr,
)
def test_text_that_is_no_unicode_is_refused(body):
    refused(body)


def test_a_pair_of_surrogates_is_one_character():
    assert parse_body(b'{"a": "\\ud83d\\ude00"}', LIMITS) == {"a": "\U0001f600"}


@pytest.mark.parametrize(
    "body", [b'{"password": "hunter2"', b'{"a": "hunter2" x}', b'{"hunter2": 1, "hunter2": 2}']
)
def test_a_refusal_never_repeats_the_body(body):
    assert "hunter2" not in refused(body)
