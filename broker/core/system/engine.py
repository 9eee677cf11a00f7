"""The engine at ``sys/``: one table, put together from the rooms below."""

from broker.core.system import status
from broker.core.system.parts import SystemBase


class SystemEngine(SystemBase):
    """Control, policy and debugging. Each module holds the rows and handlers of one subject."""

    PATHS = (*status.PATHS,)
