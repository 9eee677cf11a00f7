"""The person or workload behind a login and behind a token."""

from dataclasses import dataclass

from broker.access.policies import NOBODY as NO_PERSON
from broker.access.policy.template import Identity
from broker.access.records import TokenEntry
from broker.core.tenants import Tenant
from broker.plugin.context import Context, Mount
from broker.plugin.messages import Auth
from broker.storage.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Standing:
    """What an entity adds to a token: policies of its own and of its groups, and what templates may say of it."""

    policies: tuple[str, ...] = ()
    person: Identity = NO_PERSON


NOBODY = Standing()


async def recognise(tenant: Tenant, tx: Transaction, auth: Auth, mount: Mount, context: Context) -> None:
    """Find or make the entity behind a login and fill ``entity_id`` and ``identity_policies`` into ``auth``."""


async def standing_of(tenant: Tenant, tx: Transaction, entry: TokenEntry) -> Standing:
    """Return what a token's entity adds to it now. Raises: PermissionDenied if the entity is disabled or gone."""
    return NOBODY
