"""``sys/config/ui/headers``: headers that the pages of the web UI carry. Source: Vault's API documentation."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from broker.core.system.parts import SystemBase
from broker.plugin.context import Context
from broker.plugin.errors import InvalidRequest, NotFound
from broker.plugin.fields import Field, Nothing
from broker.plugin.listings import listing
from broker.plugin.messages import Response
from broker.plugin.paths import Operation, Path

RECORD = "core/ui-headers"
MAX_HEADERS = 100
_NAME = re.compile(r"[A-Za-z0-9-]{1,128}", re.ASCII)
_VALUE = re.compile(r"[\x20-\x7e\x80-\xff]{0,4096}")
_FRAMING = frozenset(("content-length", "content-type", "connection", "transfer-encoding", "date"))
Name = Annotated[str, Field("Name of the header.", max_length=128)]


class UiHeaders(msgspec.Struct, frozen=True):
    """Values of each header, by its name as it is sent (``X-Frame-Options``)."""

    headers: dict[str, list[str]] = {}
    v: int = 1


@dataclass(frozen=True, slots=True)
class Read:
    header: Name
    multivalue: Annotated[bool, Field("Answer with all values.")] = False


@dataclass(frozen=True, slots=True)
class Write:
    header: Name
    values: Annotated[list[str], Field("Values; pages carry them all.", max_length=100)] = ()  # type: ignore[assignment]
    multivalue: Annotated[bool, Field("Ignored: all values are kept.")] = False


@dataclass(frozen=True, slots=True)
class Named:
    header: Name


async def _load(ctx: Context) -> dict[str, list[str]]:
    record = await ctx.transaction.load(RECORD, UiHeaders)
    return {} if record is None else dict(record.headers)


def _canonical(name: str) -> str:
    """Return the one spelling of a header's name."""
    return "-".join(part.capitalize() for part in name.split("-"))


async def listed(system: SystemBase, ctx: Context, args: Nothing) -> dict[str, Any]:
    return listing(sorted(await _load(ctx)))


async def read(system: SystemBase, ctx: Context, args: Read) -> dict[str, Any]:
    values = (await _load(ctx)).get(_canonical(args.header))
    if not values:
        raise NotFound
    return {"values": values} if args.multivalue else {"value": values[0]}


async def write(system: SystemBase, ctx: Context, args: Write) -> Response:
    name, headers = _canonical(args.header), await _load(ctx)
    if not args.values:
        raise InvalidRequest("header and values must be specified")
    if name.startswith("X-Vault-"):
        raise InvalidRequest("X-Vault headers cannot be set")
    if not _NAME.fullmatch(name) or name.lower() in _FRAMING:
        raise InvalidRequest("that is not a header that pages could carry")
    if not all(_VALUE.fullmatch(value) for value in args.values):
        raise InvalidRequest("a header's value is one line of at most 4096 Latin characters")
    if name not in headers and len(headers) >= MAX_HEADERS:
        raise InvalidRequest(f"at most {MAX_HEADERS} headers can be set")
    ctx.transaction.save(RECORD, UiHeaders({**headers, name: list(args.values)}))
    if name == "Content-Security-Policy":
        ctx.warn(
            "overriding default Content-Security-Policy which is secure by default, proceed with caution"
        )
    return Response()


async def delete(system: SystemBase, ctx: Context, args: Named) -> None:
    headers = await _load(ctx)
    if headers.pop(_canonical(args.header), None) is not None:
        ctx.transaction.save(RECORD, UiHeaders(headers))


PATHS = (
    Path(
        "config/ui/headers",
        "List the headers of the web UI's pages.",
        list=Operation(Nothing, dict, calls=listed, sudo=True, root_only=True, raises=(NotFound,)),
    ),
    Path(
        "config/ui/headers/{header}",
        "A header that the web UI's pages carry.",
        read=Operation(Read, dict, calls=read, sudo=True, root_only=True, raises=(NotFound,)),
        update=Operation(Write, dict, calls=write, sudo=True, root_only=True),
        delete=Operation(Named, None, calls=delete, sudo=True, root_only=True),
    ),
)
