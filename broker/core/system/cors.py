"""``sys/config/cors``: pages of other origins that may call the API from a browser.

Source: Vault's ``sys/config/cors`` API documentation; the edge (``broker.http.stored``) acts on what is stored here.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from broker.core.system.parts import SystemBase
from broker.plugin.context import Context
from broker.plugin.errors import InvalidRequest
from broker.plugin.fields import Field, Nothing
from broker.plugin.messages import Response
from broker.plugin.paths import Operation, Path

RECORD = "core/cors"
STANDARD = (
    "Content-Type",
    "Authorization",
    "X-Vault-Token",
    "X-Vault-MFA",
    "X-Vault-No-Request-Forwarding",
    "X-Vault-Wrap-Format",
    "X-Vault-Wrap-TTL",
    "X-Requested-With",
    "X-Vault-AWS-IAM-Server-ID",
    "X-Vault-Policy-Override",
)
"""Headers that pages may always send."""

_ORIGIN = re.compile(r"[\x21-\x7e]{1,512}")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}", re.ASCII)


class CorsRecord(msgspec.Struct, frozen=True):
    """Origins (or ``*`` alone) and headers besides the standard ones."""

    origins: tuple[str, ...]
    headers: tuple[str, ...] = ()
    v: int = 1


@dataclass(frozen=True, slots=True)
class Write:
    allowed_origins: Annotated[list[str], Field("Origins, or * alone for all.", max_length=100)] = ()  # type: ignore[assignment]
    allowed_headers: Annotated[list[str], Field("Headers besides the usual ones.", max_length=100)] = ()  # type: ignore[assignment]


async def read(system: SystemBase, ctx: Context, args: Nothing) -> Response:
    record: CorsRecord | None = await ctx.transaction.load(RECORD, CorsRecord)
    data: dict[str, Any] = {"enabled": record is not None}
    if record is not None:
        data |= {
            "allow_credentials": False,
            "allowed_headers": [*STANDARD, *record.headers],
            "allowed_origins": list(record.origins),
        }
    return Response(data=data, mirror=True)


async def write(system: SystemBase, ctx: Context, args: Write) -> None:
    origins = tuple(args.allowed_origins)
    if not origins:
        raise InvalidRequest("at least one origin or the wildcard must be provided")
    if "*" in origins and len(origins) > 1:
        raise InvalidRequest("to allow all origins the '*' must be the only value for allowed_origins")
    if not all(_ORIGIN.fullmatch(origin) for origin in origins):
        raise InvalidRequest("an origin looks like https://example.com")
    if not all(_HEADER.fullmatch(name) for name in args.allowed_headers):
        raise InvalidRequest("allowed_headers: that is not the name of a header")
    ctx.transaction.save(RECORD, CorsRecord(origins, tuple(args.allowed_headers)))


async def delete(system: SystemBase, ctx: Context, args: Nothing) -> None:
    ctx.transaction.delete(RECORD)


PATHS = (
    Path(
        "config/cors",
        "Pages of other origins that may call the API from a browser.",
        description="Holds for all listeners that have no cors_* settings of their own.",
        read=Operation(Nothing, dict, calls=read, sudo=True, root_only=True, mirror=True),
        update=Operation(Write, None, calls=write, sudo=True, root_only=True),
        delete=Operation(Nothing, None, calls=delete, sudo=True, root_only=True),
    ),
)
