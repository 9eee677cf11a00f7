"""Changing the mount table: one record per tenant, changed inside the request's transaction."""

from collections.abc import Iterable
from typing import Any

import msgspec

from broker.core import lockout
from broker.core.records import MOUNTS, NAMESPACES, MountTable, NamespaceRecord
from broker.core.settings import CoreSettings
from broker.plugin.context import Mount, MountConfig
from broker.plugin.errors import InvalidRequest, Tampered
from broker.plugin.fields import parse_duration
from broker.storage.transaction import Transaction

PROTECTED = frozenset({"sys/", "cubbyhole/", "identity/", "auth/", "audit/"})
"""Mounts that are always there, and path spaces that are not for mounting."""

MAX_PATH = 256
VISIBILITY = ("", "hidden", "unauth")
TUNABLE_EVERYWHERE = frozenset(
    {"audit_non_hmac_request_keys", "audit_non_hmac_response_keys", "force_no_cache"}
)
TOKEN_TYPES = ("", "default-service", "default-batch", "service", "batch")


async def load_table(tx: Transaction) -> MountTable:
    """Return the tenant's mount table. Raises: Tampered if it is missing."""
    table = await tx.load(MOUNTS, MountTable)
    if table is None:
        raise Tampered(f"{MOUNTS} is missing")
    return table


def save_table(tx: Transaction, mounts: tuple[Mount, ...]) -> None:
    tx.save(MOUNTS, MountTable(mounts))


def normal(path: str) -> str:
    """Return a mount path as it is kept: no leading slash, one trailing."""
    return path.strip("/") + "/"


def find(table: MountTable, kind: str, path: str) -> Mount | None:
    """Return the mount of table ``kind`` (``secret`` or ``auth``) at exactly ``path``."""
    wanted = normal(path)
    return next((mount for mount in table.mounts if mount.table == kind and mount.path == wanted), None)


def versioned(mounts: Iterable[Mount]) -> tuple[str, ...]:
    """Return where KV version 2 is mounted, as ``secret/``."""
    return tuple(m.path for m in mounts if m.type == "kv" and (m.options or {}).get("version") == "2")


async def check_free(
    tx: Transaction, table: MountTable, kind: str, path: str, *, verb: str = "cannot mount"
) -> None:
    """Refuse a path that is taken, reserved, or lies above or below another mount. Raises: InvalidRequest."""
    wanted = normal(path)
    if wanted == "/" or len(wanted) > MAX_PATH:
        raise InvalidRequest(f"mount path must be 1 to {MAX_PATH} characters")
    if not wanted.isprintable() or not {"", ".", ".."}.isdisjoint(wanted[:-1].split("/")):
        raise InvalidRequest("mount path must be printable, without empty, . and .. segments")
    if kind == "secret" and any(wanted.startswith(reserved) for reserved in PROTECTED):
        raise InvalidRequest(f'{verb} "{wanted}"')
    for mount in table.mounts:
        if mount.table == kind and (wanted.startswith(mount.path) or mount.path.startswith(wanted)):
            raise InvalidRequest(f"path is already in use at {mount.path}")
    first = wanted.partition("/")[0]
    if kind == "secret" and await tx.load(NAMESPACES + first, NamespaceRecord) is not None:
        raise InvalidRequest(f"path is already in use at {first}/ (namespace)")


def lifetime(name: str, given: object) -> int | None:
    """Read a TTL setting in seconds: ``system`` is zero, nothing leaves it as it is. Raises: InvalidRequest."""
    if given is None or given == "":
        return None
    if given == "system":
        return 0
    try:
        return int(parse_duration(given).total_seconds())
    except InvalidRequest as error:
        raise InvalidRequest(f'field "{name}": {error}, or "system"') from None


def check_tunable(mount: Mount, given: set[str]) -> None:
    """Refuse settings that a mount does not have. Raises: InvalidRequest."""
    if mount.table == "secret" and mount.path in PROTECTED:
        refused = sorted(given - TUNABLE_EVERYWHERE)
        if refused:
            raise InvalidRequest(f"cannot tune parameter {refused[0]} of {mount.path}")
    if mount.type == "token" and "token_type" in given:
        raise InvalidRequest("'token_type' cannot be set for 'token' or 'ns_token' auth mounts")
    if mount.table != "auth" and "user_lockout_config" in given:
        raise InvalidRequest("user lockout can only be tuned on auth mounts")
    if mount.type not in lockout.METHODS and "user_lockout_config" in given:
        raise InvalidRequest(f'tuning of user lockout configuration for auth type "{mount.type}" not allowed')
    if "plugin_version" in given:
        raise InvalidRequest("the version of a plugin cannot be chosen: the one that is installed runs")


def tuned(config: MountConfig, changes: dict[str, Any], settings: CoreSettings, *, table: str) -> MountConfig:
    """Return the configuration with ``changes`` (``None`` leaves a value as it is). Raises: InvalidRequest."""
    if table != "auth" and changes.get("token_type"):
        raise InvalidRequest("'token_type' can only be modified on auth mounts")
    kept = {name: value for name, value in changes.items() if value is not None}
    if "user_lockout_config" in kept:
        kept["user_lockout_config"] = lockout.tuned(config.user_lockout_config, kept["user_lockout_config"])
    for name in ("default_lease_ttl", "max_lease_ttl"):
        if kept.get(name, 0) < 0:
            raise InvalidRequest(f"{name} must not be negative")
    new = msgspec.structs.replace(config, **kept)
    if new.listing_visibility not in VISIBILITY:
        raise InvalidRequest(f"invalid listing_visibility; expected one of {', '.join(VISIBILITY[1:])}")
    if new.token_type not in TOKEN_TYPES:
        raise InvalidRequest("invalid value for 'token_type'")
    default, top = new.default_lease_ttl, new.max_lease_ttl
    if default and default > (top or settings.max_lease_ttl):
        raise InvalidRequest(
            f"backend max lease TTL of {top or settings.max_lease_ttl} would be less than "
            f"backend default lease TTL of {default}"
        )
    return new


def describe(mount: Mount) -> dict[str, Any]:
    """Return a mount as ``sys/mounts`` shows it."""
    shown: dict[str, Any] = {
        "accessor": mount.accessor,
        "config": describe_config(mount),
        "description": mount.description,
        "external_entropy_access": mount.external_entropy_access,
        "local": mount.local,
        "options": mount.options,
        "plugin_version": mount.config.plugin_version,
        "running_plugin_version": "",
        "running_sha256": "",
        "seal_wrap": mount.seal_wrap,
        "type": mount.type,
        "uuid": mount.uuid,
    }
    if mount.type not in ("system", "cubbyhole", "identity", "token"):
        shown["deprecation_status"] = "supported"
    return shown


def describe_config(mount: Mount) -> dict[str, Any]:
    """Return a mount's configuration: set values, and those that are always shown."""
    config = mount.config
    shown: dict[str, Any] = {
        "default_lease_ttl": config.default_lease_ttl,
        "force_no_cache": config.force_no_cache,
        "max_lease_ttl": config.max_lease_ttl,
    }
    for name in (
        "audit_non_hmac_request_keys",
        "audit_non_hmac_response_keys",
        "passthrough_request_headers",
        "allowed_response_headers",
    ):
        if getattr(config, name):
            shown[name] = list(getattr(config, name))
    if config.listing_visibility:
        shown["listing_visibility"] = config.listing_visibility
    if mount.table == "auth":
        shown["token_type"] = config.token_type or "default-service"
    if config.user_lockout_config:
        shown["user_lockout_config"] = lockout.shown(config.user_lockout_config)
    return shown


async def erase_data(tx: Transaction, prefix: str, batch: int = 500) -> bool:
    """Delete up to ``batch`` entries below ``prefix``. Returns whether none are left."""
    names = await tx.scan(prefix, limit=batch)
    for name in names:
        tx.delete(prefix + name)
    return len(names) < batch


def replaced(table: MountTable, old: Mount, new: Mount | None) -> tuple[Mount, ...]:
    """Return the table's mounts with one changed, or left out."""
    mounts = tuple(new if mount is old else mount for mount in table.mounts)
    return tuple(mount for mount in mounts if mount is not None)
