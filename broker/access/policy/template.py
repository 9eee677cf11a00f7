"""``{{identity.entity.id}}`` in rule paths: put in what is known about the caller.

Values are the caller's own words, so they are substituted once, never re-read, and never become a wildcard or
a further path segment. A rule that cannot be filled in grants nothing; a denial that cannot be filled in denies
everything below its fixed beginning.
"""

import logging
import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from broker.plugin.errors import InvalidRequest

from .model import DENY, Policy, Rule

log = logging.getLogger(__name__)

MAX_VALUE: Final = 512

_TEMPLATE = re.compile(r"\{\{([^{}]*)\}\}")
_KNOWN = re.compile(
    r"identity\.(?:entity\.(?:id|name|metadata\..+|aliases\.[^.]+\.(?:id|name|(?:custom_)?metadata\..+))"
    r"|groups\.(?:ids|names)\.[^.]+\.(?:id|name|metadata\..+))"
)


class Alias(msgspec.Struct, frozen=True):
    """How the caller is known to one auth mount; ``accessor`` is that mount's."""

    accessor: str
    id: str = ""
    name: str = ""
    metadata: Mapping[str, str] = {}
    custom_metadata: Mapping[str, str] = {}


class Group(msgspec.Struct, frozen=True):
    """A group the caller belongs to."""

    id: str
    name: str
    metadata: Mapping[str, str] = {}


class Identity(msgspec.Struct, frozen=True):
    """What templates may say about the caller; the empty one stands for a token without an entity."""

    id: str = ""
    name: str = ""
    metadata: Mapping[str, str] = {}
    aliases: tuple[Alias, ...] = ()
    groups: tuple[Group, ...] = ()


def check_template(path: str) -> None:
    """Raise InvalidRequest if braces do not pair up."""
    rest = _TEMPLATE.sub("", path)
    if "{{" in rest or "}}" in rest:
        raise InvalidRequest("failed to validate policy templating: unbalanced templating characters")


def template_names(path: str) -> list[str]:
    """The names between the braces, in order."""
    return [name.strip() for name in _TEMPLATE.findall(path)]


def unknown_template(name: str) -> bool:
    """Whether no caller can ever have a value under this name."""
    return not _KNOWN.fullmatch(name)


def expand(policy: Policy, caller: Identity) -> Policy:
    """The policy with its templates filled in for ``caller``.

    >>> rule = Rule("home/{{identity.entity.name}}/*", ("read",))
    >>> expand(Policy(rules=(rule,), templated=True), Identity(name="ann")).rules[0].path
    'home/ann/*'
    """
    if not policy.templated:
        return policy
    rules = tuple(filled for rule in policy.rules if (filled := _fill(rule, caller, policy.name)) is not None)
    return Policy(name=policy.name, rules=rules)


def _fill(rule: Rule, caller: Identity, policy_name: str) -> Rule | None:
    if "{{" not in rule.path:
        return rule
    values = [lookup(name, caller) for name in template_names(rule.path)]
    safe = [value for value in values if value is not None and is_safe(value)]
    if len(safe) == len(values):
        remaining = iter(safe)
        return msgspec.structs.replace(rule, path=_TEMPLATE.sub(lambda _: next(remaining), rule.path))
    if any(value and not is_safe(value) for value in values):
        # The value itself is not logged: it is the caller's own text.
        log.warning("policy_template_unsafe", extra={"policy": policy_name, "rule": rule.path})
    if not rule.denies:
        return None
    beginning = rule.path[: rule.path.index("{{")]
    return Rule(
        path=_as_literal_prefix(beginning) + "*", capabilities=(DENY,), line=rule.line, overrides=True
    )


def _as_literal_prefix(beginning: str) -> str:
    """Cut before the first wildcard segment, so that the denial covers every way to fill it."""
    match = re.search(r"(?:^|(?<=/))\+(?=/|$)", beginning)
    return beginning[: match.start()] if match else beginning


def is_safe(value: str) -> bool:
    """Whether a value may stand within a path: one plain, non-empty piece without wildcard meaning."""
    return (
        0 < len(value) <= MAX_VALUE
        and not any(mark in value for mark in ("*", "+", "/", ".."))
        and value != "."
        and value.isprintable()
    )


def lookup(name: str, caller: Identity) -> str | None:
    """The value of one template name, or None if this caller has none.

    Names follow Vault's: ``identity.entity.{id,name}``, ``identity.entity.metadata.KEY``,
    ``identity.entity.aliases.ACCESSOR.{id,name}``, ``....{metadata,custom_metadata}.KEY``,
    ``identity.groups.ids.ID.name``, ``identity.groups.names.NAME.id`` and ``....metadata.KEY`` of a group.
    """
    if not caller.id and not caller.name:
        return None
    kind, _, rest = name.removeprefix("identity.").partition(".")
    if not name.startswith("identity."):
        return None
    if kind == "entity":
        return _of_entity(rest, caller)
    if kind == "groups":
        return _of_group(rest, caller.groups)
    return None


def _of_entity(rest: str, caller: Identity) -> str | None:
    if rest in ("id", "name"):
        return caller.id if rest == "id" else caller.name
    field, _, rest = rest.partition(".")
    if field == "metadata":
        return caller.metadata.get(rest)
    if field != "aliases":
        return None
    accessor, _, rest = rest.partition(".")
    found = [alias for alias in caller.aliases if alias.accessor == accessor]
    if len(found) != 1:  # Two aliases on one mount: neither speaks for the caller.
        return None
    field, _, key = rest.partition(".")
    if field in ("id", "name") and not key:
        return found[0].id if field == "id" else found[0].name
    if field in ("metadata", "custom_metadata"):
        return (found[0].metadata if field == "metadata" else found[0].custom_metadata).get(key)
    return None


def _of_group(rest: str, groups: Iterable[Group]) -> str | None:
    by, _, rest = rest.partition(".")
    named, _, field = rest.partition(".")  # So a name with a dot is out of reach, and never ambiguous.
    for group in groups:
        if named != {"ids": group.id, "names": group.name}.get(by):
            continue
        if field in ("id", "name"):
            return group.id if field == "id" else group.name
        if field.startswith("metadata."):
            return group.metadata.get(field.removeprefix("metadata."))
    return None
