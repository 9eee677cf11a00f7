"""Which accounts a role takes: by name, by namespace, by the labels of the namespace."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from broker.plugin import InvalidRequest
from broker.plugin.names import glob

BAD_SELECTOR = 'invalid "bound_service_account_namespace_selector" configured'
MAX_NESTING = 16


def bound(patterns: Sequence[str], text: str) -> bool:
    """Tell whether one of the patterns, in which ``*`` stands for anything, matches."""
    return any(glob(pattern, text) for pattern in patterns)


def check_names(names: Sequence[str]) -> None:
    """Raises: InvalidRequest for ``*`` among others, and for names that nobody can have."""
    if len(names) > 1 and "*" in names:
        raise InvalidRequest('can not mix "*" with values')
    if any(not name or len(name) > 253 or not name.isprintable() for name in names):
        raise InvalidRequest("expected names of accounts and namespaces")


def read_selector(text: str) -> Mapping[str, str]:
    """Return the labels that a selector asks for. Raises: InvalidRequest for any other selector, and one that asks nothing."""
    if (
        sum(map(text.count, ("[", "{", "- ", "? "))) > MAX_NESTING
    ):  # before a parser that is slow at depth sees it
        raise InvalidRequest(BAD_SELECTOR)
    try:
        found: Any = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise InvalidRequest(BAD_SELECTOR) from None
    labels = found.get("matchLabels") if isinstance(found, dict) and len(found) == 1 else None
    if not isinstance(labels, dict) or not labels:
        raise InvalidRequest(BAD_SELECTOR)
    if not all(isinstance(name, str) and isinstance(label, str) for name, label in labels.items()):
        raise InvalidRequest(BAD_SELECTOR)
    return labels


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Tell whether a namespace's labels are what a selector asks for."""
    return all(labels.get(name) == label for name, label in selector.items())
