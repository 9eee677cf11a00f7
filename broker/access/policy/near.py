"""Rules that almost match a path, and what keeps them from it."""

from typing import NamedTuple

from .matching import matches


class NearMiss(NamedTuple):
    """``rank`` orders the findings, the most telling first."""

    rank: int
    why: str


def near_miss(rule_path: str, path: str, *, listing: bool = False) -> NearMiss | None:
    """What is between this rule and this path, or None if they match or have little to do with each other."""
    if matches(rule_path, path) or (listing and matches(rule_path, path.removesuffix("/"))):
        return None
    return (
        _spelling(rule_path, path)
        or _wildcards(rule_path, path)
        or _kv(rule_path, path)
        or _length(rule_path, path)
        or _one_segment(rule_path, path)
    )


def _spelling(rule: str, path: str) -> NearMiss | None:
    if matches(rule.lower(), path.lower()):
        return NearMiss(1, "Paths distinguish upper and lower case.")
    if not rule.endswith("*") and (matches(rule, path + "/") or matches(rule, path.removesuffix("/"))):
        return NearMiss(1, "Only the slash at the end differs, and it counts.")
    for prefix in ("/", "v1/", "/v1/"):
        if rule.startswith(prefix) and matches(rule.removeprefix(prefix), path):
            return NearMiss(1, f'A rule path begins with the mount, without "{prefix}".')
    return None


def _wildcards(rule: str, path: str) -> NearMiss | None:
    if "*" in rule[:-1] and matches("/".join("+" if s == "*" else s for s in rule.split("/")), path):
        return NearMiss(2, "A * before the end is a plain character; one segment of any name is +.")
    if "*" in rule[:-1] and path.startswith(rule[: rule.index("*")]):
        return NearMiss(
            3, "A * before the end is a plain character; only the last character can be a wildcard."
        )
    loose = "/".join("+" if "+" in segment else segment for segment in rule.split("/"))
    if loose != rule and matches(loose, path):
        return NearMiss(2, "A + stands for a whole segment; within a segment it is a plain character.")
    return None


def _kv(rule: str, path: str) -> NearMiss | None:
    mount, _, rest = path.partition("/")
    kind, _, below = rest.partition("/")
    if kind in ("data", "metadata"):
        if matches(rule, f"{mount}/{below}"):
            return NearMiss(2, f"On a KV version 2 mount the rule needs {mount}/{kind}/ in front of the key.")
        other = "metadata" if kind == "data" else "data"
        if matches(rule, f"{mount}/{other}/{below}"):
            return NearMiss(2, f"It is about {mount}/{other}/; this request goes to {mount}/{kind}/.")
    elif rest and any(matches(rule, f"{mount}/{each}/{rest}") for each in ("data", "metadata")):
        return NearMiss(2, "It has the data/ or metadata/ of KV version 2, which this request lacks.")
    return None


def _length(rule: str, path: str) -> NearMiss | None:
    if rule.endswith("/*") and matches(rule[:-2], path.removesuffix("/")):
        return NearMiss(3, "It covers what is below this path, not the path itself.")
    if not rule.endswith("*") and matches(rule.removesuffix("/") + "/*", path):
        return NearMiss(3, "It covers exactly its own path; for all below, end it with /*.")
    if matches(rule.removesuffix("*") + "*", path) and not rule.endswith("+"):
        return NearMiss(4, "It covers exactly its own path; to cover all that begins so, end it with *.")
    return None


def _one_segment(rule: str, path: str) -> NearMiss | None:
    wanted, parts = rule.split("/"), path.split("/")
    if len(wanted) != len(parts) or len(parts) < 2:
        return None
    differ = [
        at for at, pair in enumerate(zip(wanted, parts, strict=True)) if pair[0] not in ("+", "*", pair[1])
    ]
    if len(differ) != 1:
        return None
    at = differ[0]
    return NearMiss(5, f'Segment {at + 1} differs: the rule has "{wanted[at]}", the request "{parts[at]}".')
