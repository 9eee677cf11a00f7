"""Response wrapping: the answer waits behind a one-time token."""

from broker.core.tenants import Tenant
from broker.plugin.context import Context
from broker.plugin.errors import InvalidRequest
from broker.plugin.messages import Response
from broker.storage.transaction import Transaction


async def wrap(tenant: Tenant, tx: Transaction, response: Response, path: str, context: Context) -> Response:
    """Put ``response`` behind a wrapping token, in the request's transaction, and return what the caller is told."""
    raise InvalidRequest("response wrapping is not available on this server yet")
