"""What the system engine's handlers work with, by name."""

from collections.abc import Callable
from dataclasses import dataclass

from broker.core.anchoring import Anchors
from broker.core.attendance import Attendant
from broker.core.denials import Denials
from broker.core.plugins import Catalog
from broker.core.routing import Registry
from broker.core.runtime import Runtime
from broker.core.sealing import SealState
from broker.core.seals import Seals
from broker.core.settings import CoreSettings
from broker.core.tenants import Tenant
from broker.plugin.context import Context, Mount
from broker.plugin.engine import Engine
from broker.plugin.errors import Sealed
from broker.plugin.seal import Seal


@dataclass(frozen=True, slots=True)
class Parts:
    """The services behind ``sys/``. ``runtime()`` is ``None`` while sealed; ``clock()`` gives Unix seconds."""

    settings: CoreSettings
    catalog: Catalog
    registry: Registry
    seal_state: SealState
    seals: Seals
    denials: Denials
    attendant: Attendant
    anchors: Anchors
    clock: Callable[[], float]

    @property
    def seal(self) -> Seal:
        """Return the seal in use."""
        return self.seals.current.seal

    def runtime(self) -> Runtime:
        """Return the unsealed parts. Raises: Sealed."""
        runtime = self.seal_state.current()
        if runtime is None:
            raise Sealed
        return runtime

    def tenant(self, ctx: Context) -> Tenant:
        """Return the tenant a request is in. Raises: Sealed."""
        for tenant in self.runtime().tenants.all_open():
            if tenant.info.uuid == ctx.namespace.uuid:
                return tenant
        raise Sealed

    async def home(self, ctx: Context) -> Tenant:
        """Return the tenant that the caller's token was made in: the request's, or an ancestor of it."""
        tenant: Tenant | None = self.tenant(ctx)
        wanted = ctx.caller.namespace.uuid if ctx.caller.namespace else ctx.namespace.uuid
        while tenant is not None and tenant.info.uuid != wanted:
            tenant = tenant.parent
        if tenant is None:
            raise Sealed
        return tenant


class SystemBase(Engine):
    """The engine at ``sys/``; its paths are put together in ``broker.core.system.engine``."""

    def __init__(self, mount: Mount, *, parts: Parts) -> None:
        super().__init__(mount)
        self.parts = parts
