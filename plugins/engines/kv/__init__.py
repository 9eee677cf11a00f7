"""The key/value secrets engine: version 1 keeps one value per name, version 2 keeps a history.

``begin_upgrade`` and ``upgrade_batch`` turn a version 1 mount into a version 2 one.
"""

from collections.abc import Sequence

from broker.plugin import EngineType, hookimpl

from .metadata import VersionedEngine
from .paths import PATHS
from .plain import PlainEngine
from .upgrade import begin_upgrade, upgrade_batch

__all__ = ["PATHS", "PlainEngine", "VersionedEngine", "begin_upgrade", "register_engines", "upgrade_batch"]


@hookimpl
def register_engines() -> Sequence[EngineType]:
    """Offer both versions under one name; the mount's option ``version`` chooses."""
    return [
        EngineType("kv", build=PlainEngine, version="1", summary="Key/value secrets."),
        EngineType("kv", build=VersionedEngine, version="2", summary="Key/value secrets with a history."),
    ]
