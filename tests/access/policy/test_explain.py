"""Explanations name the rule that decided, and the rule they propose does what they say."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.access.policy import ACL, Identity, Policy, Rule, expand, explain, parse_policy
from broker.plugin.verbs import Verb

NOW = 1_800_000_000.0


def policy(name: str, text: str) -> Policy:
    return parse_policy(name, text)


APP = policy(
    "app",
    """
path "secret/data/app/*" {
  capabilities = ["read", "list"]
}
path "secret/metadata/app/*" {
  capabilities = ["list"]
}
path "secret/data/*" {
  capabilities = ["deny"]
}
""",
)


def test_a_grant_names_policy_rule_and_line_and_the_denial_it_outweighs():
    found = explain([APP], Verb.READ, "secret/data/app/db", now=NOW)
    assert (found.allowed, found.policy, found.rule, found.line) == (True, "app", "secret/data/app/*", 2)
    assert found.why == 'path "secret/data/app/*" (policy app, line 2) grants read.'
    (shadowed,) = found.shadowed
    assert (shadowed.rule, shadowed.line) == ("secret/data/*", 8)
    assert shadowed.why == 'Outweighed by "secret/data/app/*": its first wildcard comes later.'


def test_an_exact_rule_outweighs_by_naming_the_path():
    found = explain(
        [APP, policy("x", 'path "secret/data/app/db" { policy = "deny" }')],
        Verb.READ,
        "secret/data/app/db",
        now=NOW,
    )
    assert not found.allowed
    assert found.shadowed[-1].why == 'Outweighed by "secret/data/app/db": that one names the exact path.'
    assert found.smallest_rule == ""
    assert "take" in found.notes[-1]


def test_a_missing_capability_is_proposed_together_with_what_the_rule_would_replace():
    found = explain([APP], Verb.UPDATE, "secret/data/app/db", now=NOW)
    assert found.reason == "capability_missing"
    assert (
        found.smallest_rule == 'path "secret/data/app/db" {\n  capabilities = ["read", "list", "update"]\n}\n'
    )


def test_a_path_without_data_is_recognised():
    found = explain([APP], Verb.READ, "secret/app/db", now=NOW)
    assert (found.allowed, found.reason) == (False, "no_rule")
    assert any('grants read on "secret/data/app/db"' in note for note in found.notes)
    assert any("which this request lacks" in near.why for near in found.near)


def test_a_rule_without_data_is_recognised():
    found = explain([policy("p", 'path "kv/app" { policy = "read" }')], Verb.READ, "kv/data/app", now=NOW)
    assert "needs kv/data/ in front" in found.near[0].why


def test_a_listing_under_data_is_pointed_to_metadata():
    found = explain(
        [policy("p", 'path "kv/metadata/*" { policy = "read" }')], Verb.LIST, "kv/data/app/", now=NOW
    )
    assert any("lists keys under kv/metadata/app/" in note for note in found.notes)


def near_of(rule: str, path: str, verb: Verb = Verb.READ) -> str:
    return explain([Policy(name="p", rules=(Rule(rule, ("read",)),))], verb, path, now=NOW).near[0].why


def test_nearly_matching_rules_say_why_not():
    assert "upper and lower case" in near_of("kv/App", "kv/app")
    assert "slash at the end" in near_of("kv/app/", "kv/app")
    assert 'without "v1/"' in near_of("v1/kv/app", "kv/app")
    assert "one segment of any name is +" in near_of("kv/*/db", "kv/app/db")
    assert "only the last character" in near_of("kv/*/db", "kv/app/x/db")
    assert "within a segment" in near_of("kv/app+/db", "kv/apple/db")
    assert "below this path" in near_of("kv/app/*", "kv/app")
    assert "exactly its own path; for all below" in near_of("kv/app", "kv/app/db")
    assert 'the rule has "prod", the request "dev"' in near_of("kv/prod/db", "kv/dev/db")
    assert explain([policy("p", 'path "other" { policy = "read" }')], Verb.READ, "kv/app", now=NOW).near == ()


def test_an_expired_rule_is_named():
    expired = Policy(name="p", rules=(Rule("kv/app", ("read",), expires_at=NOW - 1),))
    found = explain([expired], Verb.READ, "kv/app", now=NOW)
    assert found.near[0].why.startswith("Expired at 2027-01-15T")


def test_a_condition_is_named_by_parameter_and_never_by_value():
    text = 'path "auth/token/create" { capabilities = ["update"] allowed_parameters { "ttl" = ["1h"] } }'
    found = explain([policy("p", text)], Verb.UPDATE, "auth/token/create", {"ttl": "canary"}, now=NOW)
    assert found.reason == "allowed_parameter"
    assert '"ttl"' in found.why
    assert "canary" not in msgspec.json.encode(found).decode()
    assert "Meet the condition" in found.notes[-1]


def test_a_protected_path_needs_sudo():
    reader = policy("p", 'path "sys/audit" { capabilities = ["read"] }')
    found = explain([reader], Verb.READ, "sys/audit", now=NOW, sudo_required=True)
    assert (found.allowed, found.reason) == (False, "sudo_missing")
    assert '"sudo"' in found.smallest_rule
    assert explain([reader], Verb.HELP, "sys/audit", now=NOW, sudo_required=True).allowed


def test_a_denial_left_over_from_a_template_says_so():
    text = 'path "a/{{identity.entity.id}}" { policy = "deny" }\npath "a/b" { policy = "read" }'
    found = explain([expand(policy("p", text), Identity())], Verb.READ, "a/b", now=NOW)
    assert (found.allowed, found.smallest_rule) == (False, "")
    assert "template has no value" in found.notes[-1]
    assert "overrides every other rule" in found.shadowed[0].why


def test_root_and_help_need_no_rule():
    assert explain([], Verb.READ, "x", now=NOW, root=True).why.startswith("The token is a root token")
    assert explain([APP], Verb.HELP, "x", now=NOW).why == "Help is allowed to everyone."


paths = st.lists(st.sampled_from(["a", "b", "data", "metadata", "ab"]), min_size=1, max_size=4).map("/".join)
patterns = st.builds(
    lambda parts, end: ("/".join(parts) + end).replace("+*", "+"),
    st.lists(st.sampled_from(["a", "b", "data", "+", "ab"]), min_size=1, max_size=4),
    st.sampled_from(["", "*", "/*"]),
)
rules = st.builds(
    lambda path, words: Rule(path, tuple(words)),
    patterns,
    st.lists(st.sampled_from(["read", "update", "list", "deny"]), max_size=2),
)
verbs = st.sampled_from([Verb.READ, Verb.UPDATE, Verb.LIST, Verb.SCAN])


@settings(max_examples=100, deadline=None)
@given(st.lists(rules, max_size=6), verbs, paths, st.booleans())
def test_the_explanation_agrees_with_the_acl_and_its_rule_helps(found, verb, path, sudo):
    given_policy = Policy(name="p", rules=tuple(found))
    explanation = explain([given_policy], verb, path, now=NOW, sudo_required=sudo)
    decision = ACL([given_policy]).check(verb, path, now=NOW)
    assert explanation.allowed == (decision.allowed and (decision.sudo or not sudo))
    assert msgspec.json.encode(explanation)
    if not explanation.allowed and not explanation.smallest_rule:
        assert explanation.notes
    if explanation.smallest_rule:
        added = parse_policy("added", explanation.smallest_rule)
        after = ACL([given_policy, added]).check(verb, path, now=NOW)
        assert after.allowed
        assert after.sudo or not sudo
        before = set(ACL([given_policy]).capabilities(path, now=NOW)) - {"deny"}
        assert before <= set(ACL([given_policy, added]).capabilities(path, now=NOW))


def test_a_path_that_kv_version_2_does_not_have_is_told_even_where_it_is_allowed():
    rule = policy("p", 'path "team/kv/app" { policy = "read" }')
    found = explain([rule], Verb.READ, "team/kv/app", now=NOW, versioned=["team/kv/"])
    assert found.allowed
    assert found.notes == (
        "team/kv/ is KV version 2: the contents of this secret are at team/kv/data/app, its keys and versions at "
        "team/kv/metadata/app, and nothing is at this path.",
    )
    assert explain([rule], Verb.READ, "team/kv/app", now=NOW, versioned=["other/"]).notes == ()


def test_a_rule_without_the_data_of_kv_version_2_is_named_where_it_was_meant():
    rules = [
        policy("p", 'path "team/kv/app/*" { policy = "read" }'),
        policy("q", 'path "x" { policy = "read" }'),
    ]
    found = explain(rules, Verb.READ, "team/kv/data/app/db", now=NOW, versioned=["team/kv/"])
    assert not found.allowed
    (note,) = found.notes
    assert note.startswith('Policy p, line 1, path "team/kv/app/*": ')
    assert '"team/kv/data/app/*" for read' in note
