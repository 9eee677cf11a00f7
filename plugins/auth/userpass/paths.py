"""What ``auth/userpass`` takes. Source: Vault's userpass auth API documentation."""

from dataclasses import dataclass
from typing import Annotated

from broker.plugin import Field, Secret, TokenParams
from broker.plugin.tokenparams import OldBoundCidrs, OldMaxTtl, OldPolicies, OldTtl

from .hashing import MAX_PASSWORD

Username = Annotated[str, Field("Name of the user; upper and lower case are the same.", max_length=128)]
Password = Annotated[Secret[str] | None, Field("The password.", max_length=MAX_PASSWORD)]
PasswordHash = Annotated[
    Secret[str] | None, Field("The password's bcrypt or argon2id hash, in place of it.", max_length=256)
]


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteUser(TokenParams):
    username: Username
    password: Password = None
    password_hash: PasswordHash = None
    policies: OldPolicies = None
    ttl: OldTtl = None
    max_ttl: OldMaxTtl = None
    bound_cidrs: OldBoundCidrs = None


@dataclass(frozen=True, slots=True)
class OneUser:
    username: Username


@dataclass(frozen=True, slots=True)
class SetPassword:
    username: Username
    password: Password = None
    password_hash: PasswordHash = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPolicies(TokenParams):
    username: Username
    policies: OldPolicies = None


@dataclass(frozen=True, slots=True)
class LogIn:
    username: Annotated[str, Field("Name of the user.")]
    password: Password = None
