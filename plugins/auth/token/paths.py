"""What ``auth/token`` takes. Source: Vault's token auth API documentation."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from broker.plugin import Field, Secret

Token = Annotated[Secret[str] | None, Field("The token; the caller's own if left out.")]
Increment = Annotated[
    timedelta, Field("How much longer the token should live; the limits of token and mount hold.")
]
Accessor = Annotated[str, Field("Accessor of the token.", max_length=512)]


@dataclass(frozen=True, slots=True)
class Create:
    policies: Annotated[list[str] | None, Field("Policies of the new token; the caller's if left out.")] = (
        None
    )
    id: Annotated[Secret[str] | None, Field("A token of your own choosing; needs sudo.")] = None
    meta: Annotated[dict[str, str] | None, Field("Text pairs shown in audit and lookups.")] = None
    no_parent: Annotated[bool, Field("Make an orphan; needs sudo.")] = False
    no_default_policy: Annotated[bool, Field("Leave the default policy out.")] = False
    renewable: Annotated[bool, Field("Whether the token may be renewed.")] = True
    ttl: Annotated[timedelta | None, Field("Lifetime; the mount's default if left out.")] = None
    lease: Annotated[timedelta | None, Field("Old name of ttl.", deprecated=True)] = None
    explicit_max_ttl: Annotated[timedelta, Field("The end of its life, whatever the renewals.")] = timedelta(
        0
    )
    period: Annotated[timedelta, Field("Lives as long as it is renewed this often; needs sudo.")] = timedelta(
        0
    )
    display_name: Annotated[str, Field("Shown in audit and lookups.", max_length=256)] = ""
    num_uses: Annotated[int, Field("Requests it is good for, 0 for any number.")] = 0
    type: Annotated[str, Field("service or batch.")] = ""
    entity_alias: Annotated[str, Field("Alias of the entity to bind; needs a role.")] = ""


@dataclass(frozen=True, slots=True)
class TokenOnly:
    token: Token = None


@dataclass(frozen=True, slots=True)
class RequiredToken:
    token: Annotated[Secret[str] | None, Field("The token.")] = None


@dataclass(frozen=True, slots=True)
class AccessorOnly:
    accessor: Accessor = ""


@dataclass(frozen=True, slots=True)
class Renew:
    token: Token = None
    increment: Increment = timedelta(0)


@dataclass(frozen=True, slots=True)
class RenewSelf:
    token: Token = None
    increment: Increment = timedelta(0)


@dataclass(frozen=True, slots=True)
class RenewAccessor:
    accessor: Accessor = ""
    increment: Increment = timedelta(0)


@dataclass(frozen=True, slots=True)
class Page:
    after: Annotated[str, Field("List entries behind this one.")] = ""
    limit: Annotated[int | None, Field("At most this many entries.", minimum=0)] = None
