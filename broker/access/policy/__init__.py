"""Policies: parse them when written, enforce them on every request, explain what they decided."""

from broker.plugin.names import canonical_name

from .acl import ACL, Decision
from .explain import Explanation, RuleNote, explain
from .lint import lint
from .model import Policy, Rule
from .parse import parse_policy
from .template import Alias, Group, Identity, expand

__all__ = [
    "ACL",
    "Alias",
    "Decision",
    "Explanation",
    "Group",
    "Identity",
    "Policy",
    "Rule",
    "RuleNote",
    "canonical_name",
    "expand",
    "explain",
    "lint",
    "parse_policy",
]
