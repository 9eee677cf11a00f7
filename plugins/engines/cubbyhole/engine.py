"""One drawer per token.

A drawer lies below the mount's storage at ``<token hash>/``. The token store empties it with ``empty_drawer`` in the
transaction that ends the token.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from broker.plugin import (
    Context,
    Engine,
    Field,
    InvalidRequest,
    Json,
    NotFound,
    Operation,
    Page,
    Path,
    Secret,
    View,
    listing,
)


class Entry(msgspec.Struct, frozen=True):
    """A JSON object as it was given."""

    v: int = 1
    data: dict[str, Any] = {}


def drawer(token_hash: str) -> str:
    """Return where a token's entries begin, below the mount's storage."""
    return f"{token_hash}/"


async def empty_drawer(storage: View, token_hash: str, *, limit: int | None = None) -> bool:
    """Delete what a token left behind, at most ``limit`` entries. Return whether more remain."""
    names = await storage.scan(drawer(token_hash), limit=limit)
    for name in names:
        storage.delete(drawer(token_hash) + name)
    return limit is not None and len(names) == limit


@dataclass(frozen=True, slots=True)
class Named:
    path: Annotated[str, Field("Location of the entry in the token's own drawer.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListNames(Page):
    path: Annotated[str, Field("The folder.")]


@dataclass(frozen=True, slots=True)
class WriteEntry:
    path: Annotated[str, Field("Location of the entry in the token's own drawer.")]
    data: Annotated[Secret[dict[str, Json]], Field("The whole body is the value.", rest=True)]


class CubbyholeEngine(Engine):
    """The cubbyhole."""

    def own(self, ctx: Context) -> View:
        """Return the caller's drawer. Raises: InvalidRequest for a token that is not stored."""
        if not ctx.caller.token_hash:
            raise InvalidRequest("cubbyhole operations are only supported by 'service' type tokens")
        return ctx.storage.view(drawer(ctx.caller.token_hash))

    async def known(self, ctx: Context, params: Mapping[str, str]) -> bool:
        """Tell a write to something present from one to something new. Asked before access is judged: never raises."""
        return bool(ctx.caller.token_hash) and await self._find(ctx, params["path"]) is not None

    async def _find(self, ctx: Context, path: str) -> Entry | None:
        own = self.own(ctx)
        if path == "" or path.endswith("/"):
            return None
        return await own.load(path, Entry)

    async def read(self, ctx: Context, args: Named) -> Mapping[str, Any]:
        """Return an entry of the caller's own."""
        entry = await self._find(ctx, args.path)
        if entry is None:
            raise NotFound
        return entry.data

    async def write(self, ctx: Context, args: WriteEntry) -> None:
        """Replace an entry of the caller's own."""
        if args.path == "" or args.path.endswith("/"):
            raise InvalidRequest("cannot write to a path ending in '/'")
        data = args.data.reveal()
        if not data:
            raise InvalidRequest("missing data fields")
        self.own(ctx).save(args.path, Entry(data=data))

    async def delete(self, ctx: Context, args: Named) -> None:
        """Remove an entry of the caller's own, unread; one that is not there is fine."""
        own = self.own(ctx)
        if args.path and not args.path.endswith("/"):
            own.delete(args.path)

    async def list_names(self, ctx: Context, args: ListNames) -> Mapping[str, Any]:
        """Return the names directly below a folder; folders end in a slash."""
        folder = args.path if args.path == "" or args.path.endswith("/") else args.path + "/"
        return listing(await self.own(ctx).list(folder, after=args.after, limit=args.size))


_WRITE = Operation(WriteEntry, None, calls=CubbyholeEngine.write)

CubbyholeEngine.PATHS = (
    Path(
        "{path:path}",
        "An entry that only the calling token can see.",
        read=Operation(Named, dict, calls=CubbyholeEngine.read),
        create=_WRITE,
        update=_WRITE,
        delete=Operation(Named, None, calls=CubbyholeEngine.delete),
        list=Operation(ListNames, dict, calls=CubbyholeEngine.list_names),
        exists=CubbyholeEngine.known,
    ),
)
