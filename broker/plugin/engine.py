"""What a plugin offers: secrets engines and auth methods, registered by type, built once per mount and worker."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from broker.plugin.context import Context, Mount, View
from broker.plugin.paths import Path


class Engine:
    """A secrets engine: a table of paths and the handlers it names.

    One instance serves one mount in one worker, for many requests at once: keep state in ``ctx.storage``, not on ``self``.
    """

    PATHS: ClassVar[Sequence[Path]] = ()

    def __init__(self, mount: Mount) -> None:
        self.mount = mount

    async def mounted(self, ctx: Context) -> None:
        """Prepare a new mount's storage, inside the transaction that mounts it. Raises to refuse the mount."""

    async def adopt(self, storage: View, *, now: float) -> bool:
        """Take over a bounded batch of what another version of this type stored at the mount.

        Called in the transaction that changes the mount's version, and again until it returns ``False``.
        """
        return False

    async def revoke(self, ctx: Context, internal: dict[str, Any]) -> None:
        """End what a lease stands for. Called again until it succeeds; gone already counts as success."""


class AuthMethod(Engine):
    """An auth method: an engine below ``auth/`` whose handlers may return ``Auth``."""


@dataclass(frozen=True, slots=True)
class EngineType:
    """What ``register_engines`` returns: the mount type's name and how to build one for a mount.

    ``paths`` defaults to the class's ``PATHS``; ``singleton`` types exist once per namespace and cannot be mounted by
    hand. ``needs`` names services of the core (built-in methods only), passed to ``build`` by keyword.
    ``select`` picks among versions of a type by the mount's options (KV 1 and 2 share one name).
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
