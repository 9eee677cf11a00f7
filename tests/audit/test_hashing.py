"""No value survives; equal values stay equal; strings hash as the field's servers hash them."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.audit.hashing import Salt
from broker.plugin.secret import Secret

SALT = Salt("foo")
HASHED = "hmac-sha256:"

scalars = (
    st.text(min_size=3)
    | st.integers(-(2**70), 2**70)
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.binary()
)
documents = st.recursive(
    scalars | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    return [value]


def shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return value is None


def test_a_string_hashes_to_the_published_value_for_its_salt():
    # The vector of the peer's own tests: salt "foo", input "foo".
    expected = "hmac-sha256:08ba357e274f528065766c770a639abf6809b39ccfd37c2a3157c7f51954da0a"
    assert SALT.text("foo") == expected
    assert SALT.value("foo") == expected
    assert SALT.raw(b"foo") == expected


@given(st.text(), st.text(min_size=1))
@settings(max_examples=100, deadline=None)
def test_a_string_hashes_as_hmac_sha256_keyed_with_the_salts_text(text: str, salt: str):
    expected = hmac.new(
        salt.encode("utf-8", "surrogatepass"), text.encode("utf-8", "surrogatepass"), hashlib.sha256
    ).hexdigest()
    assert Salt(salt).text(text) == HASHED + expected


@given(documents)
@settings(max_examples=100, deadline=None)
def test_no_plaintext_leaf_survives_and_the_shape_does(document: Any):
    hashed = SALT.structure({"data": document})
    assert shape(hashed) == shape({"data": document})
    for leaf in leaves(hashed):
        assert leaf is None or (leaf.startswith(HASHED) and len(leaf) == len(HASHED) + 64)


@given(scalars, scalars)
@settings(max_examples=100, deadline=None)
def test_two_values_hash_alike_only_if_they_are_alike(one: Any, other: Any):
    def canonical(value: Any) -> tuple[type, Any]:
        if isinstance(value, bytes):
            return str, value
        return (str, value.encode()) if isinstance(value, str) else (type(value), repr(value))

    assert (SALT.value(one) == SALT.value(other)) == (canonical(one) == canonical(other))


def test_types_are_told_apart():
    values = [5, "5", 5.0, True, "true", False, 0, "", "int:5", 1, 255, "ff"]
    assert len({SALT.value(value) for value in values}) == len(values)


def test_each_salt_hashes_differently_whatever_the_type():
    other = Salt("bar")
    for value in ("x", 5, True, 1.5, b"raw"):
        assert SALT.value(value) != other.value(value)


def test_keys_the_operator_chose_stay_readable_at_any_depth_and_others_do_not():
    data = {"user": "app", "n": {"user": ["a", 5], "user2": "b"}, "deep": [{"user": {"pw": "x"}}]}
    hashed = SALT.structure(data, ("user",))
    assert hashed["user"] == "app"
    assert hashed["n"]["user"] == ["a", 5]
    assert hashed["n"]["user2"] == SALT.text("b")
    assert hashed["deep"][0]["user"]["pw"] == SALT.text("x")


def test_a_secret_is_hashed_even_below_a_readable_key():
    hashed = SALT.structure({"user": Secret("hunter2"), "all": Secret({"user": "hunter2"})}, ("user",))
    assert hashed == {"user": SALT.text("hunter2"), "all": {"user": SALT.text("hunter2")}}


def test_values_that_are_not_json_are_hashed_too():
    @dataclass
    class Point:
        x: int
        label: str

    class Record(msgspec.Struct):
        name: str

    class Odd:
        def __str__(self) -> str:
            return "odd in clear"

    data = {
        "point": Point(1, "p"),
        "record": Record("r"),
        "set": {"one"},
        "tuple": ("a", "b"),
        "when": datetime(2026, 1, 2, tzinfo=UTC),
        "odd": Odd(),
        "bytes": bytearray(b"b"),
    }
    hashed = SALT.structure(data)
    assert hashed["point"] == {"x": SALT.value(1), "label": SALT.text("p")}
    assert hashed["record"] == {"name": SALT.text("r")}
    assert hashed["tuple"] == [SALT.text("a"), SALT.text("b")]
    assert all(leaf.startswith(HASHED) for leaf in leaves(hashed))


def test_remembered_tokens_are_forgotten_when_asked():
    salt = Salt("foo")
    assert salt.recent("hvs.token") == salt.text("hvs.token")
    assert salt.recent.cache_info().currsize == 1
    salt.forget()
    assert salt.recent.cache_info().currsize == 0
