"""Token roles as kept: what a write changes, what a read shows, and the terms they set for new tokens.

Source: Vault's token auth API documentation, ``auth/token/roles``.
"""

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import msgspec

from broker.plugin import InvalidRequest, UnsupportedPath
from broker.plugin.names import policy_names
from broker.plugin.services import RoleTerms
from broker.plugin.tokenparams import cidrs

from . import paths as p

PREFIX = "role/"
TYPES = ("service", "batch", "default-service", "default-batch")
_NAME = re.compile(r"\w(?:[\w.-]*\w)?", re.ASCII)
_SUFFIX = re.compile(r"[\w.-]{1,256}", re.ASCII)
_GLOB = re.compile(r"[a-z0-9._/*-]{1,256}", re.ASCII)
OLD = {
    "period": "token_period",
    "explicit_max_ttl": "token_explicit_max_ttl",
    "bound_cidrs": "token_bound_cidrs",
}
"""Old names of parameters, which a read shows again if they were used."""


class TokenRole(msgspec.Struct, frozen=True, omit_defaults=True):
    """A role. Durations in seconds. ``old_names``: parameters last written by their old name."""

    v: int = 1
    allowed_policies: tuple[str, ...] = ()
    allowed_policies_glob: tuple[str, ...] = ()
    disallowed_policies: tuple[str, ...] = ()
    disallowed_policies_glob: tuple[str, ...] = ()
    allowed_entity_aliases: tuple[str, ...] | None = None
    orphan: bool = False
    renewable: bool = True
    path_suffix: str = ""
    period: float = 0
    explicit_max_ttl: float = 0
    num_uses: int = 0
    no_default_policy: bool = False
    type: str = "default-service"
    bound_cidrs: tuple[str, ...] = ()
    strictly_bind_ip: bool = False
    old_names: tuple[str, ...] = ()

    def changed(self, args: p.WriteRole) -> "TokenRole":
        """Return this role with what ``args`` gives put in. Raises: InvalidRequest, in Vault's words."""
        period = args.token_period if args.token_period is not None else args.period
        ceiling = (
            args.token_explicit_max_ttl if args.token_explicit_max_ttl is not None else args.explicit_max_ttl
        )
        networks = args.token_bound_cidrs if args.token_bound_cidrs is not None else args.bound_cidrs
        new = TokenRole(
            allowed_policies=_names(args.allowed_policies, self.allowed_policies),
            allowed_policies_glob=_globs(args.allowed_policies_glob, self.allowed_policies_glob),
            disallowed_policies=_names(args.disallowed_policies, self.disallowed_policies, allow_root=True),
            disallowed_policies_glob=_globs(args.disallowed_policies_glob, self.disallowed_policies_glob),
            allowed_entity_aliases=_aliases(args.allowed_entity_aliases, self.allowed_entity_aliases),
            orphan=_given(args.orphan, self.orphan),
            renewable=_given(args.renewable, self.renewable),
            path_suffix=_suffix(_given(args.path_suffix, self.path_suffix)),
            period=self.period if period is None else period.total_seconds(),
            explicit_max_ttl=self.explicit_max_ttl if ceiling is None else ceiling.total_seconds(),
            num_uses=_given(args.token_num_uses, self.num_uses),
            no_default_policy=_given(args.token_no_default_policy, self.no_default_policy),
            type=_type(_given(args.token_type, self.type)),
            bound_cidrs=self.bound_cidrs if networks is None else cidrs(networks),
            strictly_bind_ip=_given(args.token_strictly_bind_ip, self.strictly_bind_ip),
            old_names=self._old_names(args),
        )
        new._check()
        return new

    def _old_names(self, args: p.WriteRole) -> tuple[str, ...]:
        used = set(self.old_names)
        for old, name in OLD.items():
            if getattr(args, name) is not None:
                used.discard(old)
            elif getattr(args, old) is not None:
                used.add(old)
        return tuple(sorted(used))

    def _check(self) -> None:
        if self.num_uses < 0:
            raise InvalidRequest("error parsing role fields: 'token_num_uses' cannot be negative")
        if self.type == "batch":
            batch = "'token_type' cannot be 'batch' when role is set to generate"
            if not self.orphan:
                raise InvalidRequest(f"{batch} non-orphan tokens")
            if self.period:
                raise InvalidRequest(f"{batch} periodic tokens")
            if self.renewable:
                raise InvalidRequest(f"{batch} renewable tokens")
            if self.explicit_max_ttl:
                raise InvalidRequest(f"{batch} tokens with an explicit max TTL")

    def shown(self, name: str) -> dict[str, Any]:
        """Return the role as a read answers it."""
        aliases = self.allowed_entity_aliases
        shown: dict[str, Any] = {
            "allowed_entity_aliases": None if aliases is None else list(aliases),
            "allowed_policies": list(self.allowed_policies),
            "allowed_policies_glob": list(self.allowed_policies_glob),
            "disallowed_policies": list(self.disallowed_policies),
            "disallowed_policies_glob": list(self.disallowed_policies_glob),
            "explicit_max_ttl": int(self.explicit_max_ttl) if "explicit_max_ttl" in self.old_names else 0,
            "name": name,
            "orphan": self.orphan,
            "path_suffix": self.path_suffix,
            "period": int(self.period) if "period" in self.old_names else 0,
            "renewable": self.renewable,
            "token_explicit_max_ttl": int(self.explicit_max_ttl),
            "token_no_default_policy": self.no_default_policy,
            "token_period": int(self.period),
            "token_type": self.type,
        }
        if self.bound_cidrs:
            shown["token_bound_cidrs"] = list(self.bound_cidrs)
            if "bound_cidrs" in self.old_names:
                shown["bound_cidrs"] = list(self.bound_cidrs)
        if self.num_uses:
            shown["token_num_uses"] = self.num_uses
        if self.strictly_bind_ip:
            shown["token_strictly_bind_ip"] = True
        return shown

    def terms(self, name: str) -> RoleTerms:
        """Return what the role says of new tokens."""
        return RoleTerms(
            name=name,
            allowed_policies=self.allowed_policies,
            allowed_policies_glob=self.allowed_policies_glob,
            disallowed_policies=self.disallowed_policies,
            disallowed_policies_glob=self.disallowed_policies_glob,
            allowed_entity_aliases=self.allowed_entity_aliases or (),
            orphan=self.orphan,
            renewable=self.renewable,
            path_suffix=self.path_suffix,
            period=timedelta(seconds=self.period),
            explicit_max_ttl=timedelta(seconds=self.explicit_max_ttl),
            num_uses=self.num_uses,
            no_default_policy=self.no_default_policy,
            type=self.type,
            bound_cidrs=self.bound_cidrs,
            strictly_bind_ip=self.strictly_bind_ip,
        )


def checked_name(name: str) -> str:
    """Return a role's name. Raises: UnsupportedPath for one that no role can have."""
    if len(name) > 256 or not _NAME.fullmatch(name):
        raise UnsupportedPath
    return name


def doubled(args: p.WriteRole) -> list[str]:
    """Return a warning for each parameter that was given by both its names."""
    return [
        f"Both '{name}' and deprecated '{old}' value supplied, ignoring the deprecated value"
        for old, name in OLD.items()
        if getattr(args, name) is not None and getattr(args, old) is not None
    ]


def _given(value: Any, known: Any) -> Any:
    return known if value is None else value


def _names(given: list[str] | None, known: tuple[str, ...], *, allow_root: bool = False) -> tuple[str, ...]:
    return known if given is None else policy_names(given, allow_root=allow_root)


def _globs(given: list[str] | None, known: tuple[str, ...]) -> tuple[str, ...]:
    if given is None:
        return known
    found = {text.strip().lower() for text in given if text.strip()}
    if not all(_GLOB.fullmatch(text) for text in found):
        raise InvalidRequest("invalid policy glob: expected the characters a-z 0-9 . _ / - and *")
    return tuple(sorted(found))


def _aliases(given: Iterable[str] | None, known: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return known if given is None else tuple(dict.fromkeys(text.strip().lower() for text in given))


def _suffix(text: str) -> str:
    if text and not _SUFFIX.fullmatch(text):
        raise InvalidRequest("given role path suffix contains invalid characters; must match \\w[\\w-.]+\\w")
    return text


def _type(name: str) -> str:
    if name not in TYPES:
        raise InvalidRequest(f"invalid 'token_type' value \"{name[:64]}\"")
    return name
