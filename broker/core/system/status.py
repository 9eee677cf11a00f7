"""What a node tells of itself without a token, sealed or not: health, seal status, leader.

Shapes are Vault's; source: Vault's ``sys/health``, ``sys/seal-status`` and ``sys/leader`` API documentation.
"""

import time
from dataclasses import dataclass
from typing import Annotated, Any

from broker.barrier.ceremonies import UNSEAL
from broker.barrier.progress import Progress
from broker.barrier.records import BarrierRecords
from broker.barrier.unseal import About, seal_status
from broker.core.records import SYSTEM_SETTINGS, SystemSettings
from broker.core.settings import VERSION
from broker.core.system.ceremony import ROLLBACK, at_root, look
from broker.core.system.parts import Parts, SystemBase
from broker.plugin.context import Context
from broker.plugin.errors import ConfigError, NotInitialized, Unavailable
from broker.plugin.fields import Field, Json, Nothing
from broker.plugin.messages import Plain
from broker.plugin.paths import Operation, Path


@dataclass(frozen=True, slots=True)
class Health:
    other: Annotated[dict[str, Json] | None, Field("Ignored: probes add what they like.", rest=True)] = None
    standbyok: Annotated[str, Field("Answer as if active while a standby.")] = ""
    perfstandbyok: Annotated[str, Field("Likewise for performance standbys.")] = ""
    activecode: Annotated[int, Field("Status for an active node.", minimum=200, maximum=599)] = 200
    standbycode: Annotated[int, Field("Status for a standby.", minimum=200, maximum=599)] = 429
    drsecondarycode: Annotated[int, Field("Unused here.", minimum=200, maximum=599)] = 472
    performancestandbycode: Annotated[int, Field("Unused here.", minimum=200, maximum=599)] = 473
    sealedcode: Annotated[int, Field("Status for a sealed node.", minimum=200, maximum=599)] = 503
    uninitcode: Annotated[int, Field("Status before init.", minimum=200, maximum=599)] = 501
    removedcode: Annotated[int, Field("Unused here.", minimum=200, maximum=599)] = 530
    haunhealthycode: Annotated[int, Field("Unused here.", minimum=200, maximum=599)] = 474


async def cluster(parts: Parts) -> SystemSettings:
    """Return the installation's settings, empty while sealed."""
    runtime = parts.seal_state.current() or await parts.seal_state.enter()
    if runtime is None:
        return SystemSettings()
    tx = await runtime.tenants.root.store.begin()
    return await tx.load(SYSTEM_SETTINGS, SystemSettings) or SystemSettings()


async def stored(parts: Parts) -> BarrierRecords | None:
    """Return the barrier's records, ``None`` before init."""
    try:
        return (await parts.seal_state.records())[0]
    except NotInitialized:
        return None


def progress(parts: Parts) -> Progress | None:
    """Return the unseal attempt in progress, shared by all workers."""
    return look(parts.seal_state.node, UNSEAL, Progress)[1]


async def describe(parts: Parts) -> dict[str, Any]:
    """Return the answer of seal-status."""
    settings = parts.settings
    known = await cluster(parts)
    records = await stored(parts)
    sealed = parts.seal_state.current() is None
    about = About(
        version=VERSION,
        commit_date="",
        storage_type=settings.storage_type,
        cluster_name=known.cluster_name,
        cluster_id=known.cluster_id,
    )
    status = seal_status(
        about,
        records,
        progress(parts),
        configured=parts.seals.current.type,
        auto=parts.seals.current.auto,
        sealed=sealed,
        migration=sealed and records is not None and await _migrates(parts, records),
    )
    if sealed and parts.seal_state.node.read_ceremony(ROLLBACK):
        status["rollback_detected"] = True
    return status


async def _migrates(parts: Parts, records: BarrierRecords) -> bool:
    """Tell whether the shares that are brought move the store to another seal."""
    try:
        return await parts.seals.leaving(records) is not None
    except Unavailable:
        return (
            True  # two seals of one type, and the new one does not answer: not yet, as far as anybody knows
        )
    except ConfigError:
        return False


async def read_seal_status(system: SystemBase, ctx: Context, args: Nothing) -> Plain:
    return Plain(await describe(system.parts))


async def read_health(system: SystemBase, ctx: Context, args: Health) -> Plain:
    at_root(ctx)
    known = await cluster(system.parts)
    initialized = await stored(system.parts) is not None
    sealed = system.parts.seal_state.current() is None
    status = args.uninitcode if not initialized else args.sealedcode if sealed else args.activecode
    body: dict[str, Any] = {
        "initialized": initialized,
        "sealed": sealed,
        "standby": sealed,
        "performance_standby": False,
        "replication_performance_mode": "unknown" if sealed else "disabled",
        "replication_dr_mode": "unknown" if sealed else "disabled",
        "server_time_utc": int(time.time()),
        "version": VERSION,
    }
    if known.cluster_id:
        body |= {"cluster_name": known.cluster_name, "cluster_id": known.cluster_id}
    return Plain(body, status)


async def read_leader(system: SystemBase, ctx: Context, args: Nothing) -> Plain:
    return Plain(
        {
            "ha_enabled": False,
            "is_self": False,
            "active_time": "0001-01-01T00:00:00Z",
            "leader_address": "",
            "leader_cluster_address": "",
            "performance_standby": False,
            "performance_standby_last_remote_wal": 0,
        }
    )


PATHS = (
    Path(
        "health",
        "Whether the node is initialised, unsealed and active; the status code tells it too.",
        read=Operation(Health, dict, calls=read_health, authenticated=False, sealed=True),
    ),
    Path(
        "seal-status",
        "The state of the seal.",
        read=Operation(Nothing, dict, calls=read_seal_status, authenticated=False, sealed=True),
    ),
    Path(
        "leader",
        "Who leads the cluster.",
        read=Operation(Nothing, dict, calls=read_leader, authenticated=False, sealed=True),
    ),
)
