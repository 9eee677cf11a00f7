"""Policy names have one spelling, and none of them becomes root by another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.access.policy import canonical_name, lint, parse_policy
from broker.access.policy.default_policies import DEFAULT_TEXT, RESPONSE_WRAPPING_TEXT
from broker.plugin.errors import InvalidRequest


@pytest.mark.parametrize(
    "name",
    [
        "root", "ROOT", " root", "root\n", "\troot ", "root\u00a0", "root\u200b", "root\x00", "\uff52\uff4f\uff4f\uff54",
        "default,root", '["default","root"]', "", " ", "a b", "a\nb", "../a", "a/../b", "a//b", "/a", "a/", ".", "*", "+",
        "\u212aey", "x" * 257,
    ],
)  # fmt: skip
def test_a_misspelt_or_reserved_name_is_refused(name):
    with pytest.raises(InvalidRequest, match="invalid policy name"):
        canonical_name(name)


@pytest.mark.parametrize(
    ("name", "canonical"), [(" App-Read\n", "app-read"), ("team/a.b_c", "team/a.b_c"), ("a..b", "a..b")]
)
def test_a_name_is_trimmed_and_lowered(name, canonical):
    assert canonical_name(name) == canonical


def test_root_is_for_the_caller_who_asks_for_it():
    assert canonical_name("ROOT", allow_root=True) == "root"


@given(st.text(max_size=20))
def test_a_canonical_name_is_its_own_canonical_name(name):
    try:
        canonical = canonical_name(name)
    except InvalidRequest:
        return
    assert canonical_name(canonical) == canonical != "root"


@pytest.mark.parametrize("text", [DEFAULT_TEXT, RESPONSE_WRAPPING_TEXT])
def test_the_built_in_policies_parse_and_lint_clean(text):
    assert lint(parse_policy("p", text)) == []
