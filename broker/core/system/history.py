"""``sys/version-history``: which versions of the server have run on this store. Source: Vault's API documentation."""

from collections.abc import Callable
from typing import Any

import msgspec

import broker
from broker.access.lifetimes import issue_time
from broker.core.system.losses import renew
from broker.core.system.parts import SystemBase
from broker.core.tenants import Tenant
from broker.plugin.context import Context
from broker.plugin.fields import Nothing
from broker.plugin.paths import Operation, Path

VERSIONS = "core/versions"


class VersionsRecord(msgspec.Struct, frozen=True):
    """Versions in the order in which they first ran, each with that time (RFC 3339, UTC)."""

    v: int = 1
    installed: dict[str, str] = {}


async def note_version(root: Tenant, clock: Callable[[], float]) -> None:
    """Remember that this version runs here, if it is the first time. No trouble with it keeps a node sealed."""

    def noted(record: VersionsRecord | None) -> VersionsRecord:
        installed = {} if record is None else record.installed
        if broker.__version__ in installed:
            return VersionsRecord(installed=installed)
        return VersionsRecord(installed={**installed, broker.__version__: issue_time(clock())})

    await renew(root.store, VERSIONS, VersionsRecord, noted)


async def listed(system: SystemBase, ctx: Context, args: Nothing) -> dict[str, Any]:
    record = await ctx.transaction.load(VERSIONS, VersionsRecord) or VersionsRecord()
    shown, previous = {}, None
    for number, when in record.installed.items():
        shown[number] = {"commit_date": "", "previous_version": previous, "timestamp_installed": when}
        previous = number
    return {"key_info": shown, "keys": list(shown)}


PATHS = (
    Path(
        "version-history",
        "The versions of the server that have run on this store, oldest first.",
        list=Operation(Nothing, dict, calls=listed, root_only=True),
    ),
)
