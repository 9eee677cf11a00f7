"""Why was that allowed, or not? Answers in sentences, from the rules that took part."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from broker.plugin.verbs import Verb

from .acl import ACL, Decision
from .kv2 import about_path, about_rule, mount_of
from .matching import matches, precedence
from .model import SUDO, Policy, Rule, to_hcl
from .near import near_miss
from .times import show_instant

MAX_LISTED: Final = 10

Source = tuple[str, Rule]


class RuleNote(msgspec.Struct, frozen=True):
    """A rule that took part and one sentence about its part."""

    policy: str
    rule: str
    line: int
    capabilities: tuple[str, ...]
    why: str


class Explanation(msgspec.Struct, frozen=True):
    """The decision, who made it, and what would change it.

    ``shadowed`` are rules that match the path but are outweighed, ``near`` are rules that almost match.
    ``smallest_rule`` is policy text that, added to the caller's policies, allows this request and nothing else
    new; empty if it is allowed already or if no rule can help, which ``notes`` then explains.
    """

    allowed: bool
    operation: str
    path: str
    reason: str
    why: str
    policy: str = ""
    rule: str = ""
    line: int = 0
    shadowed: tuple[RuleNote, ...] = ()
    near: tuple[RuleNote, ...] = ()
    smallest_rule: str = ""
    notes: tuple[str, ...] = ()


def explain(
    policies: Sequence[Policy],
    verb: Verb,
    path: str,
    data: Mapping[str, object] | None = None,
    wrap_ttl: float | None = None,
    *,
    now: float,
    root: bool = False,
    sudo_required: bool = False,
    versioned: Sequence[str] = (),
) -> Explanation:
    """Explain what ``ACL.check`` says to this request; the policies must have been through ``expand``.

    ``sudo_required`` is for paths that the router marks root-protected; ``versioned`` are the mounts of KV version 2, as
    ``secret/``. Values of ``data`` never appear.
    """
    path = path.lstrip("/")
    decision = ACL(policies, root=root).check(verb, path, data=data, wrap_ttl=wrap_ttl, now=now)
    if decision.allowed and sudo_required and not decision.sudo and verb is not Verb.HELP:
        decision = msgspec.structs.replace(decision, allowed=False, reason="sudo_missing")
    rules = [] if root else [(policy.name, rule) for policy in policies for rule in policy.rules]
    smallest, notes = _remedy(decision, rules, verb, path, now, sudo_required)
    return Explanation(
        allowed=decision.allowed,
        operation=verb.value,
        path=path,
        reason=decision.reason,
        why=_sentence(decision, verb),
        policy=decision.policy,
        rule=decision.rule,
        line=decision.line,
        shadowed=_shadowed(decision, rules, verb, path, now),
        near=() if decision.allowed else _near(rules, verb, path, now),
        smallest_rule=smallest,
        notes=(*notes, *_versioned_notes(rules, path, versioned, now)),
    )


def _sentence(decision: Decision, verb: Verb) -> str:
    where = f'path "{decision.rule}" (policy {decision.policy}, line {decision.line})'
    name = decision.parameter
    sentences: dict[str, str] = {
        "root": "The token is a root token; no policy is asked.",
        "help": "Help is allowed to everyone.",
        "no_rule": "No rule matches this path, and what is not granted is denied.",
        "granted": f"{where} grants {verb.value}.",
        "denied": f"{where} denies this path, and a denial wins over every grant for the same path.",
        "capability_missing": f"{where} is the most specific rule, and it does not grant {verb.value}.",
        "sudo_missing": f"{where} grants {verb.value}, but this path is protected and needs sudo as well.",
        "wrap_ttl": f"{where} wants the response wrapped, with a TTL within its bounds.",
        "required_parameter": f'{where} requires the parameter "{name}", which is missing.',
        "denied_parameter": f'{where} denies the parameter "{name}" or its value.',
        "allowed_parameter": f'{where} does not allow the parameter "{name}" or its value.',
        "page_limit": f"{where} limits listings, and the limit asked for is missing or too large.",
    }
    return sentences[decision.reason]


def _matching(rules: list[Source], verb: Verb, path: str, now: float) -> list[Source]:
    paths = {path, path.removesuffix("/")} if verb in (Verb.LIST, Verb.SCAN) else {path}
    return [
        (name, rule)
        for name, rule in rules
        if not rule.expired(now) and any(matches(rule.path, each) for each in paths)
    ]


def _shadowed(
    decision: Decision, rules: list[Source], verb: Verb, path: str, now: float
) -> tuple[RuleNote, ...]:
    """Rules that match but do not decide, denials first: those are what people are surprised by."""
    found = [(name, rule) for name, rule in _matching(rules, verb, path, now) if rule.path != decision.rule]
    found.sort(key=lambda each: (not each[1].denies, each[0]))
    return tuple(_note(name, rule, _outweighed(rule, decision.rule)) for name, rule in found[:MAX_LISTED])


def _outweighed(rule: Rule, winner: str) -> str:
    if not winner.endswith("*") and "+" not in winner:
        reason = "that one names the exact path"
    else:
        mine, theirs = precedence(rule.path), precedence(winner)
        reasons = (
            "its first wildcard comes later",
            "it does not end in *",
            "it has fewer + segments",
            "it is longer",
            "it comes later in byte order",
        )
        pairs = zip(mine, theirs, reasons, strict=True)
        reason = next((text for one, other, text in pairs if one != other), "it is the same")
        if mine > theirs:
            reason = "it is a denial that overrides every other rule"
    return f'Outweighed by "{winner}": {reason}.'


def _near(rules: list[Source], verb: Verb, path: str, now: float) -> tuple[RuleNote, ...]:
    found: list[tuple[int, RuleNote]] = []
    for name, rule in rules:
        if rule.expires_at is not None and rule.expired(now):
            if matches(rule.path, path):
                found.append((0, _note(name, rule, f"Expired at {show_instant(rule.expires_at)}.")))
        elif not rule.denies and (miss := near_miss(rule.path, path, listing=verb is Verb.LIST)):
            found.append((miss.rank, _note(name, rule, miss.why)))
    found.sort(key=lambda each: each[0])
    return tuple(note for _, note in found[:MAX_LISTED])


def _note(name: str, rule: Rule, why: str) -> RuleNote:
    return RuleNote(policy=name, rule=rule.path, line=rule.line, capabilities=rule.capabilities, why=why)


def _remedy(
    decision: Decision, rules: list[Source], verb: Verb, path: str, now: float, sudo_required: bool
) -> tuple[str, tuple[str, ...]]:
    """The smallest rule that would allow the request, and what else there is to say."""
    if decision.allowed:
        return "", ()
    deciders = [
        rule for _, rule in rules if rule.path == decision.rule and decision.rule and not rule.expired(now)
    ]
    notes = _kv_notes(rules, verb, path, now)
    obstacle = _obstacle(decision, deciders, path)
    if obstacle:
        return "", (*notes, obstacle)
    kept = (
        () if decision.reason == "denied" else tuple(word for rule in deciders for word in rule.capabilities)
    )
    wanted: tuple[Any, ...] = (*kept, verb.value, *((SUDO,) if sudo_required else ()))
    if kept and decision.rule != path:
        notes = (
            *notes,
            f'The rule repeats what "{decision.rule}" grants, because it replaces it for this path.',
        )
    return to_hcl(Rule(path=path, capabilities=tuple(dict.fromkeys(wanted)))), notes


def _obstacle(decision: Decision, deciders: list[Rule], path: str) -> str:
    """Why no further rule can help, or nothing."""
    where = f'"{decision.rule}" in policy {decision.policy}, line {decision.line}'
    if any(rule.overrides for rule in deciders):
        return f"No rule outweighs the denial {where}: its template has no value for this caller."
    if decision.rule == path and decision.reason == "denied":
        return f"No rule outweighs a denial of the same path: take {where} away."
    if decision.rule == path and decision.reason not in ("capability_missing", "sudo_missing"):
        return f"Meet the condition, or change it in {where}: rules for the same path add up with it."
    if path.endswith("*") or path == "+" or path.startswith("+/") or "/+" in path or "{{" in path:
        return "The path contains wildcard characters, so no rule can name it exactly."
    return ""


def _versioned_notes(rules: list[Source], path: str, mounts: Sequence[str], now: float) -> Iterator[str]:
    """Say where a request, or a rule that was probably meant for it, lacks the ``data/`` of a KV version 2 mount."""
    mount = mount_of(path, mounts)
    if not mount:
        return
    if text := about_path(path, mounts):
        yield text
        return
    _, _, below = path[len(mount) :].partition("/")
    for name, rule in _matching(rules, Verb.READ, mount + below, now)[:MAX_LISTED]:
        if text := about_rule(rule, mounts):
            yield f'Policy {name}, line {rule.line}, path "{rule.path}": {text}.'


def _kv_notes(rules: list[Source], verb: Verb, path: str, now: float) -> tuple[str, ...]:
    """Point at the ``data/`` and ``metadata/`` of KV version 2 where a rule shows that they were meant."""
    mount, _, rest = path.partition("/")
    kind, _, below = rest.partition("/")
    notes = []
    if verb in (Verb.LIST, Verb.SCAN) and kind == "data":
        notes.append(f"KV version 2 lists keys under {mount}/metadata/{below}, not under data/.")
    candidates = {f"{mount}/data/{rest}": rest, f"{mount}/metadata/{rest}": rest}
    if kind in ("data", "metadata"):
        other = "metadata" if kind == "data" else "data"
        candidates = {f"{mount}/{below}": below, f"{mount}/{other}/{below}": below}
    for candidate in candidates:
        granting = next(
            (s for s in _matching(rules, verb, candidate, now) if verb.value in s[1].capabilities), None
        )
        if granting:
            notes.append(
                f'Policy {granting[0]} grants {verb.value} on "{candidate}"; KV version 2 keeps contents under '
                f"{mount}/data/ and keys and versions under {mount}/metadata/."
            )
    return tuple(notes)
