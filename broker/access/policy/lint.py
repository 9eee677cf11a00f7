"""Warnings about policies that say something else than their authors think."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from .kv2 import about_rule
from .matching import matches, precedence
from .model import SUDO, Policy, Rule
from .template import template_names, unknown_template
from .times import show_instant

MAX_WARNINGS: Final = 50
MAX_COMPARISONS: Final = 50_000

#: Stands for "any name" when asking whether one pattern covers another; no path contains it.
_ANY: Final = "\x00"


def lint(
    policy: Policy,
    *,
    now: float | None = None,
    sudo_paths: Iterable[str] = (),
    versioned: Iterable[str] = (),
) -> list[str]:
    """Warnings in the order of the lines, each naming path and line; empty for a clean policy.

    ``sudo_paths`` are the root-protected paths, as patterns; ``now`` is Unix time, for expired rules; ``versioned`` are
    the mounts of KV version 2, as ``secret/``.
    """
    protected, versioned = tuple(sudo_paths), tuple(versioned)
    found: list[tuple[int, str]] = []
    for rule in policy.rules:
        said = (*_one(rule, now), about_rule(rule, versioned))
        found += ((rule.line, f'path "{rule.path}" (line {rule.line}): {text}') for text in said if text)
        found += ((rule.line, text) for text in _sudo(rule, protected))
    found += _duplicates(policy.rules)
    found += _shadowed_denials(policy.rules)
    found.sort(key=lambda each: each[0])
    warnings = [text for _, text in found]
    if len(warnings) > MAX_WARNINGS:
        return [*warnings[:MAX_WARNINGS], f"and {len(warnings) - MAX_WARNINGS} more warnings"]
    return warnings


def _one(rule: Rule, now: float | None) -> Iterator[str]:
    """What can be said about a rule on its own."""
    yield from _about_path(rule)
    yield from _about_kv(rule)
    if not rule.capabilities:
        yield "it has no capabilities, so it grants nothing and hides broader rules for this path"
    if rule.void:
        yield f"deny makes the rest of the rule void; not granted: {', '.join(rule.void)}"
    if now is not None and rule.expires_at is not None and rule.expired(now):
        yield f"it expired at {show_instant(rule.expires_at)} and has no effect"
    for name in template_names(rule.path):
        if unknown_template(name):
            yield f'"{{{{{name}}}}}" is not a known template, so the rule never takes effect'


def _about_path(rule: Rule) -> Iterator[str]:
    path = rule.path
    if rule.written or path.startswith("/"):
        yield "paths begin with the mount; one leading slash is ignored, more are part of the path"
    if path.startswith("v1/"):
        yield 'paths begin with the mount; "v1/" belongs to the URL only'
    if "*" in path[:-1]:
        yield "a * before the end is a plain character; use + for one segment of any name"
    if any("+" in segment and segment != "+" for segment in path.split("/")):
        yield "a + within a segment is a plain character; it is a wildcard only as a whole segment"
    if path.endswith("/") and not rule.denies and set(rule.capabilities) - {"list", "scan", SUDO}:
        yield "it ends in a slash and covers nothing below; to cover everything below, end it with /*"
    if rule.denies and path.endswith("/"):
        yield "it denies the path with the slash only; what is below stays open: end it with /* to deny that"


def _about_kv(rule: Rule) -> Iterator[str]:
    segments = rule.path.split("/")
    if len(segments) < 3 or segments[1] != "data" or rule.denies:
        return
    if {"list", "scan"} & set(rule.capabilities):
        yield f"KV version 2 lists keys under {segments[0]}/metadata/, so list and scan have no effect under data/"
    conditions = {*rule.allowed_parameters, *rule.denied_parameters} - {"*", "data", "options", "version"}
    if conditions:
        yield (
            f'KV version 2 wraps a secret in the parameter "data", so a condition on '
            f'"{min(conditions)}" does not see the keys of the secret'
        )


def _sudo(rule: Rule, protected: Sequence[str]) -> Iterator[str]:
    if rule.denies or SUDO in rule.capabilities or not rule.capabilities:
        return
    if any(covers(pattern, rule.path) for pattern in protected):
        yield f'path "{rule.path}" (line {rule.line}): this path is root-protected; without sudo the rule has no effect'


def _duplicates(rules: Sequence[Rule]) -> Iterator[tuple[int, str]]:
    first: dict[str, Rule] = {}
    for rule in rules:
        earlier = first.setdefault(rule.path, rule)
        if earlier is rule:
            continue
        effect = "deny wins" if earlier.denies or rule.denies else "they add up"
        yield (rule.line, f'path "{rule.path}" (line {rule.line}): also on line {earlier.line}; {effect}')


def _shadowed_denials(rules: Sequence[Rule]) -> Iterator[tuple[int, str]]:
    """Denials that a grant with higher precedence takes something, or everything, away from."""
    denials = [rule for rule in rules if rule.denies]
    grants = [rule for rule in rules if rule.capabilities and not rule.denies]
    if len(denials) * len(grants) > MAX_COMPARISONS:
        return
    for denial in denials:
        for grant in grants:
            if grant.path == denial.path or not _outweighs(grant, denial):
                continue
            where = f'path "{denial.path}" (line {denial.line})'
            by = f'"{grant.path}" (line {grant.line})'
            if covers(denial.path, grant.path):
                yield (denial.line, f"{where}: the deny does not hold for {by}, which is more specific")
            elif covers(grant.path, denial.path):
                yield (denial.line, f"{where}: the deny never takes effect, because {by} takes precedence")


def _outweighs(grant: Rule, denial: Rule) -> bool:
    is_exact = not grant.path.endswith("*") and not grant.has_segment_wildcards
    return is_exact or precedence(grant.path) > precedence(denial.path)


def covers(pattern: str, other: str) -> bool:
    """Whether ``pattern`` matches every path that the pattern ``other`` matches.

    >>> covers("a/*", "a/+/c"), covers("a/+/c", "a/*")
    (True, False)
    """
    is_glob = other.endswith("*")
    sample = "/".join(_ANY if segment == "+" else segment for segment in other.removesuffix("*").split("/"))
    if not is_glob:
        return matches(pattern, sample)
    return pattern.endswith("*") and matches(pattern, sample + _ANY)
