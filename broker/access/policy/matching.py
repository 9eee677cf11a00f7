"""Find the one rule that decides about a path.

Order of precedence, as OpenBao documents and does it: an exact path first; then, among all patterns that match,
the one whose first wildcard comes latest; then one without a trailing ``*``; then fewer ``+``; then the longer
one; then the later one in byte order. Only the winner counts: a denial elsewhere does not.

Patterns live in a tree of path segments, and a path is followed through it breadth first, so that each tree node
is visited at most once per look-up: no pattern can make matching backtrack.
"""

from collections.abc import Iterable
from typing import Generic, TypeVar

from .model import Rule

T = TypeVar("T")

#: The larger key wins.
Precedence = tuple[int, bool, int, int, bytes]


def precedence(rule_path: str) -> Precedence:
    """How specific a pattern is; lengths are in UTF-8 bytes."""
    is_prefix = rule_path.endswith("*")
    literal = rule_path.removesuffix("*").encode()
    segments = literal.split(b"/")
    is_wildcard = any(segment.startswith(b"+") for segment in segments)
    first = literal.index(b"+") if is_wildcard else len(literal)
    return (first, not is_prefix, -segments.count(b"+"), len(literal), literal)


class _Node(Generic[T]):
    """One segment of the patterns. ``globs`` are the beginnings of a segment that end in ``*`` here."""

    __slots__ = ("children", "globs", "here", "lengths", "plus")

    def __init__(self) -> None:
        self.children: dict[str, _Node[T]] = {}
        self.plus: _Node[T] | None = None
        self.here: tuple[Precedence, T] | None = None
        self.globs: dict[str, tuple[Precedence, T]] = {}
        self.lengths: tuple[int, ...] = ()  # of the keys of ``globs``, longest first

    def child(self, segment: str) -> "_Node[T]":
        if segment != "+":
            return self.children.setdefault(segment, _Node())
        if self.plus is None:
            self.plus = _Node()
        return self.plus

    def glob(self, segment: str) -> tuple[Precedence, T] | None:
        """The longest ``*`` pattern that continues into ``segment``."""
        for length in self.lengths:
            found = self.globs.get(segment[:length]) if length <= len(segment) else None
            if found is not None:
                return found
        return None


class RuleIndex(Generic[T]):
    """Maps rule paths to what is to be found there; later ``add`` calls replace earlier ones."""

    def __init__(self, entries: Iterable[tuple[Rule, T]]) -> None:
        self._exact: dict[str, T] = {}
        self._root: _Node[T] = _Node()
        for rule, value in entries:
            if rule.has_segment_wildcards or rule.path.endswith("*"):
                self._add_pattern(rule.path, value)
            else:
                self._exact[rule.path] = value

    def _add_pattern(self, path: str, value: T) -> None:
        *parents, last = path.removesuffix("*").split("/")
        node = self._root
        for segment in parents:
            node = node.child(segment)
        if path.endswith("*"):
            node.globs[last] = (precedence(path), value)
            node.lengths = tuple(sorted({*node.lengths, len(last)}, reverse=True))
        else:
            node.child(last).here = (precedence(path), value)

    def find(self, path: str, *, listing: bool = False) -> T | None:
        """The value of the deciding rule, or None if no rule speaks about ``path``.

        Exact rules come before patterns. Listing or scanning ``a/`` falls back to the rules for ``a``, first
        among the exact ones, then among the patterns.
        """
        trimmed = path[:-1] if listing and path.endswith("/") else None
        found = self._exact.get(path)
        if found is None and trimmed is not None:
            found = self._exact.get(trimmed)
        if found is None:
            found = self._match(path)
        if found is None and trimmed is not None:
            found = self._match(trimmed)
        return found

    def _match(self, path: str) -> T | None:
        best: tuple[Precedence, T] | None = None
        frontier = [self._root]
        for segment in path.split("/"):
            following = []
            for node in frontier:
                if node.lengths:
                    best = _better(best, node.glob(segment))
                child = node.children.get(segment)
                if child is not None:
                    following.append(child)
                if node.plus is not None:
                    following.append(node.plus)
            if not following:
                return best[1] if best else None
            frontier = following
        for node in frontier:
            best = _better(best, node.here)
        return best[1] if best else None


def _better(
    one: tuple[Precedence, T] | None, other: tuple[Precedence, T] | None
) -> tuple[Precedence, T] | None:
    if one is None or other is None:
        return one or other
    return one if one[0] >= other[0] else other


def matches(rule_path: str, path: str) -> bool:
    """Whether a single pattern matches a path; for explaining, not for deciding."""
    is_prefix = rule_path.endswith("*")
    if "+" not in rule_path:
        return path.startswith(rule_path[:-1]) if is_prefix else path == rule_path
    pattern, parts = rule_path.removesuffix("*").split("/"), path.split("/")
    if len(parts) < len(pattern) or (len(parts) != len(pattern) and not is_prefix):
        return False
    *heads, last = pattern
    if any(head not in ("+", part) for head, part in zip(heads, parts, strict=False)):
        return False
    candidate = parts[len(heads)]
    return candidate.startswith(last) if is_prefix else last in ("+", candidate)
