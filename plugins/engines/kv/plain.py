"""Version 1: one value per name, replaced by every write."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from broker.plugin import (
    Context,
    Engine,
    Field,
    InvalidRequest,
    Json,
    NotFound,
    Operation,
    Path,
    Response,
    Secret,
    Settled,
    parse_duration,
)

from .errors import NoName
from .records import Document, plain_path


@dataclass(frozen=True, slots=True)
class Named:
    path: Annotated[str, Field("Location of the secret below the mount.")]


@dataclass(frozen=True, slots=True)
class ListNames:
    path: Annotated[str, Field("The folder.")]
    after: Annotated[str, Field("A name to start behind; it need not exist.")] = ""
    limit: Annotated[int, Field("How many names to return; all of them if it is not above 0.")] = 0


@dataclass(frozen=True, slots=True)
class WriteEntry:
    path: Annotated[str, Field("Location of the secret below the mount.")]
    data: Annotated[
        Secret[dict[str, Json]],
        Field('The whole body is the value; "ttl" in it tells readers how long to use it.', rest=True),
    ]


class PlainEngine(Engine):
    """The KV engine, version 1."""

    async def known(self, ctx: Context, params: Mapping[str, str]) -> bool:
        """Tell a write to something present from one to something new."""
        return await self._find(ctx, params["path"]) is not None

    async def _find(self, ctx: Context, path: str) -> Document | None:
        if path == "" or path.endswith("/"):
            return None
        return await ctx.storage.load(plain_path(path), Document)

    async def read(self, ctx: Context, args: Named) -> Response:
        """Return the value, with its ``ttl`` as the time a reader may rely on it."""
        entry = await self._find(ctx, args.path)
        if entry is None:
            raise NotFound
        return Response(data=_shown(entry), lease_duration=reliance(entry.data, ctx.default_ttl))

    async def write(self, ctx: Context, args: WriteEntry) -> None:
        """Replace the value."""
        if args.path == "" or args.path.endswith("/"):
            raise NoName
        data = args.data.reveal()
        if not data:
            raise InvalidRequest("missing data fields")
        ctx.storage.save(plain_path(args.path), Document(data=data))

    async def delete(self, ctx: Context, args: Named) -> None:
        """Remove the value, unread: one that is not there is fine, and a damaged one can be got rid of."""
        if args.path and not args.path.endswith("/"):
            ctx.storage.delete(plain_path(args.path))

    async def list_names(self, ctx: Context, args: ListNames) -> Mapping[str, Any]:
        """Return the names directly below a folder; folders end in a slash."""
        limit = args.limit if args.limit > 0 else None
        names = await ctx.storage.list(_folder(args.path), after=args.after, limit=limit)
        if not names:
            raise NotFound
        return {"keys": list(names)}

    async def scan_names(self, ctx: Context, args: ListNames) -> Mapping[str, Any]:
        """Return the names of all entries below a folder, in order."""
        limit = args.limit if args.limit > 0 else None
        names = await ctx.storage.scan(_folder(args.path), after=args.after, limit=limit)
        return {"keys": list(names)} if names else {}


def _shown(entry: Document) -> Settled:
    """Return the answer to a read, made once for as long as the entry stays in memory."""
    known = entry.__dict__.get("shown")
    if known is None:
        known = entry.__dict__["shown"] = Settled(entry.data)
    return known


def _folder(path: str) -> str:
    return plain_path(path if path == "" or path.endswith("/") else path + "/")


def reliance(data: Mapping[str, Any], default: int) -> int:
    """Return the seconds a reader may rely on a value: its ``ttl``, else its ``lease``, else ``default``.

    What does not read as a duration counts as not given, because writers may use the names for anything.
    """
    given = data["ttl"] if "ttl" in data else data.get("lease", default)
    if given is None:
        return 0
    if isinstance(given, int | str) and not isinstance(given, bool):
        try:
            return int(parse_duration(given).total_seconds())
        except InvalidRequest:
            return default
    return default


_WRITE = Operation(WriteEntry, None, calls=PlainEngine.write)

PlainEngine.PATHS = (
    Path(
        "{path:path}",
        "One secret; the whole body is its value.",
        read=Operation(Named, dict, calls=PlainEngine.read),
        create=_WRITE,
        update=_WRITE,
        delete=Operation(Named, None, calls=PlainEngine.delete),
        list=Operation(ListNames, dict, calls=PlainEngine.list_names),
        scan=Operation(ListNames, dict, calls=PlainEngine.scan_names),
        exists=PlainEngine.known,
    ),
)
