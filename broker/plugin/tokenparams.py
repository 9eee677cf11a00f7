"""The ``token_*`` parameters that every auth method's roles and users share, in one place.

An argument class takes them in by deriving from ``TokenParams``; a record keeps them as ``TokenSettings``::

    @dataclass(frozen=True, slots=True, kw_only=True)
    class WriteUser(TokenParams):
        username: Annotated[str, Field("The name.")]

    settings = known.tokens.changed(args)   # what was not given stays as it was
    answer = {**settings.shown(), ...}
    return settings.auth(alias=name, display_name=name)

A method whose parameters had other names before (``policies``, ``ttl``) takes those in too, as fields of its argument class
with the types below; ``changed`` reads them, and ``shown`` repeats a value under the old name if it was given so::

    policies: OldPolicies = None

Source: Vault's ``token_*`` parameters, as in its auth method API documentation.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Annotated, Any

import msgspec

from broker.plugin.errors import InvalidRequest, PermissionDenied
from broker.plugin.fields import Field
from broker.plugin.messages import Auth
from broker.plugin.names import policy_names

TYPES = ("default", "service", "batch")
MAX_CIDRS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenParams:
    """What a role or user says of the tokens that its logins get. What is left out stays as it was."""

    token_ttl: Annotated[timedelta | None, Field("Lifetime of the token at first.", minimum=0)] = None
    token_max_ttl: Annotated[
        timedelta | None, Field("The end of its life, as renewals see it.", minimum=0)
    ] = None
    token_explicit_max_ttl: Annotated[
        timedelta | None, Field("The end of its life, set when it is made.", minimum=0)
    ] = None
    token_period: Annotated[
        timedelta | None, Field("Lives as long as it is renewed this often.", minimum=0)
    ] = None
    token_policies: Annotated[list[str] | None, Field("Policies of the token.")] = None
    token_bound_cidrs: Annotated[
        list[str] | None, Field("Networks that may log in and use the token.", max_length=MAX_CIDRS)
    ] = None
    token_no_default_policy: Annotated[bool | None, Field("Leave the default policy out.")] = None
    token_num_uses: Annotated[int | None, Field("Requests the token is good for, 0 for any number.")] = None
    token_type: Annotated[str | None, Field("default, service or batch.")] = None
    token_strictly_bind_ip: Annotated[
        bool | None, Field("Whether only the address that logged in may use the token.")
    ] = None


OLD_NAMES = ("policies", "ttl", "max_ttl", "period", "num_uses", "bound_cidrs")
"""The names of the first parameters before they began with ``token_``."""

OldPolicies = Annotated[list[str] | None, Field("Old name of token_policies.", deprecated=True)]
OldTtl = Annotated[timedelta | None, Field("Old name of token_ttl.", minimum=0, deprecated=True)]
OldMaxTtl = Annotated[timedelta | None, Field("Old name of token_max_ttl.", minimum=0, deprecated=True)]
OldPeriod = Annotated[timedelta | None, Field("Old name of token_period.", minimum=0, deprecated=True)]
OldNumUses = Annotated[int | None, Field("Old name of token_num_uses.", deprecated=True)]
OldBoundCidrs = Annotated[
    list[str] | None, Field("Old name of token_bound_cidrs.", max_length=MAX_CIDRS, deprecated=True)
]


class TokenSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    """``token_*`` parameters as kept in a role's or user's record. Durations in seconds."""

    policies: tuple[str, ...] = ()
    ttl: float = 0
    max_ttl: float = 0
    explicit_max_ttl: float = 0
    period: float = 0
    bound_cidrs: tuple[str, ...] = ()
    no_default_policy: bool = False
    num_uses: int = 0
    type: str = "default"
    strictly_bind_ip: bool = False
    old_names: tuple[str, ...] = ()
    """Which parameters were last given by their old names; a read shows them by both."""

    def changed(self, args: TokenParams) -> "TokenSettings":
        """Return these settings with what ``args`` gives put in. Raises: InvalidRequest, in Vault's words."""
        given = _Given(args, self.old_names)
        policies, networks = given("policies"), given("bound_cidrs")
        new = TokenSettings(
            policies=self.policies if policies is None else policy_names(policies),
            ttl=_seconds(given("ttl"), self.ttl),
            max_ttl=_seconds(given("max_ttl"), self.max_ttl),
            explicit_max_ttl=_seconds(args.token_explicit_max_ttl, self.explicit_max_ttl),
            period=_seconds(given("period"), self.period),
            bound_cidrs=self.bound_cidrs if networks is None else cidrs(networks),
            no_default_policy=_given(args.token_no_default_policy, self.no_default_policy),
            num_uses=_given(given("num_uses"), self.num_uses),
            type=_type(_given(args.token_type, self.type)),
            strictly_bind_ip=_given(args.token_strictly_bind_ip, self.strictly_bind_ip),
            old_names=given.old_names,
        )
        new._check()
        return new

    def _check(self) -> None:
        if self.max_ttl and self.ttl > self.max_ttl:
            raise InvalidRequest("'token_ttl' cannot be greater than 'token_max_ttl'")
        if self.num_uses < 0:
            raise InvalidRequest("'token_num_uses' cannot be negative")
        if self.type == "batch":
            kind = "'token_type' cannot be 'batch' or 'default_batch' when set to generate"
            if self.period:
                raise InvalidRequest(f"{kind} periodic tokens")
            if self.num_uses:
                raise InvalidRequest(f"{kind} tokens with limited use count")

    def shown(self) -> dict[str, Any]:
        """Return the parameters as a read of the role or user answers them."""
        shown = {
            "token_bound_cidrs": list(self.bound_cidrs),
            "token_explicit_max_ttl": int(self.explicit_max_ttl),
            "token_max_ttl": int(self.max_ttl),
            "token_no_default_policy": self.no_default_policy,
            "token_num_uses": self.num_uses,
            "token_period": int(self.period),
            "token_policies": list(self.policies),
            "token_strictly_bind_ip": self.strictly_bind_ip,
            "token_ttl": int(self.ttl),
            "token_type": self.type,
        }
        return {**{name: shown[f"token_{name}"] for name in self.old_names}, **shown}

    def check_source(self, remote_address: str) -> None:
        """Raise PermissionDenied unless a login may come from ``remote_address``."""
        if self.bound_cidrs and not within(remote_address, self.bound_cidrs):
            raise PermissionDenied

    def auth(self, **more: Any) -> Auth:
        """Return the ``Auth`` of a login with these parameters; ``more`` adds alias, names, metadata and so on."""
        policies = (*self.policies, *more.pop("policies", ()))
        return Auth(
            policies=policies,
            ttl=_span(self.ttl),
            max_ttl=_span(self.max_ttl),
            explicit_max_ttl=_span(self.explicit_max_ttl),
            period=_span(self.period),
            num_uses=self.num_uses,
            token_type=self.type,
            no_default_policy=self.no_default_policy,
            bound_cidrs=self.bound_cidrs,
            strictly_bind_ip=self.strictly_bind_ip,
            **more,
        )


_span = lru_cache(1024)(lambda number: timedelta(seconds=number))


def cidrs(texts: Iterable[str]) -> tuple[str, ...]:
    """Return networks in their usual spelling; a bare address is a network of one. Raises: InvalidRequest.

    >>> cidrs(["10.0.0.0/8", "127.0.0.1/32"])
    ('10.0.0.0/8', '127.0.0.1')
    """
    return tuple(_network(text) for text in texts)


def _network(text: str) -> str:
    try:
        network = ipaddress.ip_interface(text)
    except ValueError:
        raise InvalidRequest(
            f'error parsing address "{text[:64]}": expected an IPv4 or IPv6 address or network'
        ) from None
    if "%" in text:  # a zone means something on one machine only
        raise InvalidRequest("error parsing address: expected an address or network without a zone")
    alone = network.network.prefixlen == network.max_prefixlen
    return str(network.ip) if alone else f"{network.ip}/{network.network.prefixlen}"


def within(address: str, networks: Iterable[str]) -> bool:
    """Tell whether an address lies in one of some networks. An IPv4 address mapped into IPv6 counts as itself.

    >>> within("::ffff:10.1.2.3", ["10.0.0.0/8"])
    True
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return any(found in _parsed(network) for network in networks)


@lru_cache(maxsize=4096)
def _parsed(network: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(network, strict=False)


class _Given:
    """Reads a parameter by its name or its old one, noting the latter; the new name wins."""

    def __init__(self, args: TokenParams, old_names: tuple[str, ...]) -> None:
        self._args = args
        self._old = set(old_names)

    def __call__(self, name: str) -> Any:
        new = getattr(self._args, f"token_{name}")
        old = getattr(self._args, name, None)
        if old is not None:
            self._old.add(name)
        elif new is not None:
            self._old.discard(name)
        return old if new is None else new

    @property
    def old_names(self) -> tuple[str, ...]:
        return tuple(sorted(self._old))


def _seconds(given: timedelta | None, known: float) -> float:
    return known if given is None else given.total_seconds()


def _given(value: Any, known: Any) -> Any:
    return known if value is None else value


def _type(name: str) -> str:
    wanted = name or "default"
    if wanted not in TYPES:
        raise InvalidRequest(f"invalid 'token_type' value \"{name[:64]}\"")
    return wanted
