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


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateByRole(Create):
    role_name: Annotated[str, Field("The role.", max_length=256)]


Names = Annotated[
    list[str] | None, Field("Policies that tokens of the role may have; the parent's if empty.")
]
NotNames = Annotated[list[str] | None, Field("Policies that tokens of the role may not have.")]
Networks = Annotated[
    list[str] | None, Field("Networks that tokens of the role may be used from.", max_length=1024)
]


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRole:
    role_name: Annotated[str, Field("The role.", max_length=256)]
    allowed_policies: Names = None
    allowed_policies_glob: Names = None
    disallowed_policies: NotNames = None
    disallowed_policies_glob: NotNames = None
    allowed_entity_aliases: Annotated[
        list[str] | None,
        Field("Aliases that a token of the role may be made for; may end in *.", max_length=1024),
    ] = None
    orphan: Annotated[bool | None, Field("Whether tokens of the role have no parent.")] = None
    renewable: Annotated[bool | None, Field("Whether tokens of the role may be renewed.")] = None
    path_suffix: Annotated[
        str | None, Field("Put behind the path of tokens of the role.", max_length=256)
    ] = None
    token_period: Annotated[
        timedelta | None, Field("Tokens live as long as renewed this often.", minimum=0)
    ] = None
    period: Annotated[timedelta | None, Field("Old name of token_period.", minimum=0, deprecated=True)] = None
    token_explicit_max_ttl: Annotated[timedelta | None, Field("The end of a token's life.", minimum=0)] = None
    explicit_max_ttl: Annotated[
        timedelta | None, Field("Old name of token_explicit_max_ttl.", minimum=0, deprecated=True)
    ] = None
    token_bound_cidrs: Networks = None
    bound_cidrs: Annotated[
        list[str] | None, Field("Old name of token_bound_cidrs.", max_length=1024, deprecated=True)
    ] = None
    token_num_uses: Annotated[int | None, Field("Requests a token is good for, 0 for any number.")] = None
    token_no_default_policy: Annotated[bool | None, Field("Leave the default policy out.")] = None
    token_type: Annotated[
        str | None, Field("service, batch, or default-service or default-batch where the request decides.")
    ] = None
    token_strictly_bind_ip: Annotated[
        bool | None, Field("Whether a token may be used only from the address it was made from.")
    ] = None


@dataclass(frozen=True, slots=True)
class RoleName:
    role_name: Annotated[str, Field("The role.", max_length=256)]


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
class DiesWith:
    """Another's token than the caller's needs sudo."""

    token: Token = None
    accessor: Accessor = ""
    after: Annotated[str, Field("Go on behind this: next of the page before.", max_length=2048)] = ""
    limit: Annotated[
        int | None, Field("At most this many rows, 100 if left out, 1000 at most.", minimum=0)
    ] = None


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
