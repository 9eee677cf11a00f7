"""Storage in memory, for ``-dev`` and tests: gone with the process that built it, shared by the workers it forks."""

from collections.abc import Mapping, Sequence

from broker.plugin.errors import WrongSetting
from broker.plugin.hookspecs import hookimpl
from broker.plugin.storage import BackendType

from .backend import InmemBackend

__all__ = ["INMEM", "InmemBackend", "register_storage"]


def build(settings: Mapping[str, object]) -> InmemBackend:
    """Read ``storage "inmem" {}``, which has no settings."""
    if settings:
        raise WrongSetting(min(settings), f"storage inmem: unknown setting {min(settings)!r}; expected none")
    return InmemBackend()


INMEM = BackendType("inmem", build, "Nothing on disk; lost when the server stops.")


@hookimpl
def register_storage() -> Sequence[BackendType]:
    return [INMEM]
