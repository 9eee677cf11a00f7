"""What a worker holds while unsealed."""

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.audit.auditor import Auditor
    from broker.core.admission import Way
    from broker.core.devices import Devices
    from broker.core.leasehold import Leasehold
    from broker.core.quotas.quotas import Quotas
    from broker.core.tenants import Tenants


@dataclass(slots=True)
class Runtime:
    """The unsealed parts of one worker. Closing wipes every plaintext it held."""

    tenants: "Tenants"
    auditor: "Auditor"
    devices: "Devices"
    quotas: "Quotas"
    leasehold: "Leasehold"
    ways: "dict[tuple[str, str], Way]" = field(default_factory=dict, repr=False)
    """Where requests went lately, by namespace and path; each checked against its reads before use."""
    cleanup: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def close(self) -> None:
        self.tenants.forget()
        self.ways.clear()
        await self.cleanup.aclose()
