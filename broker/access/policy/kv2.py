"""The commonest mistake: a rule for KV version 2 without the ``data/`` or ``metadata/`` that its paths have."""

from collections.abc import Iterable, Sequence
from typing import Final

from .model import Rule

#: What the paths of a KV version 2 mount begin with, behind the mount.
FAMILIES: Final = frozenset(
    {"config", "data", "delete", "destroy", "detailed-metadata", "metadata", "subkeys", "undelete"}
)
_LISTING: Final = ("list", "scan")
_CONTENTS: Final = ("create", "read", "update", "patch", "delete")


def mount_of(path: str, mounts: Iterable[str]) -> str:
    """Return which of the mounts (``secret/``) a path or rule lies in; empty if in none."""
    return next((mount for mount in mounts if f"{path}/".startswith(mount)), "")


def is_outside(path: str, mount: str) -> bool:
    """Whether nothing of the mount can be at this path, or at any that this rule's path stands for.

    >>> is_outside("secret/app/*", "secret/"), is_outside("secret/d*", "secret/"), is_outside("secret/+/app", "secret/")
    (True, False, False)
    """
    first = path[len(mount) :].split("/")[0]
    if first == "+":
        return False
    if first.endswith("*") and path.endswith(first):
        return not any(family.startswith(first[:-1]) for family in FAMILIES)
    return first not in FAMILIES


def meant(path: str, mount: str, capabilities: Sequence[str]) -> list[str]:
    """Say which paths a rule without its ``data/`` or ``metadata/`` was probably to name, and for what.

    >>> meant("secret/app/*", "secret/", ("read", "list"))
    ['"secret/data/app/*" for read', '"secret/metadata/app/*" for list']
    """
    below = path[len(mount) :]
    said = []
    for family, words in (("data", _CONTENTS), ("metadata", _LISTING)):
        wanted = [word for word in capabilities if word in words]
        if wanted or "deny" in capabilities:
            said.append(f'"{mount}{family}/{below}" for {", ".join(wanted) or "deny"}')
    return said


def about_rule(rule: Rule, mounts: Iterable[str]) -> str:
    """Return what is to be said of a rule that reaches nothing in a KV version 2 mount; empty if nothing is."""
    mount = mount_of(rule.path, mounts)
    if not mount or not is_outside(rule.path, mount):
        return ""
    paths = meant(rule.path, mount, ("deny",) if rule.denies else rule.capabilities)
    if not paths:
        return ""
    effect = "denies" if rule.denies else "grants"
    return (
        f"{mount} is KV version 2, with contents below {mount}data/ and keys below {mount}metadata/, so this {effect} "
        f"nothing; probably meant: {' and '.join(paths)}"
    )


def about_path(path: str, mounts: Iterable[str]) -> str:
    """Return what is to be said of a request's path that a KV version 2 mount does not have; empty if nothing is."""
    mount = mount_of(path, mounts)
    below = path[len(mount) :]
    if not mount or not below or not is_outside(path, mount):
        return ""
    return (
        f"{mount} is KV version 2: the contents of this secret are at {mount}data/{below}, its keys and versions at "
        f"{mount}metadata/{below}, and nothing is at this path."
    )
