"""Version 2: the metadata of secrets, and the names below a folder."""

from collections.abc import Mapping
from typing import Any

import msgspec

from broker.plugin import Context, NotFound, Raw, Tampered, Verb, View

from . import arguments as take
from .engine import ContentHandlers, named, nothing_to_patch
from .errors import NoName, Upgrading, WrongFamily
from .records import Metadata, duration, metadata_path, timestamp, version_path, versions_folder
from .settings import changed, check_metadata_cas, overruled
from .upgrade import is_upgrading, upgrade_batch

_ROOTS = ("metadata", "data", "delete", "undelete", "destroy")
_CLI_WORDS = {"create": "put", "update": "put", "read": "get"}


def folder(path: str) -> str:
    """Return where the metadata below a folder is stored; a missing last slash is added."""
    return metadata_path(path if path == "" or path.endswith("/") else path + "/")


class VersionedEngine(ContentHandlers):
    """The KV engine, version 2."""

    async def adopt(self, storage: View, *, now: float) -> bool:
        """Turn a batch of version 1 entries into first versions. Return whether more remain."""
        return await upgrade_batch(storage, now=now)

    async def read_metadata(self, ctx: Context, args: take.Named) -> Mapping[str, Any]:
        """Return a secret's settings and the marks of its versions."""
        meta = await self.find(ctx, args.path)
        if meta is None:
            raise NotFound
        return shown(meta)

    async def write_metadata(self, ctx: Context, args: take.WriteMetadata) -> None:
        """Change the settings that are given; a secret may have settings before it has contents."""
        path = named(args.path)
        meta = await self.find(ctx, path)
        await self._settle(ctx, path, meta, args, patch=False)

    async def patch_metadata(self, ctx: Context, args: take.WriteMetadata) -> Raw | None:
        """Merge settings into those of a secret that exists."""
        path = named(args.path)
        meta = await self.find(ctx, path)
        if meta is None:
            return nothing_to_patch()
        await self._settle(ctx, path, meta, args, patch=True)
        return None

    async def _settle(
        self, ctx: Context, path: str, meta: Metadata | None, args: take.WriteMetadata, *, patch: bool
    ) -> None:
        config = await self.config(ctx)
        after = changed(meta or Metadata(), args, patch=patch)
        if after is None:
            return
        check_metadata_cas(args.metadata_cas, meta, config)
        for warning in overruled(args, config):
            ctx.warn(warning)
        now = timestamp(ctx.now)
        created = after.created or now
        self.keep(
            ctx, path, msgspec.structs.replace(after, created=created, updated=now, changes=after.changes + 1)
        )

    async def delete_metadata(self, ctx: Context, args: take.Named) -> None:
        """Remove a secret for good: every version and all settings. One whose metadata do not open goes as well."""
        try:
            meta = await self.find(ctx, args.path)
        except Tampered:
            await self._clear(ctx, args.path)
            return
        if meta is None:
            return
        for number in meta.versions:
            ctx.storage.delete(version_path(args.path, number))
        ctx.storage.delete(metadata_path(args.path))

    async def _clear(self, ctx: Context, path: str) -> None:
        """Remove a secret whose metadata are of no use, with the versions that are found below its name."""
        await ctx.storage.discard(metadata_path(path))
        for name in await ctx.storage.list(versions_folder(path)):
            if not name.endswith("/"):
                ctx.storage.delete(versions_folder(path) + name)

    async def list_names(self, ctx: Context, args: take.ListNames) -> Mapping[str, Any]:
        """Return the names directly below a folder; folders end in a slash."""
        names = await self._children(ctx, args)
        if not names:
            raise NotFound
        return {"keys": names}

    async def scan_names(self, ctx: Context, args: take.ListNames) -> Mapping[str, Any]:
        """Return the names of all secrets below a folder, in order."""
        names = await self._descendants(ctx, args)
        return {"keys": names} if names else {}

    async def list_detailed(self, ctx: Context, args: take.ListNames) -> Mapping[str, Any]:
        """Return the names directly below a folder together with their metadata."""
        names = await self._children(ctx, args)
        if not names:
            raise NotFound
        return await self._detailed(ctx, args.path, names)

    async def scan_detailed(self, ctx: Context, args: take.ListNames) -> Mapping[str, Any]:
        """Return all secrets below a folder together with their metadata."""
        names = await self._descendants(ctx, args)
        return await self._detailed(ctx, args.path, names) if names else {}

    async def _children(self, ctx: Context, args: take.ListNames) -> list[str]:
        await self._settled(ctx)
        limit = args.limit if args.limit > 0 else None
        return list(await ctx.storage.list(folder(args.path), after=args.after, limit=limit))

    async def _descendants(self, ctx: Context, args: take.ListNames) -> list[str]:
        await self._settled(ctx)
        limit = args.limit if args.limit > 0 else None
        return list(await ctx.storage.scan(folder(args.path), after=args.after, limit=limit))

    async def _settled(self, ctx: Context) -> None:
        if await is_upgrading(ctx.storage):
            raise Upgrading

    async def _detailed(self, ctx: Context, path: str, names: list[str]) -> Mapping[str, Any]:
        info: dict[str, Any] = {}
        for name in names:
            meta = None
            if not name.endswith("/"):
                meta = await self._readable(ctx, folder(path) + name)
            info[name] = shown(meta) if meta else {}
        return {"key_info": info, "keys": names}

    async def _readable(self, ctx: Context, place: str) -> Metadata | None:
        """Return metadata for a listing, which those that do not open must not spoil."""
        try:
            return await ctx.storage.load(place, Metadata)
        except Tampered as error:
            ctx.warn(str(error))
            return None

    async def explain(self, ctx: Context, args: take.Anything) -> None:
        """Tell a caller who forgot what the paths of version 2 begin with."""
        if ctx.path.endswith("/"):
            # A family with an empty name below it, or a folder: answered as anywhere else below a family.
            if ctx.verb in (Verb.CREATE, Verb.UPDATE, Verb.PATCH):
                raise NoName
            if ctx.path.rstrip("/") in (*_ROOTS, "subkeys"):
                if ctx.verb is Verb.DELETE:
                    return
                raise NotFound
        if ctx.path.rstrip("/") in _ROOTS:
            raise WrongFamily("Non-listing operations on the root of a K/V v2 mount are not supported.")
        word = _CLI_WORDS.get(ctx.verb.value, ctx.verb.value)
        raise WrongFamily(
            "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to "
            f"use. If using the OpenBao CLI, use 'bao kv {word}' for this operation."
        )


def shown(meta: Metadata) -> dict[str, Any]:
    """Return metadata as callers see it."""
    return {
        "cas_required": meta.cas_required,
        "created_time": meta.created,
        "current_metadata_version": meta.changes,
        "current_version": meta.current,
        "custom_metadata": meta.custom,
        "delete_version_after": duration(meta.delete_version_after),
        "max_versions": meta.max_versions,
        "metadata_cas_required": meta.metadata_cas_required,
        "oldest_version": meta.oldest,
        "updated_time": meta.updated,
        "versions": {
            str(number): {
                "created_time": mark.created,
                "deletion_time": timestamp(mark.deleted),
                "destroyed": mark.destroyed,
            }
            for number, mark in meta.versions.items()
        },
    }
