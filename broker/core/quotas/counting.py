"""How many tokens and leases may live at once: a permit is taken with each and given back with its end.

The permit joins the transaction that makes the token or lease, so the count is exact whatever happens in between. An
inherited quota counts each namespace below by itself: no namespace's requests touch another's store.
"""

from collections.abc import Mapping
from typing import Any

from broker.access import permits
from broker.core.quotas.book import role_of
from broker.core.quotas.quotas import Quotas
from broker.core.routing import Route
from broker.core.tenants import Tenant
from broker.plugin.context import Mount
from broker.plugin.errors import QuotaExceeded
from broker.storage.transaction import Transaction


class TooManyLeases(QuotaExceeded):
    """A lease-count quota is used up."""


def quotas_of(tenant: Tenant) -> Quotas | None:
    """Return the quotas that a tenant is under; ``None`` where there are none at all (init)."""
    while tenant.parent is not None:
        tenant = tenant.parent
    return tenant.quotas


async def take_lease(tenant: Tenant, tx: Transaction, mount: Mount, rest: str, *, role: str = "") -> str:
    """Take a permit for what is made at ``rest`` below ``mount``; empty if no quota counts it.

    Keep it with the token or lease, and give it back with ``permits.release(tx, permit)`` when that is erased.
    ``role``: as ``AuthMethod.find_role`` says. Raises: TooManyLeases.
    """
    quotas = quotas_of(tenant)
    if quotas is None or not quotas.counts:
        return ""
    rule = quotas.counts.mount_rule(tenant, mount.uuid, rest, role)
    if rule is None:
        return ""
    permit = await permits.take(tx, rule.id, limit=rule.max_leases, version=rule.version)
    if not permit:
        raise TooManyLeases(f'request path "{mount.prefix}{rest}": lease count quota exceeded')
    return permit


async def login_role(tenant: Tenant, tx: Transaction, route: Route, data: Mapping[str, Any]) -> str:
    """Return the role that a login names, if any quota asks for it."""
    quotas = quotas_of(tenant)
    if quotas is None or not quotas.counts.has_roles(route.mount.uuid):
        return ""
    return await role_of(tx, route, data)


__all__ = ["TooManyLeases", "login_role", "quotas_of", "take_lease"]
