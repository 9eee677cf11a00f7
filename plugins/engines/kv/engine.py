"""Version 2: the contents of secrets, version by version, and the settings of the mount."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET

from broker.plugin import Context, Engine, InvalidRequest, NotFound, Nothing, Raw, Settled, Tampered

from . import arguments as take
from .documents import merge_patch, outline
from .errors import NoName, NoVersions, Upgrading
from .history import add_version, check_cas, delete_versions, destroy_versions, undelete_versions
from .records import (
    CONFIG,
    Document,
    EngineConfig,
    Mark,
    Metadata,
    duration,
    metadata_path,
    timestamp,
    version_path,
)
from .settings import whole_seconds
from .upgrade import is_upgrading

_EMPTY = Metadata()


class VersionedBase(Engine):
    """Loading and saving, shared by the handlers of contents and of metadata."""

    async def config(self, ctx: Context) -> EngineConfig:
        return await ctx.storage.load(CONFIG, EngineConfig) or EngineConfig()

    async def find(self, ctx: Context, path: str) -> Metadata | None:
        """Return a secret's metadata. Raises: Upgrading if it may still wait in version 1's form."""
        if path == "" or path.endswith("/"):
            return None
        meta = await ctx.storage.load(metadata_path(path), Metadata)
        if meta is None and await is_upgrading(ctx.storage):
            raise Upgrading
        return meta

    def keep(self, ctx: Context, path: str, meta: Metadata | None) -> None:
        """Save metadata, or leave it as it is for ``None``."""
        if meta is not None:
            ctx.storage.save(metadata_path(path), meta)

    async def known(self, ctx: Context, params: Mapping[str, str]) -> bool:
        """Tell a write to something present from one to something new. Asked before access is judged: never raises."""
        path = params["path"]
        if path == "" or path.endswith("/"):
            return False
        return await ctx.storage.load(metadata_path(path), Metadata) is not None


def named(path: str) -> str:
    """Return a path that can be written to. Raises: NoName."""
    if path == "" or path.endswith("/"):
        raise NoName
    return path


def described(mark: Mark, number: int, meta: Metadata) -> dict[str, Any]:
    """Return what every answer about one version says of it."""
    return {
        "created_time": mark.created,
        "custom_metadata": meta.custom,
        "deletion_time": timestamp(mark.deleted),
        "destroyed": mark.destroyed,
        "version": number,
    }


def shown(document: Document, meta: Metadata, mark: Mark, number: int) -> Settled:
    """Return the answer to a read, made once for as long as the version and what is known of it stay in memory."""
    known = document.__dict__.get("shown")
    if known is None or known[0] is not meta:
        answer = Settled({"data": document.data, "metadata": described(mark, number, meta)})
        known = document.__dict__["shown"] = (meta, answer)
    return known[1]


class ContentHandlers(VersionedBase):
    """The handlers of ``data``, ``subkeys``, ``delete``, ``undelete``, ``destroy`` and ``config``."""

    async def read_version(self, ctx: Context, args: take.ReadVersion) -> Mapping[str, Any]:
        """Return the contents and the mark of one version; a deleted one answers NotFound together with its mark."""
        meta, mark, number, document = await self._found(ctx, args.path, args.version, "data")
        return shown(document, meta, mark, number)

    async def read_outline(self, ctx: Context, args: take.ReadOutline) -> Mapping[str, Any]:
        """Return the names within one version, without the values."""
        meta, mark, number, document = await self._found(ctx, args.path, args.version, "subkeys")
        return {"subkeys": outline(document.data, args.depth), "metadata": described(mark, number, meta)}

    async def _found(
        self, ctx: Context, path: str, version: int, word: str
    ) -> tuple[Metadata, Mark, int, Document]:
        """Return one version, the latest for 0. Raises: NotFound, with the mark if there is one; ``word`` is then null."""
        meta = await self.find(ctx, path)
        number = version or (meta.current if meta else 0)
        mark = meta.versions.get(number) if meta else None
        if meta is None or mark is None:
            raise NotFound
        document = None
        if mark.readable(ctx.now):
            document = await ctx.storage.load(version_path(path, number), Document)
        if document is None:
            raise NotFound(data={word: None, "metadata": described(mark, number, meta)})
        return meta, mark, number, document

    async def write_version(self, ctx: Context, args: take.WriteVersion) -> Mapping[str, Any]:
        """Store a new version. Raises: CasRequired, CasMismatch; nothing is stored then."""
        path = named(args.path)
        if args.data is None:
            raise InvalidRequest("no data provided")
        meta = await self.find(ctx, path) or _EMPTY
        config = await self.config(ctx)
        check_cas(args.options, meta, config)
        return self._append(ctx, path, meta, config, args.data.reveal())

    def _append(
        self, ctx: Context, path: str, meta: Metadata, config: EngineConfig, data: dict[str, Any]
    ) -> Mapping[str, Any]:
        grown, gone = add_version(meta, config, now=ctx.now)
        ctx.storage.save(version_path(path, grown.current), Document(data=data))
        self.keep(ctx, path, grown)
        for old in gone:
            ctx.storage.delete(version_path(path, old))
        return described(grown.versions[grown.current], grown.current, grown)

    async def patch_version(self, ctx: Context, args: take.PatchVersion) -> Mapping[str, Any] | Raw:
        """Store a new version made of the current one and a merge patch."""
        path = named(args.path)
        if args.data is None:
            raise InvalidRequest("no data provided")
        meta = await self.find(ctx, path)
        if meta is None:
            return nothing_to_patch()
        config = await self.config(ctx)
        check_cas(args.options, meta, config)
        mark = meta.versions.get(meta.current)
        if mark is None:
            return nothing_to_patch()
        document = None
        if mark.readable(ctx.now):
            document = await ctx.storage.load(version_path(path, meta.current), Document)
        if document is None:
            raise NotFound(data=described(mark, meta.current, meta))
        return self._append(ctx, path, meta, config, merge_patch(document.data, args.data.reveal()))

    async def delete_latest(self, ctx: Context, args: take.Named) -> None:
        """Mark the latest version as deleted; ``undelete`` brings it back."""
        meta = await self.find(ctx, args.path)
        if meta is not None:
            self.keep(ctx, args.path, delete_versions(meta, [meta.current], now=ctx.now))

    async def delete_versions(self, ctx: Context, args: take.ChooseVersions) -> None:
        """Mark certain versions as deleted."""
        path, numbers = named(args.path), args.versions
        if not numbers:
            raise NoVersions
        meta = await self.find(ctx, path)
        if meta is not None:
            self.keep(ctx, path, delete_versions(meta, numbers, now=ctx.now))

    async def undelete_versions(self, ctx: Context, args: take.ChooseVersions) -> None:
        """Make deleted versions readable again."""
        path, numbers = named(args.path), args.versions
        if not numbers:
            raise NoVersions
        meta = await self.find(ctx, path)
        if meta is not None:
            config = await self.config(ctx)
            self.keep(ctx, path, undelete_versions(meta, config, numbers, now=ctx.now))

    async def destroy_versions(self, ctx: Context, args: take.ChooseVersions) -> None:
        """Remove the contents of certain versions for good."""
        path, numbers = named(args.path), args.versions
        if not numbers:
            raise NoVersions("no")
        meta = await self.find(ctx, path)
        if meta is None:
            return
        marked, found = destroy_versions(meta, numbers)
        self.keep(ctx, path, marked)
        for number in found:
            ctx.storage.delete(version_path(path, number))

    async def read_config(self, ctx: Context, args: Nothing) -> Mapping[str, Any]:
        """Return the settings that hold for every secret of the mount."""
        config = await self.config(ctx)
        return {
            "cas_required": config.cas_required,
            "delete_version_after": duration(config.delete_version_after),
            "max_versions": config.max_versions,
            "metadata_cas_required": config.metadata_cas_required,
        }

    async def write_config(self, ctx: Context, args: take.WriteConfig) -> None:
        """Change the settings that are given and keep the others."""
        changes: dict[str, Any] = {}
        for name in ("max_versions", "cas_required", "metadata_cas_required"):
            value = getattr(args, name)
            if value is not UNSET:
                changes[name] = value or 0 if name == "max_versions" else bool(value)
        if args.delete_version_after is not UNSET:
            changes["delete_version_after"] = max(-1, whole_seconds(args.delete_version_after))
        try:
            before = await self.config(ctx)
        except Tampered as error:
            await ctx.storage.discard(CONFIG)
            before = EngineConfig()
            ctx.warn(f"{error}; what is not given is as on a new mount")
        ctx.storage.save(CONFIG, msgspec.structs.replace(before, **changes))


def nothing_to_patch() -> Raw:
    # The field's command line tells "no such secret" from other failures by this answer having no body at all.
    return Raw(b"", "application/json", status=404)
