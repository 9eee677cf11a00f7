"""What a request's input becomes."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType

from broker.plugin import Field, InvalidRequest, Json, Secret, parse_duration
from broker.plugin.fields import binder, input_fields


def bind_one(kind, value, about=None):
    """Bind one field of a type to a value."""
    annotation = Annotated[kind, about or Field("An input.")]
    args = dataclass(type("Args", (), {"__annotations__": {"x": annotation}}))
    return binder(args)({}, {"x": value}).x


@pytest.mark.parametrize(
    ("kind", "given_value", "value"),
    [
        (str, "a", "a"),
        (int, 5, 5),
        (int, "5", 5),
        (int, "-5", -5),
        (int, 10**30, 10**30),
        (float, 5, 5.0),
        (float, "2.5", 2.5),
        (bool, True, True),
        (bool, "false", False),
        (bool, 1, True),
        (timedelta, 90, timedelta(seconds=90)),
        (timedelta, "90", timedelta(seconds=90)),
        (timedelta, "1h30m", timedelta(minutes=90)),
        (timedelta, "-5s", timedelta(seconds=-5)),
        (timedelta, "", timedelta(0)),
        (datetime, 0, datetime(1970, 1, 1, tzinfo=UTC)),
        (datetime, "1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
        (list[str], "a, b,", ["a", "b"]),
        (list[str], ["a", "b,c"], ["a", "b,c"]),
        (list[int], "1,2", [1, 2]),
        (list[int], 3, [3]),
        (list[int], ["1", 2], [1, 2]),
        (dict[str, Json], {"a": [None]}, {"a": [None]}),
        (Json, [1, {"a": None}], [1, {"a": None}]),
    ],
)
def test_input_is_read_where_it_is_unambiguous(kind, given_value, value):
    got = bind_one(kind, given_value)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (str, 5),
        (int, "5.0"),
        (int, 5.0),
        (int, True),
        (int, ""),
        (int, "\u0665"),
        (float, "5e3"),
        (float, "nan"),
        (bool, "yes"),
        (bool, 2),
        (timedelta, True),
        (timedelta, "5 parsecs"),
        (timedelta, "1h 5"),
        (timedelta, float("inf")),
        (timedelta, float("nan")),
        (timedelta, 10**30),
        (timedelta, []),
        (datetime, "yesterday"),
        (datetime, -1),
        (datetime, 10**30),
        (list[str], [1]),
        (list[str], {"a": 1}),
        (list[int], ["a"]),
        (list[int], [True]),
        (dict[str, Json], "text"),
        (dict[str, Json], []),
    ],
)
def test_input_that_could_be_misread_is_refused_without_repeating_it(kind, value):
    with pytest.raises(InvalidRequest, match=r'^field "x": expected ') as error:
        bind_one(kind, value)
    if value not in ("", True):
        assert str(value) not in str(error.value).removeprefix('field "x": ')


@pytest.mark.parametrize(
    ("kind", "about", "good", "bad"),
    [
        (int, Field("n", minimum=0), 0, -1),
        (int, Field("n", maximum=3), "3", 4),
        (timedelta, Field("t", minimum=60), "1m", "59s"),
        (str, Field("s", min_length=1, max_length=2), "ab", "abc"),
        (str, Field("s", min_length=1), "a", ""),
        (list[str], Field("l", max_length=1), "a", "a,b"),
        (str, Field("s", choices=("a", "b")), "a", "c"),
    ],
)
def test_bounds_hold(kind, about, good, bad):
    bind_one(kind, good, about)
    with pytest.raises(InvalidRequest, match=r'^field "x": expected (at|one of) '):
        bind_one(kind, bad, about)


@dataclass(frozen=True)
class Sample:
    name: str
    secret: Secret[str] | None = None
    size: int = 3
    tags: list[str] = field(default_factory=list)
    from_: Annotated[str, Field("Where from.", wire="from")] = ""
    note: Annotated[str | UnsetType | None, Field("A note.", nullable=True)] = UNSET


def test_defaults_hold_and_null_means_not_given():
    assert binder(Sample)({"name": "n"}, None) == Sample("n")
    assert binder(Sample)({"name": "n"}, {"size": None, "tags": None}) == Sample("n")


def test_null_is_told_from_not_given_only_where_a_field_asks_for_it():
    bind = binder(Sample)
    assert bind({"name": "n"}, {"note": None}).note is None
    assert bind({"name": "n"}, {"note": "x"}).note == "x"
    assert bind({"name": "n"}, {}).note is UNSET


def test_what_is_required_is_asked_for_by_name():
    with pytest.raises(InvalidRequest, match='missing required field "name"'):
        binder(Sample)({}, {"size": 1})


def test_an_unknown_field_is_refused_and_the_known_ones_are_offered():
    with pytest.raises(
        InvalidRequest, match='unknown field "siez"; fields of this path: from, note, secret, size, tags'
    ):
        binder(Sample)({"name": "n"}, {"siez": 1})


def test_the_path_wins_over_the_body():
    assert binder(Sample)({"name": "path"}, {"name": "body"}).name == "path"


def test_a_secret_arrives_masked():
    bound = binder(Sample)({"name": "n"}, {"secret": "hunter2", "from": "there"})
    assert "hunter2" not in repr(bound)
    assert bound.secret is not None
    assert bound.secret.reveal() == "hunter2"
    assert bound.from_ == "there"


@dataclass(frozen=True)
class Rest:
    path: str
    body: Annotated[Secret[dict[str, Json]], Field("All of it.", rest=True)]
    cas: int = 0


def test_the_rest_takes_every_key_that_no_field_of_the_body_claims():
    bound = binder(Rest)({"path": "p"}, {"path": "data", "cas": 1, "a": None})
    assert (bound.path, bound.cas, bound.body.reveal()) == ("p", 1, {"path": "data", "a": None})


def test_an_unsupported_type_is_a_mistake_found_at_start():
    args = dataclass(type("Args", (), {"__annotations__": {"x": set[str]}}))
    with pytest.raises(TypeError, match="unsupported field type"):
        input_fields(args)


def test_the_compiled_fields_tell_what_the_documents_need():
    described = {each.name: (each.type, each.required, each.secret) for each in input_fields(Sample)}
    assert described == {
        "name": (str, True, False),
        "secret": (str, False, True),
        "size": (int, False, False),
        "tags": (list[str], False, False),
        "from": (str, False, False),
        "note": (str, False, False),
    }


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**7))
def test_a_duration_reads_the_same_in_every_unit_that_fits(seconds):
    hours, rest = divmod(seconds, 3600)
    wanted = timedelta(seconds=seconds)
    for text in (
        seconds,
        str(seconds),
        f"{seconds}s",
        f"{hours}h{rest // 60}m{rest % 60}s",
        f"{seconds * 1000}ms",
    ):
        assert parse_duration(text) == wanted


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=12) | st.floats() | st.integers())
def test_any_duration_is_read_or_refused_and_never_worse(value):
    try:
        duration = parse_duration(value)
    except InvalidRequest:
        return
    assert abs(duration) < timedelta(days=366 * 301)
