"""``sys/audit``, ``sys/audit-hash`` and ``sys/config/auditing/request-headers``.

Source: Vault's ``sys/audit``, ``sys/audit-hash`` and ``sys/config/auditing`` API documentation. A device is a line of one stored
record that every worker follows (``broker.core.devices``); nothing here starts or stops one by itself.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from broker.audit.auditor import Auditor
from broker.audit.table import AuditTable, AuditTableEntry, new_entry, normal_path
from broker.core.devices import HEADERS, TABLE, HeadersRecord
from broker.core.system.parts import SystemBase
from broker.core.system.rate import Rate
from broker.plugin.context import Context
from broker.plugin.errors import InvalidRequest, NotFound, QuotaExceeded
from broker.plugin.fields import Field, Nothing
from broker.plugin.messages import Response
from broker.plugin.paths import Operation, Path

MAX_DEVICES = 16
MAX_HEADERS = 100
CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie", "x-vault-mfa", "x-vault-token"})
"""Headers that never go into a log in clear."""

HASHES = Rate(per_second=2.0, burst=60)
"""Per worker. Whoever has a log and this path could try values until one fits: that must take long, and stand in the log."""

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}", re.ASCII)
DevicePath = Annotated[str, Field("Name of the device.", max_length=256)]
HeaderName = Annotated[str, Field("Name of the header.", max_length=128)]


@dataclass(frozen=True, slots=True)
class AtPath:
    path: DevicePath


@dataclass(frozen=True, slots=True)
class Enable:
    path: DevicePath
    type: Annotated[str, Field("Type of device, such as file.", max_length=128)] = ""
    description: Annotated[str, Field("For people.", max_length=4096)] = ""
    options: Annotated[dict[str, str] | None, Field("Options of the device.", max_length=64)] = None
    local: Annotated[bool, Field("Not replicated.")] = False


@dataclass(frozen=True, slots=True)
class HashValue:
    path: DevicePath
    input: Annotated[str, Field("The text to hash as it would stand in that device's log.")] = ""


@dataclass(frozen=True, slots=True)
class Header:
    header: HeaderName


@dataclass(frozen=True, slots=True)
class RecordHeader:
    header: HeaderName
    hmac: Annotated[bool, Field("Record the values hashed.")] = False


async def _table(ctx: Context) -> AuditTable:
    return await ctx.transaction.load(TABLE, AuditTable) or AuditTable()


def _auditor(system: SystemBase) -> Auditor:
    return system.parts.runtime().auditor


# Devices


def _describe(entry: AuditTableEntry) -> dict[str, Any]:
    return {
        "description": entry.description,
        "local": entry.local,
        "options": entry.options or None,
        "path": entry.path,
        "type": entry.type,
    }


async def listed(system: SystemBase, ctx: Context, args: Nothing) -> Response:
    table = await _table(ctx)
    return Response(data={entry.path: _describe(entry) for entry in table.entries}, mirror=True)


async def read(system: SystemBase, ctx: Context, args: AtPath) -> dict[str, Any]:
    """Describe one device. ``public_key`` (hex) is what ``broker audit verify -key`` takes."""
    entry = _find(await _table(ctx), args.path)
    if entry is None:
        raise NotFound
    key = _auditor(system).public_key(entry.path)
    return {
        **_describe(entry),
        "accessor": entry.accessor,
        "from_config": entry.from_config,
        "public_key": key.hex(),
        "uuid": entry.uuid,
    }


def _find(table: AuditTable, path: str) -> AuditTableEntry | None:
    wanted = normal_path(path)
    return next((entry for entry in table.entries if entry.path == wanted), None)


async def enable(system: SystemBase, ctx: Context, args: Enable) -> None:
    """Add a device, once it has taken a test record."""
    path, table = normal_path(args.path), await _table(ctx)
    if path == "/":
        raise InvalidRequest("missing path")
    if any(path.startswith(entry.path) or entry.path.startswith(path) for entry in table.entries):
        raise InvalidRequest("path already in use")
    if len(table.entries) >= MAX_DEVICES:
        raise InvalidRequest(f"at most {MAX_DEVICES} audit devices can be enabled")
    entry = new_entry(
        path,
        args.type,
        args.options or {},
        description=args.description,
        local=args.local,
        random=ctx.random,
    )
    await system.parts.runtime().devices.probe(entry)
    ctx.transaction.save(TABLE, AuditTable(entries=(*table.entries, entry)))


async def disable(system: SystemBase, ctx: Context, args: AtPath) -> None:
    table = await _table(ctx)
    entry = _find(table, args.path)
    if entry is None:
        return
    if entry.from_config:
        raise InvalidRequest(
            f'audit device "{entry.path}" comes from the server\'s configuration file: remove it there'
        )
    kept = tuple(other for other in table.entries if other is not entry)
    ctx.transaction.save(TABLE, AuditTable(entries=kept))


async def hash_value(system: SystemBase, ctx: Context, args: HashValue) -> Response:
    if not args.input:
        raise InvalidRequest('the "input" parameter is empty')
    if not HASHES.take(ctx.now):
        raise QuotaExceeded("too many values hashed; try again in a second")
    return Response(data={"hash": _auditor(system).hash(args.path, args.input)}, mirror=True)


# Request headers


async def _headers(ctx: Context) -> dict[str, bool]:
    record: HeadersRecord | None = await ctx.transaction.load(HEADERS, HeadersRecord)
    return {} if record is None else dict(record.headers)


async def _save_headers(ctx: Context, headers: dict[str, bool]) -> None:
    ctx.transaction.save(HEADERS, HeadersRecord(headers=headers))
    ctx.transaction.save(TABLE, msgspec.structs.replace(await _table(ctx)))


async def list_headers(system: SystemBase, ctx: Context, args: Nothing) -> Response:
    shown = {name: {"hmac": hashed} for name, hashed in sorted((await _headers(ctx)).items())}
    return Response(data={"headers": shown}, mirror=True)


async def read_header(system: SystemBase, ctx: Context, args: Header) -> Response:
    headers = await _headers(ctx)
    hashed = headers.get(args.header.lower())
    if hashed is None:
        raise InvalidRequest("Could not find header in config")
    return Response(data={args.header: {"hmac": hashed}}, mirror=True)


async def write_header(system: SystemBase, ctx: Context, args: RecordHeader) -> None:
    name, headers = args.header.lower(), await _headers(ctx)
    if not _HEADER.fullmatch(name):
        raise InvalidRequest("that is not the name of a header")
    if name in CREDENTIALS and not args.hmac:
        raise InvalidRequest(f'the header "{name}" carries credentials: record it with hmac=true')
    if name not in headers and len(headers) >= MAX_HEADERS:
        raise InvalidRequest(f"at most {MAX_HEADERS} headers can be recorded")
    await _save_headers(ctx, {**headers, name: args.hmac})


async def delete_header(system: SystemBase, ctx: Context, args: Header) -> None:
    headers = await _headers(ctx)
    if headers.pop(args.header.lower(), None) is not None:
        await _save_headers(ctx, headers)


PATHS = (
    Path(
        "audit",
        "List the enabled audit devices.",
        read=Operation(Nothing, dict, calls=listed, sudo=True, root_only=True, mirror=True),
    ),
    Path(
        "audit/{path:path}",
        "Enable, describe or disable an audit device.",
        description="Over the API only below the server's audit_directory. A device of the server's "
        "configuration file can only be changed there.",
        read=Operation(AtPath, dict, calls=read, sudo=True, root_only=True, raises=(NotFound,)),
        update=Operation(Enable, None, calls=enable, sudo=True, root_only=True),
        delete=Operation(AtPath, None, calls=disable, sudo=True, root_only=True),
    ),
    Path(
        "audit-hash/{path:path}",
        "The hash of a text as it stands in a device's log.",
        update=Operation(
            HashValue, dict, calls=hash_value, sudo=True, root_only=True, raises=(QuotaExceeded,)
        ),
    ),
    Path(
        "config/auditing/request-headers",
        "List the request headers that are recorded.",
        read=Operation(Nothing, dict, calls=list_headers, sudo=True, root_only=True, mirror=True),
    ),
    Path(
        "config/auditing/request-headers/{header}",
        "Record a request header, or stop recording it.",
        read=Operation(Header, dict, calls=read_header, sudo=True, root_only=True, mirror=True),
        update=Operation(RecordHeader, None, calls=write_header, sudo=True, root_only=True),
        delete=Operation(Header, None, calls=delete_header, sudo=True, root_only=True),
    ),
)
