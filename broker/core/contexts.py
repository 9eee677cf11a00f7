"""What a handler is given for a request, built from what is known of it."""

import os
from functools import partial
from typing import Any

from broker.core.admission import Session, Way, lead
from broker.core.errands import NOBODY, blocking, schedule
from broker.core.requests import Request
from broker.plugin.context import Caller, Context, Mount, NamespaceInfo
from broker.plugin.verbs import Verb
from broker.storage.transaction import Transaction


class Contexts:
    """Builds contexts. TTLs in seconds: the system's, for mounts that are not tuned."""

    __slots__ = ("_default_ttl", "_max_ttl", "_system")

    def __init__(self, system: Mount, *, default_ttl: int, max_ttl: int) -> None:
        self._system = system
        self._default_ttl = default_ttl
        self._max_ttl = max_ttl

    def of(self, request: Request, way: Way, tx: Transaction, session: Session | None, now: float) -> Context:
        """Return the context of a request that goes this way, in this transaction, as this session, at ``now``."""
        route, tenant = way.route, way.tenant
        caller = NOBODY if session is None else session.caller
        if route is None:
            return self.make(request, caller, self._system, tenant.info, None, tx, request.verb, now)
        view = tx.view(route.storage_prefix)
        whole = tx if route.trusted else None
        context = self.make(
            request, caller, route.mount, tenant.info, view, whole, request.verb, now, route.rest
        )
        if session is not None:
            context.judge, context.lead = session.acl, lead(tenant, session.home)
        context.default_ttl = route.mount.config.default_lease_ttl or self._default_ttl
        context.max_ttl = route.mount.config.max_lease_ttl or self._max_ttl
        context.schedule = partial(schedule, tx, route.mount)
        return context

    def make(
        self,
        request: Request,
        caller: Caller,
        mount: Mount,
        namespace: NamespaceInfo,
        storage: Any,
        tx: Transaction | None,
        verb: Verb,
        now: float,
        rest: str = "",
    ) -> Context:
        """Return a context of these parts. ``storage`` is the mount's own view, ``tx`` the whole tenant's."""
        return Context(
            request_id=request.id,
            verb=verb,
            path=rest,
            namespace=namespace,
            mount=mount,
            caller=caller,
            connection=request.connection,
            headers=request.headers,
            storage=storage,
            transaction=tx,
            now=now,
            random=os.urandom,
            blocking=blocking,
            token=request.token,
            wrap_ttl=request.wrap_ttl,
        )
