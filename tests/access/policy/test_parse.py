"""Parsing: two spellings of one thing, errors that name the line, bounds that hold."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.access.policy import Policy, Rule, parse_policy
from broker.plugin.errors import InvalidRequest, TooLarge

FULL = r"""
# every attribute there is
path "/secret/data/\u0041*" {
  capabilities        = ["create", "read", "read"]
  allowed_parameters  = { "TTL" = ["1h", 2, true], "*" = [] }
  denied_parameters { "x" = [] }
  required_parameters = ["a"]
  min_wrapping_ttl = "1m30s"
  max_wrapping_ttl = 3600
  pagination_limit = 10
  expiration = "2030-01-31T12:00:00+02:00"
  comment = <<-NOTE
    two
    lines
  NOTE
}
"""


def refusal(text: str) -> str:
    with pytest.raises(InvalidRequest) as refused:
        parse_policy("p", text)
    return str(refused.value)


def test_every_attribute_is_kept():
    (rule,) = parse_policy("p", FULL).rules
    assert rule == Rule(
        path="secret/data/A*",
        written="/secret/data/A*",
        capabilities=("create", "read"),
        line=3,
        allowed_parameters={"ttl": ("1h", 2, True), "*": ()},
        denied_parameters={"x": ()},
        required_parameters=("a",),
        min_wrapping_ttl=90,
        max_wrapping_ttl=3600,
        pagination_limit=10,
        expires_at=1896084000,
        comment="two\nlines\n",
    )


def test_the_parsed_form_survives_storage():
    policy = parse_policy("p", FULL + 'path "home/{{identity.entity.id}}" { policy = "deny" }')
    assert policy.templated
    assert msgspec.json.decode(msgspec.json.encode(policy), type=Policy) == policy


def test_json_says_the_same_as_hcl():
    text = """{
      "path": {
        "a/*": {"capabilities": ["read"], "allowed_parameters": {"x": [1, "y"]}},
        "b": [{"policy": "write", "min_wrapping_ttl": "1h"}]
      }
    }"""
    hcl = """
    # one line down, as in the JSON
    path "a/*" { capabilities = ["read"] allowed_parameters { x = [1, "y"] } }
    path "b" { policy = "write" min_wrapping_ttl = "1h" }"""
    assert parse_policy("p", text).rules == parse_policy("p", hcl).rules


def test_a_repeated_attribute_adds_up_where_the_field_does_so_and_is_refused_elsewhere():
    text = 'path "a" {\n allowed_parameters { x = [] }\n allowed_parameters { y = [] }\n capabilities = ["read"]\n %s }'
    assert set(parse_policy("p", text % 'capabilities = ["list"]').rules[0].allowed_parameters) == {"x", "y"}
    assert "twice" in refusal(text % "allowed_parameters { X = [1] }")
    assert "set twice" in refusal(text % 'comment = "a"\n comment = "b"')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            'path "a" {\n\n  capabilities = ["red"]\n}',
            'path "a": invalid capability "red": expected one of create, read',
        ),
        ('path "a" {\n\n  capabilities = ["red"]\n}', "line 3"),
        ('\n\nfoo "x" {}', 'invalid key "foo" on line 3'),
        ('path "a" {\n capabilities = ["read"\n', "line 3: expected a comma or ]"),
        ('path "a" {\n', "line 2: expected a name, found end of text"),
        ('path "a', "line 1: this string is not closed"),
        ("/* never", "line 1: this comment is not closed"),
        ('\n  path   "a" { policy =  ;', "line 2: unexpected character ';'"),
        ('path "a" { policy = \t "read }', "this string is not closed"),
        ('path "a" { comment = <<X\nnever', "expected a line X"),
        ('path { policy = "read" }', "expected one quoted path"),
        ('path "a" "b" { }', "expected one quoted path"),
        ('path "a" { mfa_methods = ["x"] }', "not supported"),
        ('path "a" { control_group { ttl = 1 } }', "not supported"),
        ('path "a" { min_wrapping_ttl = -1 }', "expected a duration"),
        ('path "a" { pagination_limit = true }', "expected a whole number"),
        ('{"path": {"a": {}}, "path": {}}', 'the key "path" occurs twice'),
        ('{"path": {"a": {}, "a": {}}}', 'the key "a" occurs twice'),
        ('{"path": {"a": {"capabilities": ["read"], "capabilities": []}}}', "occurs twice"),
        ('{"path": {"a": {"pagination_limit": NaN}}}', "NaN"),
        ('{"path": {"a": {"pagination_limit": 1e999}}}', "too large"),
        ('{"path": {"a": {"comment": "\\ud800"}}}', "not Unicode"),
        ('{"path": {"a": {}}} x', "Extra data"),
        ('path "a\\u0000" { }', "control character"),
        ('path "\ud800" { }', "not Unicode"),
    ],
)
def test_an_error_names_the_place_and_what_was_expected(text, said):
    assert said in refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        'path "a" { allowed_parameters { x = ' + "[" * 100_000,
        'path "a" { allowed_parameters { x = ' + "{a=" * 50_000,
        "{" * 100_000,
        '{"path":' + "[" * 40_000,
        '{"path":' + '{"a":' * 40_000,
        '{"path":' + "[" * 30 + "]" * 30 + "}",
        '{"path": {"a": {"allowed_parameters": {"x": [' + "[" * 30 + "]" * 30 + "]}}}}",
        '{"path": [' + "{}," * 200_000 + "{}]}",
        'path "a" { allowed_parameters { x = [' + "1," * 1_001 + "] } }",
        '{"path": {"a": {"pagination_limit": ' + "9" * 5000 + "}}}",
        'path "' + "a" * 5000 + '" { }',
        "\\" * 1000,
        '"' * 100_001,
        "/*" * 100_000,
    ],
)
def test_hostile_sizes_are_refused(text):
    refusal(text)


def test_a_policy_over_the_size_limit_is_refused_before_it_is_read():
    with pytest.raises(TooLarge, match="larger than"):
        parse_policy("p", "#" * (512 * 1024 + 1))
    with pytest.raises(TooLarge, match="larger than"):
        parse_policy("p", "#" + "é" * (256 * 1024))


def parsed_or_refused(text: str) -> Policy:
    """The policy, or an empty one if the text is refused; any other exception fails the test."""
    try:
        return parse_policy("p", text)
    except InvalidRequest:
        return Policy()


PIECES = [
    "path", '"a"', "{", "}", "[", "]", "=", ",", "\n", "capabilities", '"read"', '"deny"', "policy", "1", "-1.5",
    "0x1", "true", "null", "#", "//", "/*", "*/", "<<E\n", "E\n", '"\\u00"', '"', "\\", "{{", "}}", ":", "\x00", "é",
    "allowed_parameters", "expiration", '"x" = []', '"{{identity.entity.id}}"', '{"path":', '{"a":', "1e400", " ",
]  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.text(max_size=80), st.lists(st.sampled_from(PIECES), max_size=25).map(" ".join)))
def test_no_text_raises_anything_but_a_refusal(text):
    for candidate in (text, f'path "a" {{ {text} }}', f'{{"path": {{"a": {text}}}}}'):
        policy = parsed_or_refused(candidate)
        assert msgspec.json.decode(msgspec.json.encode(policy), type=Policy) == policy


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
ATTRIBUTES = [
    "capabilities", "policy", "allowed_parameters", "denied_parameters", "required_parameters", "comment",
    "min_wrapping_ttl", "max_wrapping_ttl", "pagination_limit", "expiration", "mfa_methods", "control_group",
    "list_scan_response_keys_filter_path",
]  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(ATTRIBUTES), json_values, max_size=3))
def test_no_type_in_any_attribute_raises_anything_but_a_refusal(body):
    assert len(parsed_or_refused(json.dumps({"path": {"a": body}})).rules) <= 1
