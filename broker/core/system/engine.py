"""The engine at ``sys/``: one table, put together from the rooms below."""

from broker.core.system import mounts, namespaces, policies, status
from broker.core.system.parts import SystemBase


class SystemEngine(SystemBase):
    """Control, policy and debugging. Each module holds the rows and handlers of one subject."""

    PATHS = (*status.PATHS, *mounts.PATHS, *policies.PATHS, *namespaces.PATHS)
