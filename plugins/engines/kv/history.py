"""The bookkeeping of versions: pure functions from one ``Metadata`` to the next."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from .errors import CasMismatch, CasRequired, CasUnreadable, UnknownOption
from .records import DEFAULT_MAX_VERSIONS, EngineConfig, Mark, Metadata, timestamp

_NUMBER = re.compile(r"-?\d{1,18}", re.ASCII)


def check_cas(options: dict[str, Any] | None, meta: Metadata, config: EngineConfig) -> None:
    """Hold ``options.cas`` against the current version. Raises: UnknownOption, CasRequired, CasUnreadable, CasMismatch."""
    if options:
        unknown = next((name for name in options if name != "cas"), None)
        if unknown is not None:
            raise UnknownOption(unknown)
    if options is None or "cas" not in options:
        if meta.cas_required or config.cas_required:
            raise CasRequired
        return
    if _number(options["cas"]) != meta.current:
        raise CasMismatch


def _number(given: Any) -> int:
    # Command lines send text, and the field's servers read null and the empty text as 0.
    if given is None or given == "":
        return 0
    if isinstance(given, int) and abs(given) < 1 << 63:
        return int(given)
    if isinstance(given, str) and _NUMBER.fullmatch(given):
        return int(given)
    raise CasUnreadable


def deletion_time(meta: Metadata, config: EngineConfig, *, now: float) -> float:
    """Return when a version that begins its life now counts as deleted: the shorter of both settings, 0 for never."""
    if config.delete_version_after < 0:
        return 0.0
    after = [seconds for seconds in (meta.delete_version_after, config.delete_version_after) if seconds > 0]
    return now + min(after) if after else 0.0


def add_version(meta: Metadata, config: EngineConfig, *, now: float) -> tuple[Metadata, list[int]]:
    """Append a version. Return the new metadata and the versions that no longer have room."""
    number = meta.current + 1
    mark = Mark(timestamp(now), deletion_time(meta, config, now=now))
    keep = max(meta.max_versions, config.max_versions) or DEFAULT_MAX_VERSIONS
    first = number - keep + 1
    gone = [] if first <= 1 else [old for old in meta.versions if old < first]
    versions = {**meta.versions, number: mark}
    for old in gone:
        del versions[old]
    grown = msgspec.structs.replace(
        meta,
        current=number,
        oldest=max(first, meta.oldest) if first > 1 else meta.oldest,
        created=meta.created or mark.created,
        updated=mark.created,
        versions=versions,
    )
    return grown, gone


def delete_versions(meta: Metadata, numbers: Iterable[int], *, now: float) -> Metadata | None:
    """Mark versions as deleted now. Return ``None`` if there is nothing to change."""
    return _alter(
        meta, {n: {"deleted": now} for n in numbers if n in meta.versions and meta.versions[n].readable(now)}
    )


def undelete_versions(
    meta: Metadata, config: EngineConfig, numbers: Iterable[int], *, now: float
) -> Metadata | None:
    """Make versions readable again, for as long as a new version would be. ``None`` if there is nothing to change."""
    until = deletion_time(meta, config, now=now)
    alive = (n for n in numbers if n in meta.versions and not meta.versions[n].destroyed)
    return _alter(meta, {n: {"deleted": until} for n in alive})


def destroy_versions(meta: Metadata, numbers: Iterable[int]) -> tuple[Metadata | None, list[int]]:
    """Mark versions as destroyed. Return the new metadata and the versions whose contents must go."""
    found = sorted({n for n in numbers if n in meta.versions and not meta.versions[n].destroyed})
    return _alter(meta, {n: {"destroyed": True} for n in found}), found


def _alter(meta: Metadata, changes: dict[int, dict[str, Any]]) -> Metadata | None:
    versions = dict(meta.versions)
    for number, change in changes.items():
        versions[number] = msgspec.structs.replace(versions[number], **change)
    return None if versions == meta.versions else msgspec.structs.replace(meta, versions=versions)
