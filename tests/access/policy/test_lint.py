"""The linter says what users get wrong, and nothing about policies that are right."""

import pytest

from broker.access.policy import lint, parse_policy
from broker.access.policy.kv2 import FAMILIES
from broker.access.policy.lint import MAX_WARNINGS, covers

NOW = 1_800_000_000.0


def warnings(text: str, **options) -> list[str]:
    return lint(parse_policy("p", text), **options)


READ = '{ capabilities = ["read"] }'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'path "a/*/b" {READ}', "a * before the end is a plain character"),
        (f'path "a/b+/c" {READ}', "a + within a segment is a plain character"),
        (f'path "/a/b" {READ}', "paths begin with the mount"),
        (f'path "v1/a/b" {READ}', '"v1/" belongs to the URL'),
        (f'path "a/b/" {READ}', "covers nothing below"),
        ('path "a/b/" { policy = "deny" }', "what is below stays open"),
        ('path "secret/data/app/*" { capabilities = ["read", "list"] }', "lists keys under secret/metadata/"),
        (
            'path "secret/data/x" { capabilities = ["update"] allowed_parameters { "password" = [] } }',
            'a condition on "password" does not see the keys',
        ),
        ('path "a" { capabilities = [] }', "grants nothing and hides broader rules"),
        (f'path "a/{{{{identity.entity.nam}}}}" {READ}', "is not a known template"),
        ('path "a" { capabilities = ["read"] expiration = 1700000000 }', "expired at 2023-11-14T22:13:20Z"),
        (
            'path "a" { capabilities = ["read", "deny"] }',
            "deny makes the rest of the rule void; not granted: read",
        ),
    ],
)
def test_each_mistake_is_named_once_with_its_line(text, said):
    (warning,) = warnings("\n" + text, now=NOW)
    assert said in warning
    assert "(line 2)" in warning


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (f'path "secret/app" {READ}', '"secret/data/app" for read'),
        (
            'path "secret/app/*" { capabilities = ["read", "create", "list"] }',
            '"secret/data/app/*" for read, create and "secret/metadata/app/*" for list',
        ),
        ('path "secret" { capabilities = ["list"] }', '"secret/metadata/" for list'),
        ('path "team/kv/x*" { capabilities = ["delete"] }', '"team/kv/data/x*" for delete'),
        (
            f'path "secret/{{{{identity.entity.id}}}}/*" {READ}',
            '"secret/data/{{identity.entity.id}}/*" for read',
        ),
        (
            'path "secret/app" { policy = "deny" }',
            'denies nothing; probably meant: "secret/data/app" for deny and "secret/metadata/app" for deny',
        ),
    ],
)
def test_a_rule_for_kv_version_2_without_data_or_metadata_is_told_which_path_was_meant(text, meant):
    (warning,) = warnings("\n" + text, versioned=["secret/", "team/kv/"])
    assert warning.endswith(meant)
    assert "(line 2): " in warning and "is KV version 2" in warning
    assert warnings(text) == []


@pytest.mark.parametrize(
    "path",
    [
        "secret/*",
        "secret/d*",
        "secret/data*",
        "secret/+/app",
        "secret/config",
        "secret/metadata/",
        "secrets/app",
    ]
    + [f"secret/{family}/app" for family in sorted(FAMILIES)],
)
def test_a_rule_that_reaches_something_in_kv_version_2_is_fine(path):
    text = f'path "{path}" {{ capabilities = ["update"] }}'
    assert warnings(text, versioned=["secret/"]) == warnings(text)


def test_duplicate_blocks_name_both_lines_and_the_outcome():
    (warning,) = warnings(f'path "a" {READ}\npath "a" {{ policy = "deny" }}')
    assert warning == 'path "a" (line 2): also on line 1; deny wins'
    (warning,) = warnings(f'path "a" {READ}\npath "a" {{ policy = "write" }}')
    assert warning.endswith("they add up")


def test_a_denial_that_a_more_specific_grant_undoes_is_named():
    (warning,) = warnings(f'path "a/*" {{ policy = "deny" }}\npath "a/b/*" {READ}')
    assert "the deny does not hold for" in warning


def test_a_denial_that_never_takes_effect_is_named():
    (warning,) = warnings(f'path "a/*" {READ}\npath "a/+/b*" {{ policy = "deny" }}')
    assert "never takes effect" in warning


def test_a_denial_more_specific_than_the_grant_is_fine():
    assert (
        warnings(f'path "a/*" {READ}\npath "a/b/*" {{ policy = "deny" }}\npath "a/+" {{ policy = "deny" }}')
        == []
    )


def test_a_rule_for_a_protected_path_without_sudo_is_named():
    protected = ["sys/audit/*", "sys/seal"]
    (warning,) = warnings('path "sys/seal" { capabilities = ["update"] }', sudo_paths=protected)
    assert "without sudo the rule has no effect" in warning
    assert len(warnings(f'path "sys/audit/file" {READ}', sudo_paths=protected)) == 1
    for fine in (
        'path "sys/seal" { capabilities = ["update", "sudo"] }',
        f'path "*" {READ}',
        f'path "sys/*" {READ}',
    ):
        assert warnings(fine, sudo_paths=protected) == []


def test_the_number_of_warnings_is_bounded():
    text = "\n".join(f'path "a/*/{number}" {READ}' for number in range(MAX_WARNINGS + 5))
    found = warnings(text)
    assert len(found) == MAX_WARNINGS + 1
    assert found[-1] == "and 5 more warnings"


@pytest.mark.parametrize(
    ("pattern", "other", "covered"),
    [
        ("a/*", "a/b", True),
        ("a/*", "a/b/*", True),
        ("a/*", "a/+/c", True),
        ("a/+/c", "a/+/c", True),
        ("a/+/c", "a/b/c", True),
        ("a/b", "a/+", False),
        ("a/b/*", "a/*", False),
        ("a/+", "a/*", False),
        ("a/b*", "a/b*", True),
    ],
)
def test_covering_means_matching_all_that_the_other_matches(pattern, other, covered):
    assert covers(pattern, other) is covered
