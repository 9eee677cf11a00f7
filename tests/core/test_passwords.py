"""Password policies: what is taken for one, and what is made by it."""

from __future__ import annotations

import json
import os
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.passwords import LONGEST, SHORTEST, CharsetRule, PasswordPolicy, draw, generate, parse
from broker.plugin.errors import InvalidRequest

HCL = """
length = 20
rule "charset" { charset = "abcde" min-chars = 2 }
rule "charset" {
  charset = "ABC"
  min-chars = 1
}
"""


def test_hcl_and_json_say_the_same():
    text = json.dumps(
        {
            "length": 20,
            "rule": [
                {"charset": {"charset": "abcde", "min-chars": 2}},
                {"charset": [{"charset": "ABC", "min-chars": 1}]},
            ],
        }
    )
    hcl, found = parse(HCL), parse(text)
    assert (hcl.length, hcl.rules) == (found.length, found.rules)
    assert hcl.rules == (CharsetRule("abcde", 2), CharsetRule("ABC", 1))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("length = 20", "no charset specified"),
        ('rule "charset" { charset = "abc" }', "length must be > 0"),
        ('length = -1\nrule "charset" { charset = "abc" }', "length must be > 0"),
        ('length = 3\nrule "charset" { charset = "abc" }', "between 4 and 100"),
        ('length = 101\nrule "charset" { charset = "abc" }', "between 4 and 100"),
        ('length = 20.5\nrule "charset" { charset = "abc" }', "whole number"),
        ('length = true\nrule "charset" { charset = "abc" }', "whole number"),
        ('length = 9\nlength = 8\nrule "charset" { charset = "abc" }', "given twice"),
        ('length = 8\nrule "charset" { charset = "abc" min-chars = -1 }', "min-chars must be >= 0"),
        ('length = 8\nrule "charset" { charset = "abc" minchars = 1 }', 'no "minchars"'),
        ('length = 8\nrule "charset" { charset = ["abc"] }', "must be a string"),
        ('length = 8\nrule "charset" { charset = "a\\tb" }', "non-printable"),
        ('length = 8\nrule "charset" { }', "no charset specified"),
        ('length = 8\nrule "other" { charset = "abc" }', "unrecognized rule type other"),
        ('length = 8\nrule { charset = "abc" }', "line 2"),
        ('length = 8\nextra = 1\nrule "charset" { charset = "abc" }', "line 2"),
        ('length = 8\nrule "charset" { charset = "a" min-chars = 5 }\nrule "charset" { charset = "b" min-chars = 4 }', "at least 9"),
        ("garbage {{{", "line 1"),
        ('{"length": 8, "length": 9, "rule": []}', "twice"),
        ('{"length": NaN}', "broken JSON"),
        ('{"length": 8, "rule": "x"}', "must be an object"),
        ('{"length": 8, "rules": []}', 'unknown field "rules"'),
        ("{" * 5000, "broken JSON"),
        ("length = 8\n" + 'rule "charset" { charset = "abc" }\n' * 101, "at most 100 rules"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_and_the_text_says_why(text, says):
    with pytest.raises(InvalidRequest, match=says):
        parse(text)


def test_no_error_quotes_a_charset():
    with pytest.raises(InvalidRequest) as caught:
        parse('length = 8\nrule "charset" { charset = "sesame\\topen" }')
    assert "sesame" not in str(caught.value)


rules = st.lists(
    st.tuples(
        st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=40), st.integers(0, 12)
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=100, deadline=None)
@given(rules, st.integers(SHORTEST, LONGEST))
def test_every_password_has_its_length_and_keeps_every_rule(wanted, length):
    made = tuple(CharsetRule("".join(sorted(set(chars))), least) for chars, least in wanted)
    length = max(length, sum(rule.min_chars for rule in made))
    password = generate(PasswordPolicy("", length, made), os.urandom)
    assert len(password) == length
    assert set(password) <= set("".join(rule.charset for rule in made))
    for rule in made:
        assert sum(char in rule.charset for char in password) >= rule.min_chars


def test_rules_that_chance_would_never_meet_take_bounded_work():
    spent = 0

    def random(size: int) -> bytes:
        nonlocal spent
        spent += size
        return os.urandom(size)

    many = "".join(chr(0x4E00 + number) for number in range(5000))
    policy = PasswordPolicy("", 100, (CharsetRule("a", 99), CharsetRule(many, 0)))
    password = generate(policy, random)
    assert password.count("a") >= 99
    assert spent < 400_000


def test_no_character_is_likelier_than_another():
    # Three characters: with a plain remainder of one byte, the first would come up 86 times for 85 of the others.
    # Here every pair of bytes is drawn exactly once, so that even that would show.
    pairs = iter([number.to_bytes(2, "big") for number in range(65535)])
    counts = Counter(draw("abc", 65535, lambda size: b"".join(next(pairs) for _ in range(size // 2))))
    assert set(counts.values()) == {21845}


def test_what_lies_behind_the_last_whole_multiple_is_thrown_away():
    answers = [b"\xff\xff", b"\x00\x01"]
    assert draw("abc", 1, lambda size: answers.pop(0)) == ["b"]
    assert answers == []
