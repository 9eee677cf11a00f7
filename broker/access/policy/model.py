"""The parsed form of a policy: what storage keeps beside the text, and what the ACL is built from."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

DENY: Final = "deny"
SUDO: Final = "sudo"

#: Every capability a policy may name, in the order in which error messages list them.
CAPABILITIES: Final = ("create", "read", "update", "patch", "delete", "list", "scan", SUDO, DENY)

#: The words of the ``policy = "..."`` shorthand of early policies and what each stands for.
SHORTHANDS: Final[Mapping[str, tuple[str, ...]]] = {
    "deny": (DENY,),
    "read": ("read", "list"),
    "write": ("create", "read", "update", "delete", "list"),
    "sudo": ("create", "read", "update", "delete", "list", SUDO),
}

#: Parameter name (lower case) -> values it may take; an empty tuple stands for any value.
Parameters = dict[str, tuple[Any, ...]]


class Rule(msgspec.Struct, frozen=True, omit_defaults=True):
    """One ``path`` block.

    ``path`` has no leading slash and keeps its trailing ``*`` and its ``{{templates}}``. TTLs are seconds
    and 0 is "not set"; ``expires_at`` is Unix time, ``None`` is never. ``line`` counts from 1.
    ``overrides`` marks a denial that no more specific rule outweighs: what is left of a templated denial
    whose template has no value for this caller. ``written`` is the path as the text has it, where that differs,
    ``void`` what the text grants beside a denial.
    """

    path: str
    capabilities: tuple[str, ...] = ()
    line: int = 0
    allowed_parameters: Parameters = {}
    denied_parameters: Parameters = {}
    required_parameters: tuple[str, ...] = ()
    min_wrapping_ttl: float = 0
    max_wrapping_ttl: float = 0
    pagination_limit: int = 0
    keys_filter: str = ""
    expires_at: float | None = None
    comment: str = ""
    overrides: bool = False
    written: str = ""
    void: tuple[str, ...] = ()

    @property
    def denies(self) -> bool:
        """Whether this block says ``deny``; nothing else it says counts then."""
        return DENY in self.capabilities

    @property
    def has_segment_wildcards(self) -> bool:
        """Whether some path segment begins with ``+``, which puts the rule among the wildcard rules."""
        return self.path == "+" or self.path.startswith("+/") or "/+" in self.path

    def expired(self, now: float) -> bool:
        """Whether the rule has ceased to exist at Unix time ``now``."""
        return self.expires_at is not None and now > self.expires_at


class Policy(msgspec.Struct, frozen=True, omit_defaults=True):
    """A named list of rules. ``templated`` tells that ``expand`` is needed before it can be enforced."""

    v: int = 1
    name: str = ""
    rules: tuple[Rule, ...] = ()
    templated: bool = False


def to_hcl(rule: Rule) -> str:
    """Write a rule's path and capabilities as policy text, for people to read or paste."""
    words = ", ".join(f'"{word}"' for word in rule.capabilities)
    path = rule.path.replace("\\", "\\\\").replace('"', '\\"')
    return f'path "{path}" {{\n  capabilities = [{words}]\n}}\n'
