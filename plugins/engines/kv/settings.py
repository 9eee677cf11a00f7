"""Reading the settings of a secret as callers write them."""

from datetime import timedelta
from typing import Any

import msgspec
from msgspec import UNSET

from broker.plugin import InvalidRequest

from .errors import MetadataCasMismatch, MetadataCasRequired
from .records import EngineConfig, Metadata

MAX_KEYS, MAX_KEY_BYTES, MAX_VALUE_BYTES = 64, 128, 512
_FAILED = "custom_metadata validation failed: "


def whole_seconds(given: timedelta | None) -> int:
    """Return ``delete_version_after`` as it is stored: fractions of a second dropped, anything below zero is -1."""
    if given is None:
        return 0
    return -1 if given < timedelta(0) else int(given.total_seconds())


def check_metadata_cas(given: Any, meta: Metadata | None, config: EngineConfig) -> None:
    """Hold ``metadata_cas`` against the metadata version. Raises: MetadataCasRequired, MetadataCasMismatch."""
    if given is UNSET:
        if config.metadata_cas_required or (meta is not None and meta.metadata_cas_required):
            raise MetadataCasRequired
        return
    if (given or 0) != (meta.changes if meta else 0):
        raise MetadataCasMismatch(creating=meta is None)


def overruled(args: Any, config: EngineConfig) -> list[str]:
    """Return a warning for every demand of the mount that the caller tried to lift for one secret."""
    return [
        f'"{name}" set to false, but is mandated by backend config. This value will be ignored.'
        for name in ("cas_required", "metadata_cas_required")
        if getattr(config, name) and getattr(args, name) is not UNSET and not getattr(args, name)
    ]


def changed(meta: Metadata, args: Any, *, patch: bool) -> Metadata | None:
    """Apply the settings that were given. Return ``None`` if none were. Raises: InvalidRequest."""
    changes: dict[str, Any] = {}
    if args.max_versions is not UNSET:
        changes["max_versions"] = args.max_versions or 0
    for name in ("cas_required", "metadata_cas_required"):
        if getattr(args, name) is not UNSET:
            changes[name] = bool(getattr(args, name))
    if args.delete_version_after is not UNSET and not (patch and args.delete_version_after is None):
        changes["delete_version_after"] = whole_seconds(args.delete_version_after)
    if args.custom_metadata is not UNSET:
        given = args.custom_metadata or {}
        if patch and args.custom_metadata is not None:
            kept = {key: value for key, value in (meta.custom or {}).items() if key not in given}
            given = kept | {key: value for key, value in given.items() if value is not None}
        changes["custom"] = custom_metadata(given) or None
    return msgspec.structs.replace(meta, **changes) if changes else None


def custom_metadata(given: dict[str, Any]) -> dict[str, str]:
    """Return custom metadata as texts, within its limits. Raises: InvalidRequest naming every fault, never a value."""
    if len(given) > MAX_KEYS:
        raise _faulty([f"payload must contain at most {MAX_KEYS} keys, provided {len(given)}"])
    texts = {key: _text(key, value) for key, value in given.items()}
    faults = [fault for key, value in texts.items() for fault in _faults(key, value)]
    if faults:
        raise _faulty(faults)
    return texts


def _text(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, int | float):
        return str(value)
    raise InvalidRequest(f'{_FAILED}value for key "{key[:MAX_KEY_BYTES]}" must be a string')


def _faults(key: str, value: str) -> list[str]:
    faults = []
    if not 0 < len(key.encode()) <= MAX_KEY_BYTES:
        faults.append(
            f'length of key "{key}" is {len(key.encode())} but must be 0 < len(key) <= {MAX_KEY_BYTES}'
        )
    size = len(value.encode())
    if not 0 < size <= MAX_VALUE_BYTES:
        faults.append(
            f'length of value for key "{key}" is {size} but must be 0 < len(value) <= {MAX_VALUE_BYTES}'
        )
    if not key.isprintable():
        faults.append(f"key {key!a} contains unprintable characters")
    if not value.isprintable():
        faults.append(f'value for key "{key}" contains unprintable characters')
    return faults


def _faulty(faults: list[str]) -> InvalidRequest:
    count = "1 error" if len(faults) == 1 else f"{len(faults)} errors"
    lines = "".join(f"\t* {_FAILED}{fault}\n" for fault in faults)
    return InvalidRequest(f"{count} occurred:\n{lines}\n")
