"""The key/value secrets engine: version 1 keeps one value per name, version 2 keeps a history.

A mount whose option ``version`` becomes 2 takes its old entries over through ``VersionedEngine.adopt``.
"""

from collections.abc import Sequence

from broker.plugin import EngineType, hookimpl

from .metadata import VersionedEngine
from .paths import PATHS
from .plain import PlainEngine

__all__ = ["PATHS", "PlainEngine", "VersionedEngine", "register_engines"]


@hookimpl
def register_engines() -> Sequence[EngineType]:
    """Offer both versions under one name; the mount's option ``version`` chooses."""
    return [
        EngineType("kv", build=PlainEngine, version="1", summary="Key/value secrets."),
        EngineType("kv", build=VersionedEngine, version="2", summary="Key/value secrets with a history."),
    ]
