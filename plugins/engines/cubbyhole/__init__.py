"""The cubbyhole: every token's own drawer, which nobody else can open and which dies with the token."""

from collections.abc import Sequence

from broker.plugin import EngineType, hookimpl

from .engine import CubbyholeEngine, drawer, empty_drawer

__all__ = ["CubbyholeEngine", "drawer", "empty_drawer", "register_engines"]


@hookimpl
def register_engines() -> Sequence[EngineType]:
    """Offer the cubbyhole; each namespace has one."""
    return [
        EngineType(
            "cubbyhole", build=CubbyholeEngine, summary="Per-token private secret storage.", singleton=True
        )
    ]
