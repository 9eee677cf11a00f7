"""Keys as answers tell them."""

from datetime import UTC, datetime
from typing import Any

from .keys import NewKey, shown_prefix
from .records import ApiKey, Used, Version


def described(id: str, record: ApiKey, used: Used, now: float) -> dict[str, Any]:  # noqa: A002 - the field's word
    """Return all there is to tell of a key. Its text is not there to be told."""
    live = record.live(now)
    last = max(used.at.values(), default=0.0)
    return {
        "id": id,
        "name": record.name,
        "state": record.state(now),
        "prefix": shown_prefix(id),
        "last_four": live[-1].last_four if live else "",
        "version": live[-1].number if live else 0,
        "versions": [_version(record, version, used) for version in live],
        "created_time": instant(record.created_at),
        "created_by": record.created_by,
        "updated_time": instant(record.updated_at),
        "last_used_time": instant(last),
        "last_used_address": used.address,
        "expire_time": instant(record.expires_at),
        "revoked_time": instant(record.revoked_at),
        "metadata": dict(record.metadata),
        **record.tokens.shown(),
    }


def made(id: str, record: ApiKey, key: NewKey, now: float) -> dict[str, Any]:  # noqa: A002 - the field's word
    """Return the answer to a creation or rotation, the only one with the key's text in it."""
    before = record.versions[:-1]
    return {
        "id": id,
        "name": record.name,
        "api_key": key.text,
        "last_four": key.last_four,
        "version": record.versions[-1].number,
        "expire_time": instant(record.expires_at),
        "grace_end_time": instant(before[0].ends_at) if before else None,
    }


def _version(record: ApiKey, version: Version, used: Used) -> dict[str, Any]:
    end = record.end_of(version)
    return {
        "version": version.number,
        "last_four": version.last_four,
        "created_time": instant(version.created_at),
        "last_used_time": instant(used.at.get(version.number, 0.0)),
        "expire_time": instant(end if end < float("inf") else 0),
    }


def instant(when: float) -> str | None:
    """Return a time as RFC 3339, ``None`` for never."""
    return datetime.fromtimestamp(when, UTC).isoformat().replace("+00:00", "Z") if when else None
