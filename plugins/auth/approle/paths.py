"""What ``auth/approle`` takes. Source: Vault's approle auth API documentation."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from broker.plugin import Field, Json, Page, Secret, TokenParams
from broker.plugin.tokenparams import MAX_CIDRS, OldPeriod, OldPolicies

RoleName = Annotated[str, Field("Name of the role; upper and lower case are the same.", max_length=128)]
RoleId = Annotated[str | None, Field("What a login names the role by; made up if left out.", max_length=512)]
SecretId = Annotated[Secret[str] | None, Field("The secret id.", max_length=4096)]
SecretIdAccessor = Annotated[str, Field("Accessor of the secret id.", max_length=128)]
BindSecretId = Annotated[bool | None, Field("Whether a login needs a secret id.")]
Cidrs = Annotated[list[str] | None, Field("Networks that may log in with a secret id.", max_length=MAX_CIDRS)]
OldCidrs = Annotated[
    list[str] | None,
    Field("Old name of secret_id_bound_cidrs.", max_length=MAX_CIDRS, deprecated=True),
]
NumUses = Annotated[int | None, Field("Logins that a secret id is good for, 0 for any number.")]
SecretTtl = Annotated[timedelta | None, Field("How long a secret id is good, 0 for ever.", minimum=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRole(TokenParams):
    role_name: RoleName
    role_id: RoleId = None
    bind_secret_id: BindSecretId = None
    secret_id_bound_cidrs: Cidrs = None
    bound_cidr_list: OldCidrs = None
    secret_id_num_uses: NumUses = None
    secret_id_ttl: SecretTtl = None
    local_secret_ids: Annotated[
        bool | None, Field("Keep secret ids off replicas; set when the role is made.")
    ] = None
    policies: OldPolicies = None
    period: OldPeriod = None


@dataclass(frozen=True, slots=True)
class OneRole:
    role_name: RoleName


@dataclass(frozen=True, slots=True, kw_only=True)
class RolePage(Page):
    role_name: RoleName


@dataclass(frozen=True, slots=True)
class SetRoleId:
    role_name: RoleName
    role_id: RoleId = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSecretId:
    role_name: RoleName
    metadata: Annotated[
        Json | None, Field("Text pairs for the logins' tokens: an object, JSON in text, or k=v,k=v.")
    ] = None
    cidr_list: Cidrs = None
    token_bound_cidrs: Annotated[
        list[str] | None, Field("Networks that may use the tokens.", max_length=MAX_CIDRS)
    ] = None
    num_uses: NumUses = None
    ttl: SecretTtl = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomSecretId(NewSecretId):
    secret_id: SecretId = None


@dataclass(frozen=True, slots=True)
class OneSecretId:
    role_name: RoleName
    secret_id: SecretId = None


@dataclass(frozen=True, slots=True)
class OneAccessor:
    role_name: RoleName
    secret_id_accessor: SecretIdAccessor = ""


@dataclass(frozen=True, slots=True)
class LogIn:
    role_id: Annotated[str, Field("The role's id.", max_length=4096)] = ""
    secret_id: SecretId = None
