"""What the installation calls itself: a name and an id, made at init."""

import uuid
from os import urandom

from broker.core.records import SYSTEM_SETTINGS, SystemSettings
from broker.core.system.losses import renew
from broker.core.tenants import Tenant


def new_settings(name: str) -> SystemSettings:
    """Make the settings of a new installation; without ``name`` it gets one."""
    return SystemSettings(
        cluster_id=str(uuid.uuid4()), cluster_name=name or f"broker-cluster-{urandom(4).hex()}"
    )


async def keep_settings(root: Tenant, name: str) -> None:
    """Give an installation whose settings are lost new ones: it is served under another id, rather than not at all."""
    await renew(root.store, SYSTEM_SETTINGS, SystemSettings, lambda old: old or new_settings(name))


__all__ = ["keep_settings", "new_settings"]
