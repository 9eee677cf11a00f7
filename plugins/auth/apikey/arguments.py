"""What the paths take."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from broker.plugin import Field, Secret, TokenParams

MAX_PAGE = 1000

Id = Annotated[str, Field("The key's id, as its creation answered it.")]
Name = Annotated[str | None, Field("What or whom the key is for.", max_length=256)]
Metadata = Annotated[
    dict[str, str] | None, Field("Notes, which the tokens of the key carry too.", max_length=64)
]
ExpiresIn = Annotated[timedelta | None, Field("How long the key lives from now on; 0 for ever.", minimum=0)]
ExpiresAt = Annotated[datetime | None, Field("When the key dies; instead of expires_in.")]
KnownVersion = Annotated[
    int | None, Field("The current version as the caller knows it: another one is refused.", minimum=1)
]


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateKey(TokenParams):
    name: Annotated[str, Field("What or whom the key is for.", max_length=256)]
    metadata: Metadata = None
    expires_in: ExpiresIn = None
    expires_at: ExpiresAt = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateKey(TokenParams):
    id: Id
    name: Name = None
    metadata: Metadata = None
    expires_in: ExpiresIn = None
    expires_at: ExpiresAt = None


@dataclass(frozen=True, slots=True)
class OneKey:
    id: Id


@dataclass(frozen=True, slots=True)
class RotateKey:
    id: Id
    grace_period: Annotated[
        timedelta, Field("How long the version so far opens the key as well; 0 ends it at once.", minimum=0)
    ] = timedelta(days=1)
    version: KnownVersion = None


@dataclass(frozen=True, slots=True)
class ListKeys:
    after: Annotated[str, Field("An id to start behind; it need not exist.")] = ""
    limit: Annotated[
        int,
        Field(f"How many to return, 0 for all; with 1 to {MAX_PAGE}, key_info describes each.", minimum=0),
    ] = 0


@dataclass(frozen=True, slots=True)
class LogIn:
    api_key: Annotated[Secret[str], Field("The key.")]
