"""A request's way through: resolve, authenticate, authorise, audit, run, commit, audit, answer. Each step once.

One request is one transaction on one tenant's store. A conflict re-runs the request from its transaction on; nothing
it did has had an effect yet. The request's audit record is written once, before the handler runs.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from broker.audit.entry import AuditEntry, ResponseFacts
from broker.barrier.envelope import UnknownTerm
from broker.core.admission import Admission, Session, Way, lead
from broker.core.auditing import REFUSED, entry_of, facts_of_response, fill_caller, granted
from broker.core.contexts import Contexts
from broker.core.denials import Denials
from broker.core.events import Events
from broker.core.help import HELP
from broker.core.intents import intend, release
from broker.core.leasing import enter_lease
from broker.core.liveness import check_live
from broker.core.logins import limits_of, mint_login
from broker.core.quotas.counting import login_role
from broker.core.quotas.quotas import RateLimited
from broker.core.requests import Request
from broker.core.results import respond
from broker.core.runtime import Runtime
from broker.core.sealing import SealState
from broker.core.tokens import DENIED
from broker.core.undoing import take_back
from broker.core.wrapping import TAKING, check_shown, wrap
from broker.plugin.context import Caller, Context, Mount, NamespaceInfo
from broker.plugin.errors import (
    AuditFailed,
    BrokerError,
    InvalidRequest,
    NotFound,
    NotInitialized,
    PermissionDenied,
    Sealed,
    Tampered,
    Unavailable,
    UnsupportedOperation,
    UnsupportedPath,
)
from broker.plugin.messages import Response
from broker.plugin.paths import Operation, Path, PathTable
from broker.plugin.verbs import Verb
from broker.storage.errors import TransactionConflict
from broker.storage.transaction import Transaction

log = logging.getLogger("broker.core")

MAX_ATTEMPTS = 200
MAX_KEYRING_READS = 3
"""How often a keyring is read again for an entry whose key it lacks; then the entry is taken to be damaged."""

ROOT_NAMESPACE = NamespaceInfo("root", "root", "")
NOBODY = Caller()
NO_FACTS = ResponseFacts()
_LISTING = frozenset((Verb.LIST, Verb.SCAN))
_OTHER_WRITE: dict[Verb, Verb] = {Verb.CREATE: Verb.UPDATE, Verb.UPDATE: Verb.CREATE}
_AGAIN = (TransactionConflict, UnknownTerm)
"""Not refusals: the request runs again."""


class Attempt:
    """The moving parts of one pass of a request through the pipeline, filled in as they become known."""

    __slots__ = ("audited", "context", "entry", "intents", "leased", "operation", "session", "tx", "way")

    way: Way
    tx: Transaction
    context: Context
    operation: Operation

    def __init__(self, *, audited: bool) -> None:
        self.audited = audited
        self.entry: AuditEntry | None = None
        self.session: Session | None = None
        self.intents: list[str] = []
        self.leased = ""
        """Key of the lease that the request made."""


class Core:
    """The pipeline of one worker. ``handle`` is safe to call concurrently."""

    def __init__(
        self,
        *,
        seal: SealState,
        system: tuple[Any, Mount, PathTable],
        denials: Denials,
        default_ttl: int,
        max_ttl: int,
        clock: Callable[[], float] = time.time,
        events: Events | None = None,
    ) -> None:
        self._seal = seal
        self.events = events or Events()
        self._default_ttl = default_ttl
        self._max_ttl = max_ttl
        self._system_engine, self._system_mount, self._system_table = system
        self._sealed_paths = {
            "sys/" + path.template
            for path in self._system_table.paths
            if any(operation.sealed for operation in path.operations.values())
        }
        self._denials = denials
        self._clock = clock
        self._admission = Admission(clock)
        self._contexts = Contexts(self._system_mount, default_ttl=default_ttl, max_ttl=max_ttl)

    async def handle(self, request: Request) -> Response:
        """Serve one request. Raises: BrokerError for everything a caller is told about."""
        runtime = self._seal.current()
        if runtime is None:
            runtime = await self._seal.enter()
        if request.path in self._sealed_paths:
            if runtime is not None:
                await self._admit_unsealed(runtime, request)
            served = await self._serve_sealed(request, runtime)
            if served is not None:
                return served
        if runtime is None:
            if request.path == "sys/seal" and request.verb is Verb.UPDATE:
                return Response(empty=True)  # sealed (or never unsealed) is what was asked for
            raise Sealed if await self._seal.initialized() else NotInitialized
        audited = False
        for number in range(MAX_ATTEMPTS):
            attempt = Attempt(audited=audited)
            try:
                return await self._serve(runtime, request, attempt)
            except TransactionConflict:
                if number > 2:
                    await asyncio.sleep(random.random() * 0.002 * min(number, 20))  # noqa: S311 - spreads retries
            except UnknownTerm as error:
                if number >= MAX_KEYRING_READS:
                    await self._audit_refusal(runtime, request, attempt, error)
                    raise
                await self._seal.reload_keyring()
            audited = attempt.audited
        busy = Unavailable("the entry is being changed by too many requests at once; try again")
        await self._audit_refusal(runtime, request, attempt, busy)
        raise busy

    async def check_live(self, request: Request) -> None:
        """Return if a request's token stands for somebody (``broker.core.liveness``), its body unread. Raises: BrokerError."""
        await check_live(self._seal, self._admission, request)

    # Paths that are served while sealed: no storage, no caller, no audit

    async def _serve_sealed(self, request: Request, runtime: Runtime | None) -> Response | None:
        row, params = self._system_table.match(request.path[4:])
        operation = _pick(row, request.verb)
        if operation is None and request.verb is not Verb.HELP:
            raise UnsupportedOperation
        if operation is None or not operation.sealed:
            return None
        context = self._contexts.make(
            request, NOBODY, self._system_mount, ROOT_NAMESPACE, None, None, request.verb, self._clock()
        )
        result = await operation.calls(self._system_engine, context, operation.bind(params, request.data))
        return respond(result, operation, self._system_mount, context)

    async def _admit_unsealed(self, runtime: Runtime, request: Request) -> None:
        """Count a request for one of these paths. Raises: RateLimited.

        They are there to say what is wrong: if the store does not tell where the path leads, it is served uncounted.
        """
        try:
            way, _ = self._admission.known_way(runtime, request) or await self._admission.way(
                runtime, request
            )
        except BrokerError:
            return
        if way.limit is not None:
            runtime.quotas.admit(request, way.limit)

    # The ordinary way

    async def _serve(self, runtime: Runtime, request: Request, attempt: Attempt) -> Response:
        try:
            await self._authorise(runtime, request, attempt)
        except _AGAIN:
            raise
        except BrokerError as error:
            if not isinstance(error, RateLimited) or runtime.quotas.config.audit:
                await self._audit_refusal(runtime, request, attempt, error)
            raise
        entry = attempt.entry
        assert entry is not None
        auditor = runtime.auditor
        if not attempt.audited:
            pending = auditor.request(entry)
            if pending is not None:
                await pending
            attempt.audited = True
        response: Response | None = None
        try:
            response = await self._run(attempt, request)
            tx = attempt.tx
            if tx.dirty:
                await tx.commit()
            elif not tx.undisturbed and not await tx.validate():
                raise TransactionConflict
        except (*_AGAIN, AuditFailed):
            await self._release(attempt)
            raise
        except asyncio.CancelledError:
            # Cut off, perhaps after the commit was handed over: what it did stands, but a token nobody was told of goes.
            try:
                await self._audit_failure(runtime, entry, "the request was cut off")
            finally:
                await self._release(attempt)
                if response is not None:
                    await take_back(attempt.way.tenant, response, attempt.leased, self._clock)
            raise
        except Exception as error:
            await self._release(attempt)
            # A plain internal error is recorded too; its text stays in the log, for it may hold anything.
            known = isinstance(error, BrokerError)
            await self._audit_failure(
                runtime, entry, (str(error) or type(error).__name__) if known else "internal error"
            )
            raise
        if self._seal.current() is not runtime and not _seals(request):
            raise Sealed
        try:
            pending = auditor.response(entry, facts_of_response(response, attempt.context.now))
            if pending is not None:
                await pending
        except AuditFailed:
            await take_back(attempt.way.tenant, response, attempt.leased, self._clock)
            raise
        return response

    async def _authorise(self, runtime: Runtime, request: Request, attempt: Attempt) -> None:
        """Resolve the path, the caller and the permission, or raise. Fills ``attempt`` as far as it gets."""
        admission = self._admission
        way, tx = attempt.way, attempt.tx = admission.known_way(runtime, request) or await admission.way(
            runtime, request
        )
        route, verb = way.route, request.verb
        entry = attempt.entry = entry_of(request, way.tenant.info, way.path, route)
        if way.limit is not None:
            role = await way.limit.role(tx, request.data) if way.limit.by_role else ""
            runtime.quotas.admit(request, way.limit, role)
        row = None if route is None else route.row
        operation = None if row is None else _pick(row, verb)
        access = True if operation is None else operation.authenticated
        if operation is not None and not access and operation.root_only and not way.tenant.is_root:
            raise UnsupportedPath("operation unavailable in namespaces")
        if operation is not None and (not access or (access == "optional" and request.token is None)):
            attempt.operation = operation
            attempt.context = self._contexts.of(request, way, tx, None, self._clock())
            return
        taking = way.path in TAKING and verb is Verb.UPDATE
        if taking:
            await check_shown(way.tenant, request, self._clock(), self.events)
        try:
            now = self._clock()
            session = admission.known_session(request, way, tx, now) or await admission.session(
                request, way, tx, spend=access is True
            )
        except PermissionDenied:
            if taking:  # of several at once, those that came too late are told so
                await check_shown(way.tenant, request, self._clock(), self.events)
            raise
        attempt.session = session
        fill_caller(entry, session.found, request.token.reveal() if request.token is not None else "")
        context = attempt.context = self._contexts.of(request, way, tx, session, now)
        if row is not None and row.exists is not None and verb is Verb.UPDATE and route is not None:
            try:
                present = await row.exists(route.engine, context, route.params)
            except Tampered:
                present = True  # it is there, though it does not open; policies have not been asked yet
            verb = Verb.UPDATE if present else Verb.CREATE
            operation = _pick(row, verb)
            context.verb = verb
            entry.operation = verb.value
        if access is True:
            self._check_acl(request, attempt, session, verb, operation)
        if route is None:
            raise NotFound(f'no handler for route "{way.path}". route entry not found.')
        if verb is Verb.HELP and (row is not None or not route.rest):
            operation = HELP
        elif row is None:
            raise UnsupportedPath
        if operation is None:
            raise UnsupportedOperation
        if operation.root_only and not way.tenant.is_root:
            raise InvalidRequest("operation unavailable in namespaces")
        attempt.operation = operation

    def _check_acl(
        self, request: Request, attempt: Attempt, session: Session, verb: Verb, operation: Operation | None
    ) -> None:
        tenant, path = attempt.way.tenant, attempt.way.path
        if session.home is not tenant:
            path = lead(tenant, session.home) + path
        context, entry = attempt.context, attempt.entry
        assert entry is not None
        decision = session.acl.check(
            verb, path, data=request.data, wrap_ttl=request.wrap_ttl, now=context.now
        )
        context.sudo = decision.sudo or decision.root
        if decision.allowed and (operation is None or not operation.sudo or context.sudo):
            limit = decision.page_limit(request.data) if verb in _LISTING else None
            if limit is not None:
                request.data = {**request.data, "limit": limit}
            entry.policy_results = granted(session.home.info, decision.granting)
            return
        entry.policy_results = REFUSED
        needs_sudo = operation is not None and operation.sudo
        self._denials.add(request.id, session.caller, tenant.info, verb, path, sudo=needs_sudo)
        raise PermissionDenied(DENIED)

    async def _run(self, attempt: Attempt, request: Request) -> Response:
        operation, route, context = attempt.operation, attempt.way.route, attempt.context
        assert route is not None
        made = (attempt.way.tenant, attempt.tx, route.mount, attempt.intents, context.now, context.path)
        context.intend = partial(intend, *made)
        result = await operation.calls(route.engine, context, route.bind(operation, request.data))
        response = respond(result, operation, route.mount, context)
        auth = response.auth
        if auth is not None and auth.client_token is None:
            limits = limits_of(route.mount, default_ttl=self._default_ttl, max_ttl=self._max_ttl)
            role = await login_role(attempt.way.tenant, attempt.tx, route, request.data)
            said = len(context.warnings)
            response.auth = await mint_login(
                attempt.way.tenant, attempt.tx, auth, route.mount, context, limits=limits, role=role
            )
            response.warnings = [*response.warnings, *context.warnings[said:]]
        if response.leased is not None:
            attempt.leased = await enter_lease(
                attempt.way.tenant,
                attempt.tx,
                response,
                route.mount,
                context,
                limits=limits_of(route.mount, default_ttl=self._default_ttl, max_ttl=self._max_ttl),
                session=attempt.session,
            )
        if request.wrap_ttl:
            return await wrap(attempt.way.tenant, attempt.tx, response, attempt.way.path, context)
        return response

    async def _release(self, attempt: Attempt) -> None:
        """Have the outside effects of an attempt undone that did not commit."""
        if attempt.intents:
            await release(attempt.way.tenant, attempt.intents, self._clock())

    async def _audit_failure(self, runtime: Runtime, entry: AuditEntry, error: str) -> None:
        """Record the answer to a request that failed after it was recorded."""
        entry.error = error
        pending = runtime.auditor.response(entry, NO_FACTS)
        if pending is not None:
            await pending

    async def _audit_refusal(
        self, runtime: Runtime, request: Request, attempt: Attempt, error: BrokerError
    ) -> None:
        entry = attempt.entry or entry_of(request, ROOT_NAMESPACE)
        entry.error = str(error) or type(error).__name__
        auditor = runtime.auditor
        if not attempt.audited and (pending := auditor.request(entry)) is not None:
            await pending
        if (pending := auditor.response(entry, NO_FACTS)) is not None:
            await pending


def _pick(row: Path, verb: Verb) -> Operation | None:
    """Return the row's operation for a verb; a write finds ``create`` or ``update``, whichever the path has."""
    operation = row.operations.get(verb)
    if operation is None and (other := _OTHER_WRITE.get(verb)) is not None:
        operation = row.operations.get(other)
    return operation


def _seals(request: Request) -> bool:
    return request.path in ("sys/seal", "sys/step-down")
