"""May this token do that? The one place where policies are enforced."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from broker.plugin.verbs import Verb

from .grant import Grant, merge
from .keys_filter import render_keys_filter
from .matching import RuleIndex
from .model import DENY, SUDO, Policy
from .parameters import MAX_PAGE, page_refused, refused_parameter

MAX_CACHED: Final = 4096
MAX_CACHED_PATH: Final = 512

#: The order in which OpenBao's ``sys/capabilities`` answers.
_SHOWN_ORDER: Final = ("create", "delete", "list", "patch", "read", "scan", SUDO, "update")

_WITH_PARAMETERS: Final = frozenset({Verb.READ, Verb.UPDATE, Verb.CREATE, Verb.PATCH})
_LISTING: Final = frozenset({Verb.LIST, Verb.SCAN})
_NO_DATA: Final[Mapping[str, object]] = {}


class Decision(msgspec.Struct, frozen=True):
    """What the ACL says about one request.

    ``reason`` is one of ``granted``, ``root``, ``help``, ``no_rule``, ``denied``, ``capability_missing``,
    ``wrap_ttl``, ``required_parameter``, ``denied_parameter``, ``allowed_parameter`` (``parameter`` names it) and
    ``page_limit``. ``policy``, ``rule`` and ``line`` tell which rule decided; ``granting`` lists every policy
    whose rule for this path grants the capability.
    """

    allowed: bool
    reason: str
    root: bool = False
    sudo: bool = False
    policy: str = ""
    rule: str = ""
    line: int = 0
    granting: tuple[str, ...] = ()
    parameter: str = ""
    pagination_limit: int = 0
    keys_filter: str = ""

    def page_limit(self, data: Mapping[str, object]) -> int | None:
        """The ``limit`` that a listing must run with, or None to leave it as the caller gave it.

        0 means no limit: what ``limit=max`` becomes where the policy sets none.
        """
        asked = data.get("limit")
        if asked == MAX_PAGE:
            return self.pagination_limit
        return self.pagination_limit if asked is None and self.pagination_limit else None


_ROOT: Final = Decision(True, "root", root=True, sudo=True, policy="root", granting=("root",))
_HELP: Final = Decision(True, "help")
_NO_RULE: Final = Decision(False, "no_rule")


class ACL:
    """The rules of a token's policies, merged and indexed.

    Templated policies must have been through ``expand``. Root is given by the caller who knows the token;
    no policy text and no policy name makes an ACL root. ``path`` is the full path as the engine sees it,
    without leading slash; ``now`` is Unix time. Build once per set of policies and reuse.
    """

    def __init__(self, policies: Sequence[Policy], *, root: bool = False) -> None:
        self._policies = tuple(policies)
        self._root = root
        self._from, self._until = float("inf"), float("-inf")  # nothing is built yet
        self._cache: dict[tuple[Verb, str], Decision] = {}
        self._decisions: dict[tuple[str, Verb], Decision] = {}

    def check(
        self,
        verb: Verb,
        path: str,
        *,
        data: Mapping[str, object] | None = None,
        wrap_ttl: float | None = None,
        now: float,
    ) -> Decision:
        """Decide; denies unless a rule grants. ``wrap_ttl`` is in seconds, None if no wrapping is asked for."""
        if self._root:
            return _ROOT
        if not self._from < now <= self._until:
            self._build(now)
        decision = self._cache.get((verb, path))
        return decision if decision is not None else self._decide(verb, path, data or _NO_DATA, wrap_ttl)

    def capabilities(self, path: str, *, now: float) -> list[str]:
        """The sorted capabilities on a path, ``["deny"]`` if there are none, ``["root"]`` for root."""
        if self._root:
            return ["root"]
        self._refresh(now)
        grant = self._find(Verb.LIST, path)
        return self._shown(grant) or [DENY]

    def visible_keys(self, decision: Decision, path: str, keys: Sequence[str], *, now: float) -> list[str]:
        """Those keys of a listing of ``path`` that ``decision`` lets the caller see.

        Without a ``keys_filter`` all of them; else keys whose rendered path may be read, and folders
        (``key/``) whose path may be listed. Root-protected paths are the router's concern, not asked here.
        """
        if not decision.keys_filter:
            return list(keys)
        return [key for key in keys if self._is_visible(decision.keys_filter, path, key, now)]

    def _is_visible(self, template: str, path: str, key: str, now: float) -> bool:
        verb = Verb.LIST if key.endswith("/") else Verb.READ
        return self.check(verb, render_keys_filter(template, path, key), now=now).allowed

    def reaches(self, prefix: str, *, now: float) -> bool:
        """Whether anything at or below ``prefix`` (a mount path with its slash) is granted."""
        if self._root or self.capabilities(prefix, now=now) != [DENY]:
            return True
        if prefix.startswith(self._overriding_prefixes):
            return False
        return any(grant.capabilities and grant.is_below(prefix) for grant in self._grants)

    def grants(self, *, now: float) -> Iterator[tuple[str, list[str]]]:
        """Every rule path in force with its merged, sorted capabilities; ``["deny"]`` where it denies."""
        self._refresh(now)
        for grant in self._grants:
            yield grant.path, self._shown(grant) or [DENY]

    def _refresh(self, now: float) -> None:
        if not self._from < now <= self._until:
            self._build(now)

    def _build(self, now: float) -> None:
        """Index the rules in force at ``now`` and note the span of time in which they are the same."""
        ends = [
            rule.expires_at
            for policy in self._policies
            for rule in policy.rules
            if rule.expires_at is not None
        ]
        self._from = max((end for end in ends if end < now), default=float("-inf"))
        self._until = min((end for end in ends if end >= now), default=float("inf"))
        self._grants, self._overriding = merge(self._policies, now)
        self._index: RuleIndex[Grant] = RuleIndex((grant.first_rule, grant) for grant in self._grants)
        self._overriding_prefixes = tuple(grant.path.removesuffix("*") for grant in self._overriding)
        self._cache, self._decisions = {}, {}

    def _find(self, verb: Verb, path: str) -> Grant | None:
        path = path.lstrip("/")
        if path.startswith(self._overriding_prefixes):
            return next(each for each in self._overriding if path.startswith(each.path.removesuffix("*")))
        return self._index.find(path, listing=verb in _LISTING)

    @staticmethod
    def _shown(grant: Grant | None) -> list[str]:
        return [each for each in _SHOWN_ORDER if grant is not None and each in grant.capabilities]

    def _decide(self, verb: Verb, path: str, data: Mapping[str, object], wrap_ttl: float | None) -> Decision:
        if verb is Verb.HELP:
            return _HELP
        grant = self._find(verb, path)
        if grant is None:
            return self._remember(verb, path, _NO_RULE)
        if verb not in grant.capabilities:
            reason = "denied" if grant.denies else "capability_missing"
            return self._remember(verb, path, self._shared(grant, verb, reason))
        if not grant.conditional:
            return self._remember(verb, path, self._shared(grant, verb, "granted"))
        reason, parameter = _refusal(grant, verb, data, wrap_ttl) or ("granted", "")
        return _decision(grant, verb, reason, parameter)

    def _shared(self, grant: Grant, verb: Verb, reason: str) -> Decision:
        """One decision object per rule and verb, so that a full cache of paths stays small."""
        decision = self._decisions.get((grant.path, verb))
        if decision is None:
            decision = self._decisions[grant.path, verb] = _decision(grant, verb, reason)
        return decision

    def _remember(self, verb: Verb, path: str, decision: Decision) -> Decision:
        if len(path) <= MAX_CACHED_PATH:
            if len(self._cache) >= MAX_CACHED:
                self._cache.clear()  # Cheaper than keeping an order of use, and rare.
            self._cache[verb, path] = decision
        return decision


def _refusal(
    grant: Grant, verb: Verb, data: Mapping[str, object], wrap_ttl: float | None
) -> tuple[str, str] | None:
    if grant.max_wrapping_ttl and (wrap_ttl is None or wrap_ttl > grant.max_wrapping_ttl):
        return ("wrap_ttl", "")
    if grant.min_wrapping_ttl and (wrap_ttl is None or wrap_ttl < grant.min_wrapping_ttl):
        return ("wrap_ttl", "")
    if verb in _WITH_PARAMETERS:
        return refused_parameter(
            data, required=grant.required, denied=grant.denied_parameters, allowed=grant.allowed_parameters
        )
    limited = verb in _LISTING and grant.pagination_limit
    if limited and page_refused(data, limit=grant.pagination_limit, required=grant.required):
        return ("page_limit", "limit")
    return None


def _decision(grant: Grant, verb: Verb, reason: str, parameter: str = "") -> Decision:
    allowed = reason == "granted"
    policy, rule = grant.decider(verb)
    extra: dict[str, Any] = {}
    if verb in _LISTING and allowed:
        extra = {"pagination_limit": grant.pagination_limit, "keys_filter": grant.keys_filter}
    return Decision(
        allowed=allowed,
        reason=reason,
        sudo=SUDO in grant.capabilities,
        policy=policy,
        rule=rule.path,
        line=rule.line,
        granting=grant.granting(verb) if allowed else (),
        parameter=parameter,
        **extra,
    )
