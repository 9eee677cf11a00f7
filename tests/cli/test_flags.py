"""Go's flags: one dash or two, joined or apart, anywhere before ``--``."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.cli.flags import Flag, UsageError, check_arguments, parse

FLAGS = (
    Flag("format", ""),
    Flag("force", "", "switch", aliases=("f",)),
    Flag("cas", "", "number"),
    Flag("policy", "", "texts"),
    Flag("metadata", "", "pairs"),
)


@pytest.mark.parametrize(
    "words", [["-format=json"], ["--format=json"], ["-format", "json"], ["--format", "json"]]
)
def test_a_flag_takes_one_dash_or_two_and_its_value_joined_or_apart(words):
    assert parse(["path", *words, "k=v"], FLAGS).text("format") == "json"
    assert parse(["path", *words, "k=v"], FLAGS).rest == ["path", "k=v"]


def test_switches_take_no_value_unless_joined():
    assert parse(["-force", "true"], FLAGS).rest == ["true"]
    assert parse(["-f"], FLAGS).switch("force")
    assert parse(["-force=false"], FLAGS).maybe("force") is False
    assert parse([], FLAGS).maybe("force") is None


def test_repeated_flags_add_up_and_single_ones_take_the_last():
    found = parse(["-policy=a", "-policy", "b", "-metadata=k=v=w", "-metadata=l=", "-cas=1", "-cas=0"], FLAGS)
    assert found.texts("policy") == ["a", "b"]
    assert found.pairs("metadata") == {"k": "v=w", "l": ""}
    assert found.number("cas") == 0


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["-zz"], "flag provided but not defined: -zz"),
        (["-form=json"], "flag provided but not defined: -form"),
        (["-format"], "flag needs an argument: -format"),
        (["-cas=x"], "must be a whole number"),
        (["-force=maybe"], "must be true or false"),
        (["-metadata=x"], "must be key=value"),
    ],
)
def test_mistakes_are_named_without_values(words, text):
    with pytest.raises(UsageError, match=text):
        parse(words, FLAGS)


def test_argument_counts_are_told_in_vaults_words():
    with pytest.raises(UsageError, match=r"Not enough arguments \(expected 1, got 0\)"):
        check_arguments(parse([], FLAGS), 1, 1)
    with pytest.raises(UsageError, match=r"Too many arguments \(expected 1, got 2\)"):
        check_arguments(parse(["a", "b"], FLAGS), 1, 1)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=8), max_size=5))
def test_everything_after_two_dashes_is_an_argument(words):
    assert parse(["--", *words], FLAGS).rest == words


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=20))
def test_a_flags_value_arrives_unchanged(value):
    assert parse([f"-format={value}"], FLAGS).text("format") == value
    assert parse(["-format", value], FLAGS).text("format") == value
