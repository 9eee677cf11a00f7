"""What a plugin offers: secrets engines and auth methods, registered by type, built once per mount and worker."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from broker.plugin.context import Mount, View
from broker.plugin.paths import Path


class Engine:
    """A secrets engine: a table of paths and the handlers it names.

    One instance serves one mount in one worker, for many requests at once: keep state in ``ctx.storage``, not on ``self``.
    """

    PATHS: ClassVar[Sequence[Path]] = ()

    def __init__(self, mount: Mount) -> None:
        self.mount = mount

    async def adopt(self, storage: View, *, now: float) -> bool:
        """Take over a bounded batch of what another version of this type stored at the mount.

        Called in the transaction that changes the mount's version, and again until it returns ``False``.
        """
        return False


class AuthMethod(Engine):
    """An auth method: an engine below ``auth/`` whose handlers may return ``Auth``."""


@dataclass(frozen=True, slots=True)
class EngineType:
    """What ``register_engines`` returns: the mount type's name and how to build one for a mount.

    ``singleton`` types exist once per namespace and cannot be mounted by
    hand. ``needs`` names services of the core (built-in methods only), passed to ``build`` by keyword.
    Several types may share a name and differ in ``version``: the mount's option of that name picks one.
    """

    name: str
    build: Callable[..., Engine]
    summary: str = ""
    singleton: bool = False
    needs: tuple[str, ...] = ()
    version: str = ""


@dataclass(frozen=True, slots=True)
class AuthMethodType(EngineType):
    """What ``register_auth_methods`` returns."""
