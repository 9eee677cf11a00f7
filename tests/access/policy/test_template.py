"""Templates: what the caller is called never widens what the caller may do."""

import pytest

from broker.access.policy import ACL, Alias, Group, Identity, expand, parse_policy
from broker.plugin.verbs import Verb

NOW = 1_800_000_000.0
CALLER = Identity(
    id="e-1",
    name="ann",
    metadata={"team": "red", "dotted.key": "blue"},
    aliases=(
        Alias("auth_userpass_1", id="a-1", name="ann.b", metadata={"m": "1"}, custom_metadata={"c": "2"}),
    ),
    groups=(Group("g-1", "ops", {"level": "3"}), Group("g-2", "dev.eu")),
)


def expanded(text: str, caller: Identity) -> list[str]:
    return [rule.path for rule in expand(parse_policy("p", text), caller).rules]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("identity.entity.id", "e-1"),
        (" identity.entity.name ", "ann"),
        ("identity.entity.metadata.team", "red"),
        ("identity.entity.metadata.dotted.key", "blue"),
        ("identity.entity.aliases.auth_userpass_1.id", "a-1"),
        ("identity.entity.aliases.auth_userpass_1.name", "ann.b"),
        ("identity.entity.aliases.auth_userpass_1.metadata.m", "1"),
        ("identity.entity.aliases.auth_userpass_1.custom_metadata.c", "2"),
        ("identity.groups.ids.g-1.name", "ops"),
        ("identity.groups.names.ops.id", "g-1"),
        ("identity.groups.names.ops.metadata.level", "3"),
    ],
)
def test_every_name_is_filled_in(name, value):
    assert expanded(f'path "x/{{{{{name}}}}}/*" {{ policy = "read" }}', CALLER) == [f"x/{value}/*"]


@pytest.mark.parametrize(
    "name",
    [
        "identity.entity.foo", "identity.entity.metadata.none", "identity.entity.aliases.other.name",
        "identity.groups.ids.g-9.name", "identity.groups.names.ops.secret",
        "identity.groups.names.dev.eu.id", "entity.id", "", "time.now",
    ],
)  # fmt: skip
def test_a_rule_without_a_value_grants_nothing(name):
    assert expanded(f'path "x/{{{{{name}}}}}" {{ policy = "read" }}', CALLER) == []


DANGEROUS = ["*", "+", "a*", "a+b", "a/../b", "a/b", "..", ".", "", "x" * 65536, "a\nb", "a\x00"]


@pytest.mark.parametrize("value", DANGEROUS)
def test_a_dangerous_value_grants_nothing(value):
    caller = Identity(id="e", name=value)
    assert expanded('path "x/{{identity.entity.name}}/*" { policy = "read" }', caller) == []


@pytest.mark.parametrize("value", DANGEROUS)
def test_a_denial_with_a_dangerous_value_denies_everything_it_could_have_meant(value):
    text = 'path "x/{{identity.entity.name}}/y" { policy = "deny" }\npath "x/bob/y" { policy = "read" }'
    acl = ACL(
        [expand(parse_policy("p", text + 'path "z" { policy = "read" }'), Identity(id="e", name=value))]
    )
    assert acl.check(Verb.READ, "x/bob/y", now=NOW).reason == "denied"
    assert acl.capabilities("x/bob/y", now=NOW) == ["deny"]
    assert acl.check(Verb.READ, "z", now=NOW).allowed


def test_a_denial_for_a_token_without_an_entity_closes_its_fixed_beginning():
    text = 'path "a/+/{{identity.entity.id}}" { policy = "deny" }\npath "a/b/*" { policy = "read" }'
    acl = ACL([expand(parse_policy("p", text), Identity())])
    assert not acl.check(Verb.READ, "a/b/anything", now=NOW).allowed
    assert not acl.reaches("a/", now=NOW)


def test_values_are_not_expanded_again():
    caller = Identity(id="e-1", name="{{identity.entity.id}}")
    paths = expanded('path "x/{{identity.entity.name}}" { policy = "read" }', caller)
    assert paths == ["x/{{identity.entity.id}}"]


def test_values_with_backslashes_are_plain_text():
    assert expanded('path "x/{{identity.entity.name}}" { policy = "read" }', Identity(name=r"\g<0>\1")) == [
        r"x/\g<0>\1"
    ]


def test_two_aliases_on_one_mount_speak_for_nobody():
    caller = Identity(id="e", name="n", aliases=(Alias("acc", name="one"), Alias("acc", name="two")))
    assert expanded('path "x/{{identity.entity.aliases.acc.name}}" { policy = "read" }', caller) == []


def test_the_dangerous_value_is_logged_by_rule_and_never_by_value(caplog):
    expanded('path "x/{{identity.entity.name}}" { policy = "read" }', Identity(name="canary/value"))
    assert [record.message for record in caplog.records] == ["policy_template_unsafe"]
    assert "canary" not in str(caplog.records[0].__dict__)


def test_a_policy_without_templates_is_returned_as_it_is():
    policy = parse_policy("p", 'path "a" { policy = "read" }')
    assert expand(policy, Identity()) is policy
