"""The policies in the documentation load, and its precedence table is true."""

import re
from pathlib import Path

import pytest

from broker.access.policy import ACL, Policy, Rule, lint, parse_policy
from broker.plugin.verbs import Verb

PAGE = (Path(__file__).parents[3] / "docs" / "policies.md").read_text()
EXAMPLES = re.findall(r"```hcl\n(.*?)```", PAGE, re.DOTALL)
DECISIONS = re.findall(r"^\| (`.+?) \| read `(\S+)` \| `(\S+)`: (allowed|denied) \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("text", EXAMPLES)
def test_every_example_loads_and_lints_clean(text):
    assert lint(parse_policy("p", text), now=1_800_000_000.0) == []


@pytest.mark.parametrize(("rules", "path", "decider", "outcome"), DECISIONS)
def test_every_line_of_the_precedence_table_holds(rules, path, decider, outcome):
    found = [Rule(each, (word,)) for each, word in re.findall(r"`(\S+)` (read|deny)", rules)]
    if "in another" in rules:
        found.append(Rule(found[0].path, ("deny",)))
    decision = ACL([Policy(rules=(rule,)) for rule in found]).check(Verb.READ, path, now=1_800_000_000.0)
    assert (decision.rule, decision.allowed) == (decider, outcome == "allowed")


def test_the_page_has_examples_and_a_table():
    assert len(EXAMPLES) >= 3
    assert len(DECISIONS) == 5
