"""Policies: parse them when written, enforce them on every request, explain what they decided."""

from .acl import ACL, Decision
from .model import Policy, Rule
from .parse import parse_policy
from .template import Alias, Group, Identity, expand

__all__ = ["ACL", "Alias", "Decision", "Group", "Identity", "Policy", "Rule", "expand", "parse_policy"]
