"""The steward's rounds: which tenants need a visit now.

A tenant is visited when its store changed since the last visit (one compare of its change counter), when something in it
falls due, or when entries of an older keyring term remain. The rest cost nothing. After taking over, a steward gets to
know the tenants a few at a time.
"""

import logging
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from broker.core.duties import Duties
from broker.core.records import NAMESPACES
from broker.core.reencrypt import TICK_SECONDS as REENCRYPT_SECONDS
from broker.core.reencrypt import advance, progress
from broker.core.sealing import SealState
from broker.core.tenants import Tenant, Tenants
from broker.plugin.errors import BrokerError

log = logging.getLogger("broker.steward")

FIRST_VISITS = 50
"""Tenants that a steward gets to know in one tick."""


AGAIN_SECONDS = 3.0
"""After how long a tenant is visited again where a visit failed, if nothing changes before."""


@dataclass(slots=True)
class Watch:
    """What the steward knows of one tenant. ``counter`` is its change counter at the last visit."""

    tenant: Tenant
    met: bool = False
    counter: int = -1
    due: float = math.inf
    term: int = 0


class Rounds:
    """The tenants of the cluster, as the worker that holds the steward's lock sees them."""

    def __init__(
        self, seal: SealState, tenants: Tenants, duties: Duties, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._seal = seal
        self._tenants = tenants
        self._duties = duties
        self._clock = clock
        self._known: dict[str, Watch] = {}

    def forget(self) -> None:
        """Start over, as a new steward does."""
        self._known = {}

    async def walk(self) -> None:
        """Visit the tenants that need it now."""
        root = self._tenants.root
        self._known.setdefault(root.info.uuid, Watch(root))
        until = time.monotonic() + REENCRYPT_SECONDS
        first = 0
        for watch in list(self._known.values()):
            counter = self._seal.node.read(watch.tenant.store.tenant)
            fresh = not watch.met
            if counter != watch.counter or watch.due <= self._clock():
                first += fresh
                if fresh and first > FIRST_VISITS:
                    continue
                await self._tried(watch, self._visit(watch, counter))
            await self._tried(watch, self._renew(watch, until))

    async def _tried(self, watch: Watch, work: Awaitable[None]) -> None:
        """Do a part of the round. What is wrong with one tenant holds up no other; it is tried again after a while."""
        try:
            await work
        except (BrokerError, OSError) as error:
            log.warning(
                "steward.tenant_failed tenant=%s error=%s", watch.tenant.info.uuid, type(error).__name__
            )
            watch.counter = self._seal.node.read(watch.tenant.store.tenant)
            watch.due = self._clock() + AGAIN_SECONDS

    async def _visit(self, watch: Watch, counter: int) -> None:
        tenant = watch.tenant
        if await self._tenants.drop_if_deleted(tenant):
            del self._known[tenant.info.uuid]
            return
        if not watch.met:
            await self._duties.meet(tenant)
            watch.met = True
        due = await self._duties.settle(tenant)
        watch.due = math.inf if due is None else due
        watch.counter = counter  # as before the visit: what came in between is looked at next time
        await self._meet_children(tenant)

    async def _meet_children(self, tenant: Tenant) -> None:
        tx = await tenant.store.begin()
        for name in await tx.list(NAMESPACES):
            try:
                child = await self._tenants.child(tenant, name, tx)
            except (BrokerError, OSError) as error:
                log.warning(
                    "steward.tenant_closed path=%s error=%s", tenant.info.path + name, type(error).__name__
                )
                continue  # looked at again when its parent changes
            if child is not None:
                self._known.setdefault(child.info.uuid, Watch(child))

    async def _renew(self, watch: Watch, until: float) -> None:
        """Rewrite what an older keyring term encrypted, while the tick has time for it."""
        keyring = self._seal.keyring()
        if keyring is None or watch.term == keyring.active or time.monotonic() >= until:
            return
        if await self._tenants.drop_if_deleted(watch.tenant):
            return
        await advance(watch.tenant, keyring, until=until)
        if (await progress(watch.tenant, keyring)).finished:
            watch.term = keyring.active
