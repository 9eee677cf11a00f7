"""What all rules for the same path say together, over all policies of a token."""

from collections.abc import Iterable

from .model import DENY, Parameters, Policy, Rule


class Grant:
    """The merged rules of one path.

    A ``deny`` in any of them is all that remains; otherwise capabilities and parameters add up, and the shorter
    TTLs and the smaller page win. A parameter allowed or denied with any value in one rule is so in all.
    """

    __slots__ = (
        "allowed_parameters", "capabilities", "conditional", "denied_parameters", "denies", "first_rule",
        "keys_filter", "max_wrapping_ttl", "min_wrapping_ttl", "pagination_limit", "path", "required", "sources",
    )  # fmt: skip

    def __init__(self, sources: list[tuple[str, Rule]]) -> None:
        rules = [rule for _, rule in sources]
        self.sources = sources
        self.first_rule = rules[0]
        self.path = rules[0].path
        self.denies = any(rule.denies for rule in rules)
        self.capabilities = frozenset(
            () if self.denies else (word for rule in rules for word in rule.capabilities)
        )
        self.min_wrapping_ttl = _least(rule.min_wrapping_ttl for rule in rules)
        self.max_wrapping_ttl = _least(rule.max_wrapping_ttl for rule in rules)
        self.pagination_limit = int(_least(rule.pagination_limit for rule in rules))
        self.allowed_parameters = _together(rule.allowed_parameters for rule in rules)
        self.denied_parameters = _together(rule.denied_parameters for rule in rules)
        self.required = tuple(dict.fromkeys(name for rule in rules for name in rule.required_parameters))
        self.keys_filter = next((rule.keys_filter for rule in rules if rule.keys_filter), "")
        self.conditional = bool(
            self.min_wrapping_ttl
            or self.max_wrapping_ttl
            or self.pagination_limit
            or self.allowed_parameters
            or self.denied_parameters
            or self.required
        )

    def decider(self, capability: str) -> tuple[str, Rule]:
        """The policy name and rule to name when asked who decided about ``capability``."""
        wanted = DENY if self.denies else capability
        for policy, rule in self.sources:
            if wanted in rule.capabilities:
                return policy, rule
        return self.sources[0]

    def granting(self, capability: str) -> tuple[str, ...]:
        """The names of the policies that grant ``capability`` here."""
        return tuple(dict.fromkeys(name for name, rule in self.sources if capability in rule.capabilities))

    def is_below(self, prefix: str) -> bool:
        """Whether this rule's path lies at or below ``prefix``, which ends in a slash."""
        if not self.first_rule.has_segment_wildcards:
            return self.path.removesuffix("*").startswith(prefix)
        wanted, parts = prefix.removesuffix("/").split("/"), self.path.split("/")
        return len(parts) > len(wanted) and all(
            part in ("+", each) for part, each in zip(parts, wanted, strict=False)
        )


def merge(policies: Iterable[Policy], now: float) -> tuple[list[Grant], list[Grant]]:
    """The grants of all rules in force, one per path, and apart from them the denials that override all."""
    by_path: dict[str, list[tuple[str, Rule]]] = {}
    overriding: dict[str, list[tuple[str, Rule]]] = {}
    for policy in policies:
        for rule in policy.rules:
            if not rule.expired(now):
                table = overriding if rule.overrides else by_path
                table.setdefault(rule.path, []).append((policy.name, rule))
    return [Grant(each) for each in by_path.values()], [Grant(each) for each in overriding.values()]


def _least(values: Iterable[float]) -> float:
    return min((value for value in values if value > 0), default=0)


def _together(blocks: Iterable[Parameters]) -> Parameters:
    merged: Parameters = {}
    for block in blocks:
        for name, values in block.items():
            if name in merged and values and merged[name]:
                merged[name] = merged[name] + values
            else:
                merged[name] = () if name in merged else values
    return merged
