"""Vault's rules for a token made from a token: its policies, its kind, its lifetime, with a role or without.

Source: the token store of OpenBao, whose refusals clients match on word for word.
"""

import re
from collections.abc import Iterable
from datetime import timedelta

import msgspec

from broker.access.lifetimes import Lifetime, Limits, grant, issue_time, whole_seconds
from broker.access.records import TokenEntry
from broker.access.tokens import Found
from broker.plugin.context import Context, Mount
from broker.plugin.errors import InvalidRequest
from broker.plugin.names import policy_names
from broker.plugin.services import NewToken, RoleTerms

_DISPLAY = re.compile(r"[^a-zA-Z0-9-]", re.ASCII)
_CUSTOM_ID = re.compile(r"[\x21-\x7e]{1,256}", re.ASCII)
KINDS = ("", "service", "batch")

UNASSIGNABLE = frozenset(("response-wrapping",))
"""Policies that only the server itself gives out."""


def policies_of(wanted: NewToken, caller: Found | None, *, sudo: bool) -> tuple[str, ...]:
    """Return the policies of a new token. ``caller`` is ``None`` for one from a namespace above.

    Without a role, or with one that names no policies: no more than its maker has, unless that may do anything
    (``sudo``). A role with policies of its own decides by itself. Only root makes root, whatever a role says.
    """
    role, held = wanted.role, set() if caller is None else set(caller.entry.policies)
    if role is not None and _decides(role):
        asked = _by_role(wanted, role, held)
    else:
        asked = _by_maker(wanted, caller is None, held, sudo=sudo)
    if "root" in asked:
        if "root" not in held:
            raise InvalidRequest("root tokens may not be created without parent token being root")
        return ("root",)
    check_assignable(asked)
    return tuple(sorted(asked))


def check_assignable(policies: Iterable[str]) -> None:
    """Raise InvalidRequest for a policy that only the server gives out."""
    if not UNASSIGNABLE.isdisjoint(policies):
        raise InvalidRequest(f'cannot assign policy "{min(UNASSIGNABLE.intersection(policies))}"')


def _by_maker(wanted: NewToken, foreign: bool, held: set[str], *, sudo: bool) -> set[str]:
    asked = set(policy_names(wanted.policies, allow_root=True)) if wanted.policies else set(held)
    if not sudo and not asked <= held:
        raise InvalidRequest("child policies must be subset of parent")
    if "root" in asked:
        return asked
    if wanted.no_default_policy:
        asked.discard("default")
    elif (wanted.policies or foreign) and (sudo or "default" in held):
        asked.add("default")
    return asked


def _decides(role: RoleTerms) -> bool:
    return bool(
        role.allowed_policies
        or role.allowed_policies_glob
        or role.disallowed_policies
        or role.disallowed_policies_glob
    )


def _by_role(wanted: NewToken, role: RoleTerms, held: set[str]) -> set[str]:
    default = not (
        wanted.no_default_policy
        or role.no_default_policy
        or _listed("default", role.disallowed_policies, role.disallowed_policies_glob)
    )
    asked = set(policy_names(wanted.policies, allow_root=True))
    if asked and default and "root" not in asked:
        asked.add("default")
    if role.allowed_policies or role.allowed_policies_glob:
        allowed = {*role.allowed_policies, *({"default"} if default else ())}
        if not all(_listed(name, allowed, role.allowed_policies_glob) for name in asked):
            raise InvalidRequest(
                f"token policies ({_written(asked)}) must be subset of the role's allowed policies "
                f"({_written(allowed)}) or glob policies ({_written(role.allowed_policies_glob)})"
            )
        asked = asked or allowed
    elif not asked:
        asked = {*held, *({"default"} if default and "root" not in held else ())}
    for name in sorted(asked):
        if _listed(name, role.disallowed_policies, role.disallowed_policies_glob):
            raise InvalidRequest(f'token policy "{name}" is disallowed by this role')
    return asked


def _listed(name: str, names: Iterable[str], globs: Iterable[str]) -> bool:
    return name in names or any(globbed(glob, name) for glob in globs)


def globbed(glob: str, text: str) -> bool:
    """Tell whether a text is of a shape in which ``*`` stands for any text, also none.

    >>> globbed("app-*-read", "app-web-read"), globbed("app", "apps")
    (True, False)
    """
    first, *rest = glob.split("*")
    if not rest:
        return glob == text
    if not text.startswith(first):
        return False
    at = len(first)
    for part in rest[:-1]:
        found = text.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return len(text) - at >= len(rest[-1]) and text.endswith(rest[-1])


def _written(names: Iterable[str]) -> str:
    return "[" + " ".join(f'"{name}"' for name in sorted(names)) + "]"


def is_batch(wanted: NewToken) -> bool:
    """Tell which kind of token is to be made: what the role insists on, else what is asked for, else its default."""
    if wanted.type not in KINDS:
        raise InvalidRequest("invalid 'token_type' value")
    role = wanted.role
    if role is not None and (role.type in ("service", "batch") or not wanted.type):
        return role.type in ("batch", "default-batch")
    return wanted.type == "batch"


def check_batch(wanted: NewToken, policies: tuple[str, ...]) -> None:
    """Raise InvalidRequest for what a batch token cannot be."""
    for name, given in (
        ("explicit_max_ttl", wanted.explicit_max_ttl),
        ("num_uses", wanted.num_uses),
        ("period", wanted.period),
    ):
        if given:
            raise InvalidRequest(f'batch tokens cannot have "{name}" set')
    if "root" in policies:
        raise InvalidRequest("batch tokens cannot be root tokens")


def check_alias(wanted: NewToken) -> None:
    """Raise InvalidRequest unless the wanted entity alias is one that the role allows."""
    if not wanted.entity_alias:
        return
    if wanted.role is None:
        raise InvalidRequest("'entity_alias' is only allowed in combination with token role")
    if not _listed(wanted.entity_alias.lower(), (), wanted.role.allowed_entity_aliases):
        raise InvalidRequest("invalid 'entity_alias' value")


def custom_id(text: str, *, sudo: bool) -> str:
    """Return a token of the caller's own choosing. Raises: InvalidRequest."""
    if not sudo:
        raise InvalidRequest("root or sudo privileges required to specify token id")
    if text.startswith(("hvs.", "hvb.", "s.", "b.")):
        raise InvalidRequest(f"custom token ID cannot have the '{text.partition('.')[0]}.' prefix")
    if "." in text:
        raise InvalidRequest("custom token ID cannot have a '.' in the value")
    if not _CUSTOM_ID.fullmatch(text):
        raise InvalidRequest("custom token ID must be 1 to 256 printable ASCII characters")
    return text


def new_entry(
    ctx: Context,
    wanted: NewToken,
    caller: Found | None,
    policies: tuple[str, ...],
    *,
    limits: Limits,
    parent: str,
    accessor: str,
    sudo: bool,
) -> TokenEntry:
    """Return the entry of a new token; warnings go to the caller. Raises: InvalidRequest."""
    role, batch, root = wanted.role, is_batch(wanted), "root" in policies
    if batch:
        check_batch(wanted, policies)
    if wanted.num_uses < 0:
        raise InvalidRequest("number of uses cannot be negative")
    period = seconds(wanted.period, "period must be positive")
    if period and not sudo:
        raise InvalidRequest("root or sudo privileges required to create periodic token")
    ceiling = seconds(wanted.explicit_max_ttl, "explicit_max_ttl must be positive")
    lifetime = _lifetime(ctx, wanted, caller, period, ceiling, root=root, limits=limits)
    entry = TokenEntry(
        accessor="" if batch else accessor,
        policies=policies,
        path=(ctx.mount.prefix + ctx.path).rstrip("/"),
        created_at=int(ctx.now),
        parent=parent,
        display_name=_display_name(wanted.display_name),
        meta=dict(wanted.meta) or None,
        num_uses=wanted.num_uses,
        ttl=lifetime.ttl,
        explicit_max_ttl=ceiling,
        period=period,
        expires_at=ctx.now + lifetime.ttl if lifetime.ttl else 0,
        renewable=wanted.renewable and lifetime.ttl > 0 and not batch,
        type="batch" if batch else "service",
        issue_time=issue_time(ctx.now),
        capped_by=lifetime.capped_by,
    )
    return entry if role is None else _on_terms(entry, role, ctx)


def _on_terms(entry: TokenEntry, role: RoleTerms, ctx: Context) -> TokenEntry:
    """Put in what a role says of its tokens besides their policies and lifetime."""
    uses = [count for count in (entry.num_uses, role.num_uses) if count]
    networks = networks_of(role.bound_cidrs, ctx, strictly=role.strictly_bind_ip)
    batch = entry.type == "batch"
    return msgspec.structs.replace(
        entry,
        role=role.name,
        internal=None if batch else {"role": role.name},
        path=f"{entry.path}/{role.path_suffix}" if role.path_suffix else entry.path,
        num_uses=0 if batch else min(uses, default=0),
        renewable=entry.renewable and role.renewable,
        bound_cidrs=() if entry.root else networks,
    )


def networks_of(cidrs: tuple[str, ...], ctx: Context, *, strictly: bool) -> tuple[str, ...]:
    """Return where a new token may be used from: ``strictly``, only where it was asked for from."""
    if not strictly:
        return cidrs
    address = ctx.connection.remote_address
    if not address:
        raise InvalidRequest("the token is to be bound to an address, but this connection has none")
    return (address,)


def _lifetime(
    ctx: Context,
    wanted: NewToken,
    caller: Found | None,
    period: int,
    ceiling: int,
    *,
    root: bool,
    limits: Limits,
) -> Lifetime:
    """Fold what is asked for with the role and the limits. Zero: a root token that never expires."""
    role = wanted.role
    ttl = seconds(wanted.ttl, "ttl must be positive")
    if role is not None:
        own = ceiling
        period = _lesser(ctx, "Period", period, whole_seconds(role.period))
        ceiling = _lesser(ctx, "Explicit max TTL", ceiling, whole_seconds(role.explicit_max_ttl))
    expiring = ttl or period or ceiling
    if root and caller is not None and caller.entry.expires_at and not expiring:
        raise InvalidRequest("expiring root tokens cannot create non-expiring root tokens")
    if root and not (ttl or period):
        return Lifetime(ceiling)
    granted = grant(ttl, limits=limits, period=period, explicit_max_ttl=ceiling)
    for sentence in granted.warnings:
        ctx.warn(sentence)
    capped_by = limit_name(granted, ctx.mount)
    if role is not None and capped_by == "token" and ceiling != own:
        capped_by = "role"
    return Lifetime(granted.ttl, granted.warnings, capped_by)


def limit_name(granted: Lifetime, mount: Mount, *, role: bool = False) -> str:
    """Return what shortened a lifetime: the token's own maximum (``role``: its role's), the mount's or the system's."""
    if granted.capped_by == "mount" and not mount.config.max_lease_ttl:
        return "system"
    return "role" if role and granted.capped_by == "token" else granted.capped_by


def _lesser(ctx: Context, what: str, asked: int, by_role: int) -> int:
    if not (asked and by_role):
        return asked or by_role
    found = min(asked, by_role)
    ctx.warn(
        f"{what} specified both during creation call and in role; using the lesser value of {found} seconds"
    )
    return found


def _display_name(text: str) -> str:
    return "token" + ("-" + _DISPLAY.sub("-", text).removesuffix("-") if text else "")


def seconds(value: timedelta | None, complaint: str) -> int:
    """Return a duration in whole seconds, zero for none. Raises: InvalidRequest with ``complaint`` if it is negative."""
    if value is None:
        return 0
    if value < timedelta(0):
        raise InvalidRequest(complaint)
    return whole_seconds(value)
