"""Turning a leased secret into a lease, inside the request's own transaction."""

from broker.core.tenants import Tenant
from broker.plugin.context import Context, Mount
from broker.plugin.errors import InvalidRequest
from broker.plugin.messages import Response
from broker.storage.transaction import Transaction


async def enter_lease(
    tenant: Tenant, tx: Transaction, response: Response, mount: Mount, context: Context
) -> None:
    """Enter the lease of ``response.leased`` and fill its id and lifetime into ``response``."""
    raise InvalidRequest("leases are not available on this server yet")
