"""What a transaction sees when it lists: the store's answer with its own buffered writes laid over it."""

from collections.abc import Mapping

from broker.plugin.storage import Store

from .paths import check_prefix, check_text

Writes = Mapping[str, bytes | None]


async def merge_paths(store: Store, writes: Writes, prefix: str, after: str, limit: int | None) -> list[str]:
    """Return all paths below ``prefix``, relative to it, as if the writes were already stored."""
    check_prefix(prefix)
    check_text(after)
    own = {path[len(prefix) :]: value for path, value in writes.items() if path.startswith(prefix)}
    if not own:
        return await store.scan(prefix, after=after, limit=limit)
    gone = {path for path, value in own.items() if value is None}
    # Each deletion hides at most one path, so this many are enough to fill the page.
    names = set(await store.scan(prefix, after=after, limit=None if limit is None else limit + len(gone)))
    added = {path for path, value in own.items() if value is not None and path > after}
    return sorted((names - gone) | added)[:limit]


async def merge_children(
    store: Store, writes: Writes, prefix: str, after: str, limit: int | None
) -> list[str]:
    """Return the children below ``prefix`` as if the writes were already stored."""
    check_prefix(prefix)
    check_text(after)
    own = {path[len(prefix) :]: value for path, value in writes.items() if path.startswith(prefix)}
    if not own:
        return await store.list(prefix, after=after, limit=limit)
    added = {_child(path) for path, value in own.items() if value is not None}
    gone = {path for path, value in own.items() if value is None}
    touched = {_child(path) for path in gone} - added
    names = set(await store.list(prefix, after=after, limit=None if limit is None else limit + len(touched)))
    for child in touched & names:
        if not child.endswith("/") or not await _survives(store, prefix, child, gone):
            names.discard(child)
    return sorted(names | {child for child in added if child > after})[:limit]


async def _survives(store: Store, prefix: str, folder: str, gone: set[str]) -> bool:
    """Tell whether a folder keeps any path once ``gone`` (relative to ``prefix``) are deleted."""
    inside = {path[len(folder) :] for path in gone if path.startswith(folder)}
    left = await store.scan(prefix + folder, limit=len(inside) + 1)
    return any(path not in inside for path in left)


def _child(path: str) -> str:
    head, slash, _ = path.partition("/")
    return head + slash
