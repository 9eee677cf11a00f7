"""The ACL's promises: deny by default, the documented precedence, conditions, expiry."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.access.policy import ACL, Policy, Rule, parse_policy
from broker.plugin.verbs import Verb

NOW = 1_800_000_000.0


def acl(*texts: str) -> ACL:
    return ACL([parse_policy(f"p{number}", text) for number, text in enumerate(texts)])


def allows(rules: ACL, verb: Verb, path: str, **request) -> bool:
    return rules.check(verb, path, now=NOW, **request).allowed


def block(path: str, *capabilities: str, extra: str = "") -> str:
    words = ", ".join(f'"{word}"' for word in capabilities)
    return f'path "{path}" {{\n  capabilities = [{words}]\n  {extra}\n}}\n'


def test_without_a_rule_everything_is_denied():
    decision = acl().check(Verb.READ, "secret/data/x", now=NOW)
    assert (decision.allowed, decision.reason) == (False, "no_rule")


def test_help_is_always_allowed_and_never_carries_sudo():
    decision = acl(block("*", "deny")).check(Verb.HELP, "sys/raw", now=NOW)
    assert decision.allowed
    assert not decision.sudo


def test_root_is_given_by_the_caller_and_never_by_a_policy_name():
    assert ACL([], root=True).check(Verb.DELETE, "sys/raw/x", now=NOW).root
    assert not ACL([Policy(name="root")]).check(Verb.READ, "x", now=NOW).allowed
    assert ACL([], root=True).capabilities("x", now=NOW) == ["root"]


@pytest.mark.parametrize(
    ("stronger", "weaker", "path"),
    [
        ("a/b", "a/*", "a/b"),
        ("a/b*", "a/*", "a/bc"),
        ("a/*", "a*", "a/b"),
        ("a/b*", "a/+", "a/bc"),
        ("a/b/+/d", "a/+/c/d", "a/b/c/d"),
        ("a/+/c", "a/+/c*", "a/b/c"),
        ("a/+", "a/*", "a/b"),
        ("a/*", "a/+/c*", "a/b/c"),
        ("a/+/c/d", "a/+/+/d", "a/b/c/d"),
        ("a/+/b/cd*", "a/+/b/c*", "a/x/b/cde"),
        ("+/b", "*", "a/b"),
        ("+/+", "+/*", "a/b"),
    ],
)
def test_the_more_specific_rule_alone_decides(stronger, weaker, path):
    for texts in (
        [block(stronger, "read"), block(weaker, "deny")],
        [block(weaker, "deny"), block(stronger, "read")],
    ):
        assert acl(*texts).capabilities(path, now=NOW) == ["read"]
    for texts in (
        [block(stronger, "deny"), block(weaker, "read")],
        [block(weaker, "read"), block(stronger, "deny")],
    ):
        assert acl(*texts).capabilities(path, now=NOW) == ["deny"]


def test_a_deny_for_the_same_path_wins_in_any_policy_and_any_order():
    allow, deny = block("a/*", "read", "sudo"), block("a/*", "deny")
    for rules in (acl(allow, deny), acl(deny, allow), acl(allow + deny), acl(deny + allow)):
        decision = rules.check(Verb.READ, "a/b", now=NOW)
        assert (decision.allowed, decision.sudo, decision.reason) == (False, False, "denied")


def test_capabilities_for_the_same_path_add_up_over_policies():
    rules = acl(block("a", "read"), block("a", "list", "sudo"))
    assert rules.capabilities("a", now=NOW) == ["list", "read", "sudo"]
    assert rules.check(Verb.READ, "a", now=NOW).granting == ("p0",)


def test_a_plus_stands_for_exactly_one_segment():
    rules = acl(block("a/+/c", "read"))
    assert allows(rules, Verb.READ, "a/b/c")
    assert not any(allows(rules, Verb.READ, path) for path in ("a/c", "a/b/b/c", "a/b/c/", "a/b"))


def test_a_plus_within_a_segment_and_a_star_within_a_path_are_plain_characters():
    rules = acl(block("a/+b", "read"), block("a/*/c", "read"), block("x+/y", "read"))
    assert all(allows(rules, Verb.READ, path) for path in ("a/+b", "a/*/c", "x+/y"))
    assert not any(allows(rules, Verb.READ, path) for path in ("a/bb", "a/b/c", "xx/y"))


def test_a_listing_of_a_folder_is_decided_by_the_rule_with_or_without_the_slash():
    for path in ("a/b", "a/b/", "a/+", "a/b*"):
        assert allows(acl(block(path, "list")), Verb.LIST, "a/b/")
    assert not allows(acl(block("a/b", "read")), Verb.READ, "a/b/")
    assert not allows(acl(block("a/b/", "list")), Verb.LIST, "a/b")


def test_a_listing_with_the_slash_is_first_decided_by_patterns_for_that_path():
    """A denial of everything below a folder stops the listing of the folder, too."""
    for denial in ("m/x/*", "m/x*", "m/+/", "m/x", "m/x/"):
        assert not allows(acl(block("m/*", "list"), block(denial, "deny")), Verb.LIST, "m/x/"), denial
    assert allows(acl(block("m/*", "list"), block("m/+", "deny")), Verb.LIST, "m/x/")


def test_conditions_are_judged_again_for_every_request():
    rules = acl(block("a", "update", extra='allowed_parameters { "ttl" = ["1h", "2*"] }'))
    assert allows(rules, Verb.UPDATE, "a", data={"ttl": "1h"})
    assert not allows(rules, Verb.UPDATE, "a", data={"ttl": "3h"})
    assert allows(rules, Verb.UPDATE, "a", data={"TTL": "25h"})
    assert not allows(rules, Verb.UPDATE, "a", data={"ttl": "1h", "other": 1})
    assert allows(rules, Verb.UPDATE, "a", data={})


@pytest.mark.parametrize(
    ("extra", "data", "reason"),
    [
        ('denied_parameters = { "*" = [] }', {"x": 1}, "denied_parameter"),
        ('denied_parameters = { "*" = [] }', {}, "granted"),
        ('denied_parameters = { "x" = [] }', {"X": 1}, "denied_parameter"),
        ('denied_parameters = { "x" = ["a*"] }', {"x": "b"}, "granted"),
        ('denied_parameters = { "x" = [1] }', {"x": 1}, "denied_parameter"),
        ('denied_parameters = { "x" = [1] }', {"x": True}, "granted"),
        ('allowed_parameters = { "*" = [] }', {"x": 1}, "granted"),
        ('allowed_parameters = { "*" = [], "x" = ["a"] }', {"x": "b"}, "allowed_parameter"),
        ('allowed_parameters = { "*" = [], "x" = ["a"] }', {"y": "b"}, "granted"),
        ('allowed_parameters = { "x" = [true] }', {"x": 1}, "allowed_parameter"),
        ('allowed_parameters = { "x" = [["a", "b"]] }', {"x": ["a", "b"]}, "granted"),
        ('allowed_parameters = { "x" = [["a", 1]] }', {"x": ["a", True]}, "allowed_parameter"),
        ('allowed_parameters = { "x" = [{ k = 1 }] }', {"x": {"k": 1}}, "granted"),
        ('allowed_parameters = { "x" = ["*"] }', {"x": "b"}, "allowed_parameter"),
        ('allowed_parameters = { "x" = ["*b*"] }', {"x": "abc"}, "granted"),
        ('allowed_parameters = { "x" = ["a"] }', {"x": None}, "allowed_parameter"),
        ('required_parameters = ["X"]', {"x": None}, "granted"),
        ('required_parameters = ["x"]', {}, "required_parameter"),
    ],
)
def test_parameters_are_held_to_the_rule(extra, data, reason):
    rules = acl(block("a", "update", extra=extra))
    assert rules.check(Verb.UPDATE, "a", data=data, now=NOW).reason == reason


def test_parameter_rules_do_not_apply_to_delete():
    assert allows(
        acl(block("a", "delete", extra='denied_parameters { "*" = [] }')), Verb.DELETE, "a", data={"x": 1}
    )


def test_merged_parameters_add_up_and_an_empty_list_allows_any_value():
    one = block("a", "update", extra='allowed_parameters { "x" = ["1"], "y" = ["1"] }')
    two = block("a", "update", extra='allowed_parameters { "x" = ["2"], "y" = [] }')
    rules = acl(one, two)
    assert allows(rules, Verb.UPDATE, "a", data={"x": "2", "y": "anything"})
    assert not allows(rules, Verb.UPDATE, "a", data={"x": "3"})


@pytest.mark.parametrize(
    ("wrap_ttl", "allowed"), [(None, False), (30, False), (60, True), (90, True), (120, True), (121, False)]
)
def test_the_wrapping_ttl_must_lie_within_the_rules_bounds(wrap_ttl, allowed):
    rules = acl(block("a", "read", extra='min_wrapping_ttl = "1m"\n max_wrapping_ttl = 120'))
    assert allows(rules, Verb.READ, "a", wrap_ttl=wrap_ttl) is allowed


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [(2, True), ("3", True), ("max", True), (4, False), (0, False), ("-1", False), ("x", False)],
)
def test_no_listing_asks_for_more_than_its_page(asked, allowed):
    rules = acl(block("a", "list", extra="pagination_limit = 3"))
    assert allows(rules, Verb.LIST, "a", data={"limit": asked}) is allowed


def test_a_listing_runs_with_the_policys_page_unless_it_names_one():
    decision = acl(block("a", "list", extra="pagination_limit = 3")).check(Verb.LIST, "a", now=NOW)
    assert [decision.page_limit(data) for data in ({}, {"limit": "max"}, {"limit": 2})] == [3, 3, None]
    free = acl(block("a", "list")).check(Verb.LIST, "a", now=NOW)
    assert [free.page_limit(data) for data in ({}, {"limit": "max"}, {"limit": 2})] == [None, 0, None]


def test_a_required_limit_must_be_given():
    rules = acl(block("a", "list", extra='pagination_limit = 3\n required_parameters = ["limit"]'))
    assert not allows(rules, Verb.LIST, "a")
    assert allows(rules, Verb.LIST, "a", data={"limit": "max"})


def test_a_rule_is_gone_the_moment_after_it_expires_though_its_decision_was_cached():
    rules = ACL([Policy(name="p", rules=(Rule("a", ("read",), expires_at=NOW), Rule("a*", ("list",))))])
    assert rules.check(Verb.READ, "a", now=NOW).allowed
    assert rules.check(Verb.READ, "a", now=NOW).allowed
    assert not rules.check(Verb.READ, "a", now=NOW + 0.001).allowed
    assert rules.check(Verb.LIST, "a", now=NOW + 1).allowed
    assert rules.check(Verb.READ, "a", now=NOW - 1).allowed


def test_the_cache_is_bounded_and_holds_no_long_paths():
    from broker.access.policy.acl import MAX_CACHED

    rules = acl(block("*", "read"))
    for number in range(MAX_CACHED + 10):
        rules.check(Verb.READ, f"a/{number}", now=NOW)
    rules.check(Verb.READ, "a" * 10_000, now=NOW)
    assert 0 < len(rules._cache) <= MAX_CACHED
    assert all(len(path) < 10_000 for _, path in rules._cache)


def test_a_filtered_listing_shows_what_may_be_read_and_folders_that_may_be_listed():
    extra = (
        'list_scan_response_keys_filter_path = "{{ .path | replace \\"metadata\\" \\"data\\" }}{{ .key }}"'
    )
    rules = acl(
        block("kv/metadata/*", "list", extra=extra), block("kv/data/a", "read"), block("kv/data/c/", "list")
    )
    decision = rules.check(Verb.LIST, "kv/metadata/", now=NOW)
    assert rules.visible_keys(decision, "kv/metadata/", ["a", "b", "c/", "d/"], now=NOW) == ["a", "c/"]
    plain = acl(block("kv/*", "list")).check(Verb.LIST, "kv/metadata/", now=NOW)
    assert rules.visible_keys(plain, "kv/metadata/", ["a", "b"], now=NOW) == ["a", "b"]


def test_a_mount_is_reached_by_any_grant_below_it_but_not_by_denials():
    assert acl(block("kv/data/x", "read")).reaches("kv/", now=NOW)
    assert acl(block("kv*", "read")).reaches("kv/", now=NOW)
    assert acl(block("+/data/x", "read")).reaches("kv/", now=NOW)
    assert not acl(block("kv/data/x", "deny")).reaches("kv/", now=NOW)
    assert not acl(block("other/*", "read")).reaches("kv/", now=NOW)


def test_deep_paths_meet_many_wildcard_rules_without_backtracking():
    """Each look-up visits a tree node at most once: exponential work here would never end."""
    deep = "/".join("a" for _ in range(200))
    rules = []
    for number in range(300):
        rules.append(
            Rule(
                "/".join("+" if (number >> bit) & 1 else "a" for bit in range(10)) + f"/+/{number}*",
                ("read",),
            )
        )
        rules.append(Rule("/".join(["+"] * (number % 190)) + f"/a/{number}", ("read",)))
    assert not ACL([Policy(name="p", rules=tuple(rules))]).check(Verb.READ, deep, now=NOW).allowed


# The slow, obviously right model: every rule is tried on its own; the documented order picks the winner.


def model_matches(pattern: str, path: str) -> bool:
    is_glob, body = pattern.endswith("*"), pattern.removesuffix("*")
    wanted, parts = body.split("/"), path.split("/")
    if not is_glob:
        return len(wanted) == len(parts) and all(w in ("+", p) for w, p in zip(wanted, parts, strict=True))
    if len(parts) < len(wanted):
        return False
    heads = zip(wanted[:-1], parts, strict=False)
    return all(w in ("+", p) for w, p in heads) and "/".join(parts[len(wanted) - 1 :]).startswith(wanted[-1])


def model_order(pattern: str):
    body = pattern.removesuffix("*")
    first = len(body)
    for start, segment in ((m, s) for m, s in _segments(body)):
        if segment == "+":
            first = start
            break
    is_glob = pattern.endswith("*")
    return (first, not is_glob, -body.split("/").count("+"), len(body), body)


def _segments(body: str):
    position = 0
    for segment in body.split("/"):
        yield position, segment
        position += len(segment) + 1


def model_capabilities(policies: list[Policy], path: str, *, listing: bool = True) -> list[str]:
    rules = [rule for policy in policies for rule in policy.rules]

    def winner(candidate: str) -> str | None:
        found = {
            r.path for r in rules if ("*" in r.path or "+" in r.path) and model_matches(r.path, candidate)
        }
        return max(found, key=model_order, default=None)

    exact = {rule.path for rule in rules if "*" not in rule.path and "+" not in rule.path}
    candidates = [path, path.removesuffix("/")] if listing else [path]
    decider = next((each for each in candidates if each in exact), None)
    if decider is None:
        decider = next((found for each in candidates if (found := winner(each)) is not None), None)
    words = {word for rule in rules if rule.path == decider for word in rule.capabilities}
    return ["deny"] if not words or "deny" in words else sorted(words)


segment = st.sampled_from(["a", "b", "ab", "ba", ""])
pattern = st.builds(
    lambda parts, star: ("/".join(parts) + star).replace("+*", "+/*"),
    st.lists(st.one_of(segment, st.just("+")), min_size=1, max_size=4),
    st.sampled_from(["", "*", "a*", "/*"]),
).filter(lambda path: not path.startswith("/") and "+a" not in path)
words = st.lists(st.sampled_from(["read", "list", "sudo", "deny", "scan"]), max_size=2)
policy = st.builds(
    lambda rules: Policy(name="p", rules=tuple(Rule(path, tuple(caps)) for path, caps in rules)),
    st.lists(st.tuples(pattern, words), max_size=8),
)
request_path = st.lists(st.sampled_from(["a", "b", "ab", "aba", "c"]), min_size=1, max_size=5).flatmap(
    lambda parts: st.sampled_from(["/".join(parts), "/".join(parts) + "/"])
)


@settings(max_examples=100, deadline=None)
@given(st.lists(policy, max_size=3), st.lists(request_path, min_size=1, max_size=8))
def test_the_acl_agrees_with_a_slow_model(policies, paths):
    rules = ACL(policies)
    for path in paths:
        expected = model_capabilities(policies, path)
        assert rules.capabilities(path, now=NOW) == expected
        granted = set(expected) - {"deny"}
        readable = model_capabilities(policies, path, listing=False)
        assert allows(rules, Verb.READ, path) == ("read" in readable)
        assert allows(rules, Verb.SCAN, path) == ("scan" in granted)
        assert allows(rules, Verb.LIST, path) == ("list" in granted)
        assert allows(rules, Verb.LIST, path) == ("list" in granted)  # now from the cache
