"""A request's way through: resolve, authenticate, authorise, audit, run, commit, audit, answer. Each step once.

One request is one transaction on one tenant's store. A conflict re-runs the request from its transaction on; nothing
it did has had an effect yet. The request's audit record is written once, before the handler runs.
"""

import asyncio
import dataclasses
import logging
import os
import random
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from broker.access.policy.acl import ACL
from broker.access.records import TokenEntry
from broker.access.tokens import ID as TOKEN_ID
from broker.access.tokens import Found
from broker.audit.entry import AuditEntry, ResponseFacts
from broker.barrier.envelope import UnknownTerm
from broker.core.auditing import entry_of, facts_of_response, fill_caller
from broker.core.denials import Denials
from broker.core.logins import mint_login
from broker.core.requests import Request
from broker.core.routing import Route
from broker.core.runtime import Runtime
from broker.core.sealing import SealState
from broker.core.tenants import Tenant
from broker.core.tokens import DENIED, home_of
from broker.plugin.context import Caller, Context, Mount, NamespaceInfo
from broker.plugin.errors import (
    AuditFailed,
    BrokerError,
    InvalidRequest,
    NotFound,
    NotInitialized,
    PermissionDenied,
    Sealed,
    UnsupportedOperation,
    UnsupportedPath,
)
from broker.plugin.messages import Auth, Leased, Plain, Raw, Response
from broker.plugin.paths import Operation, Path, PathTable
from broker.plugin.verbs import Verb
from broker.storage.errors import TransactionConflict
from broker.storage.transaction import Transaction

log = logging.getLogger("broker.core")

MAX_ATTEMPTS = 200
SPENT_SECONDS = 60.0
"""How long a token that was used up stays in store for the request that took its last use."""
ROOT_NAMESPACE = NamespaceInfo("root", "root", "")
NOBODY = Caller()
NO_FACTS = ResponseFacts()
_LISTING = frozenset((Verb.LIST, Verb.SCAN))
_DEFAULT_STATUS: dict[Verb, Verb] = {Verb.CREATE: Verb.UPDATE, Verb.UPDATE: Verb.CREATE}


class Attempt:
    """The moving parts of one pass of a request through the pipeline."""

    __slots__ = (
        "acl",
        "caller",
        "context",
        "entry",
        "found",
        "operation",
        "route",
        "tenant",
        "token_tenant",
        "tx",
        "verb",
    )

    def __init__(self) -> None:
        self.tenant: Tenant | None = None
        self.tx: Transaction | None = None
        self.route: Route | None = None
        self.operation: Operation | None = None
        self.verb = Verb.READ
        self.found: Found | None = None
        self.token_tenant: Tenant | None = None
        self.caller = NOBODY
        self.acl: ACL | None = None
        self.context: Context | None = None
        self.entry: AuditEntry | None = None


class Core:
    """The pipeline of one worker. ``handle`` is safe to call concurrently."""

    def __init__(
        self,
        *,
        seal: SealState,
        system: tuple[Any, Mount, PathTable],
        denials: Denials,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._seal = seal
        self._system_engine, self._system_mount, self._system_table = system
        self._sealed_paths = {
            "sys/" + path.template
            for path in self._system_table.paths
            if any(operation.sealed for operation in path.operations.values())
        }
        self._denials = denials
        self._clock = clock

    async def handle(self, request: Request) -> Response:
        """Serve one request. Raises: BrokerError for everything a caller is told about."""
        runtime = self._seal.current()
        if runtime is None:
            runtime = await self._seal.enter()
        if request.path in self._sealed_paths:
            served = await self._serve_sealed(request, runtime)
            if served is not None:
                return served
        if runtime is None:
            raise Sealed if await self._seal.initialized() else NotInitialized
        audited = False
        for number in range(MAX_ATTEMPTS):
            attempt = Attempt()
            try:
                return await self._serve(runtime, request, attempt, audited=audited)
            except TransactionConflict:
                audited = audited or attempt.entry is not None
                if number > 2:
                    await asyncio.sleep(random.random() * 0.002 * min(number, 20))  # noqa: S311 - spreads retries
            except UnknownTerm:
                await self._seal.reload_keyring()
        raise InvalidRequest("the entry is being changed by too many requests at once; try again")

    # Paths that are served while sealed: no storage, no caller, no audit

    async def _serve_sealed(self, request: Request, runtime: Runtime | None) -> Response | None:
        row, params = self._system_table.match(request.path[4:])
        operation = _pick(row, request.verb)
        if operation is None or not operation.sealed:
            return None
        context = self._context(request, NOBODY, self._system_mount, ROOT_NAMESPACE, None, None, request.verb)
        result = await operation.calls(self._system_engine, context, operation.bind(params, request.data))
        return _respond(result, operation, self._system_mount, context)

    # The ordinary way

    async def _serve(
        self, runtime: Runtime, request: Request, attempt: Attempt, *, audited: bool
    ) -> Response:
        try:
            await self._authorise(runtime, request, attempt)
        except (BrokerError, asyncio.CancelledError) as error:
            if isinstance(error, BrokerError) and not isinstance(error, TransactionConflict | UnknownTerm):
                await self._audit_refusal(runtime, request, attempt, error)
            raise
        entry, context = attempt.entry, attempt.context
        assert entry is not None and context is not None
        if not audited:
            pending = runtime.auditor.request(entry)
            if pending is not None:
                await pending
        try:
            response = await self._run(attempt, request)
            tx = attempt.tx
            assert tx is not None
            if tx.dirty:
                await tx.commit()
        except (TransactionConflict, UnknownTerm, AuditFailed):
            raise
        except BrokerError as error:
            entry.error = str(error) or type(error).__name__
            pending = runtime.auditor.response(entry, NO_FACTS)
            if pending is not None:
                await pending
            raise
        if self._seal.current() is not runtime and not _seals(request):
            raise Sealed
        try:
            pending = runtime.auditor.response(entry, facts_of_response(response, context.now))
            if pending is not None:
                await pending
        except AuditFailed:
            await self._undo(attempt, response)
            raise
        return response

    async def _authorise(self, runtime: Runtime, request: Request, attempt: Attempt) -> None:
        """Resolve the path, the caller and the permission, or raise. Fills ``attempt`` as far as it gets."""
        tenants = runtime.tenants
        attempt.entry = entry_of(request, ROOT_NAMESPACE)
        tenant, path = await tenants.resolve(request.namespace, request.path)
        attempt.tenant = tenant
        tx = attempt.tx = await tenant.store.begin()
        await runtime.devices.follow(tx if tenant is tenants.root else await tenants.root.store.begin())
        router = await tenants.router(tenant, tx)
        route = attempt.route = router.route(path)
        attempt.entry = entry_of(request, tenant.info, path, route)
        verb = attempt.verb = request.verb
        row = None if route is None else route.row
        operation = None if row is None else _pick(row, verb)
        if operation is not None and not operation.authenticated:
            attempt.operation = operation
            attempt.context = self._bound_context(request, attempt, NOBODY)
            return
        await self._identify(runtime, request, attempt)
        context = attempt.context = self._bound_context(request, attempt, attempt.caller)
        if row is not None and row.exists is not None and verb is Verb.UPDATE and route is not None:
            present = await row.exists(route.engine, context, route.params)
            verb = attempt.verb = Verb.UPDATE if present else Verb.CREATE
            operation = _pick(row, verb)
        context.verb = verb
        attempt.entry.operation = verb.value
        await self._check_acl(request, attempt, path, verb, operation)
        if route is None:
            raise NotFound(f'no handler for route "{path}". route entry not found.')
        if row is None:
            raise UnsupportedPath
        if operation is None:
            raise UnsupportedOperation
        if operation.root_only and not tenant.is_root:
            raise UnsupportedPath("operation unavailable in namespaces")
        attempt.operation = operation

    async def _identify(self, runtime: Runtime, request: Request, attempt: Attempt) -> None:
        """Find the live token, in the request's namespace or an ancestor of it."""
        token = request.token
        if token is None:
            raise PermissionDenied
        text = token.reveal()
        tenant = attempt.tenant
        assert tenant is not None and attempt.entry is not None
        attempt.entry.client_token = text
        home = home_of(tenant, text)
        if home is None:
            raise PermissionDenied
        tx = attempt.tx if home is tenant else await home.store.begin()
        assert tx is not None
        found = await self._look_up(request, home, tx, text)
        entry = found.entry
        attempt.found, attempt.token_tenant = found, home
        attempt.acl = await home.policies.acl(tx, entry.policies)
        attempt.caller = Caller(
            accessor=entry.accessor,
            display_name=entry.display_name,
            policies=entry.policies,
            entity_id=entry.entity_id,
            token_hash=found.hash,
            root=entry.root,
            namespace=home.info,
        )
        fill_caller(attempt.entry, found, text)

    async def _look_up(self, request: Request, home: Tenant, tx: Transaction, text: str) -> Found:
        """Return the live token; of a limited one, take a use first. Raises: PermissionDenied."""
        if not request.spent:
            found = await home.tokens.lookup(tx, text, self._clock())
            if found is None:
                raise PermissionDenied
            if not found.entry.num_uses:
                return found
            await self._spend(home, found)
            request.spent = found.hash
            await tx.reset()  # the transaction must not rest on the entry as it was before
        entry = await tx.load(TOKEN_ID + request.spent, TokenEntry)
        if entry is None or entry.revoked:
            raise PermissionDenied
        return Found(request.spent, entry)

    async def _spend(self, home: Tenant, found: Found) -> None:
        """Take one use off a limited token, durably, before the request has any effect."""
        while True:
            tx = await home.store.begin()
            now = self._clock()
            entry = await home.tokens.alive(tx, found.hash, now)
            if entry is None or entry.num_uses <= 0:
                raise PermissionDenied
            # The last use leaves -1: dead for every later request, alive for the one that took it.
            left = entry.num_uses - 1 or -1
            ends = (
                min(entry.expires_at or now + SPENT_SECONDS, now + SPENT_SECONDS)
                if left < 0
                else entry.expires_at
            )
            new = msgspec.structs.replace(entry, num_uses=left, expires_at=ends)
            home.tokens.update(tx, found.hash, entry, new)
            try:
                await tx.commit()
            except TransactionConflict:
                continue
            return

    async def _check_acl(
        self, request: Request, attempt: Attempt, path: str, verb: Verb, operation: Operation | None
    ) -> None:
        acl, tenant, home = attempt.acl, attempt.tenant, attempt.token_tenant
        assert acl is not None and tenant is not None and home is not None
        if home is not tenant:
            path = tenant.info.path[len(home.info.path) :] + path
        decision = acl.check(verb, path, data=request.data, wrap_ttl=request.wrap_ttl, now=self._clock())
        if decision.allowed and (operation is None or not operation.sudo or decision.sudo or decision.root):
            assert attempt.context is not None
            attempt.context.sudo = decision.sudo or decision.root
            limit = decision.page_limit(request.data) if verb in _LISTING else None
            if limit is not None:
                request.data = {**request.data, "limit": limit}
            return
        self._denials.add(
            request.id, attempt.caller, tenant.info, verb, path, sudo=bool(operation and operation.sudo)
        )
        raise PermissionDenied(DENIED)

    async def _run(self, attempt: Attempt, request: Request) -> Response:
        operation, route, context = attempt.operation, attempt.route, attempt.context
        assert operation is not None and route is not None and context is not None
        if request.wrap_ttl:
            raise InvalidRequest("response wrapping is not available on this server yet")
        args = operation.bind(route.params, request.data)
        result = await operation.calls(route.engine, context, args)
        if isinstance(result, Auth):
            result = Response(auth=result)
        response = _respond(result, operation, route.mount, context)
        if response.auth is not None and response.auth.client_token is None:
            assert attempt.tenant is not None and attempt.tx is not None
            await mint_login(attempt.tenant, attempt.tx, response.auth, route.mount, context)
        return response

    async def _undo(self, attempt: Attempt, response: Response) -> None:
        """Revoke the token that a response was about to announce: its audit record was refused."""
        auth = response.auth
        if auth is None or auth.client_token is None or attempt.tenant is None:
            return
        tenant = attempt.tenant
        tx = await tenant.store.begin()
        name = await tenant.tokens.hash_of(tx, auth.client_token.reveal())
        await tenant.tokens.revoke(tx, name, now=self._clock())
        await tx.commit()

    async def _audit_refusal(
        self, runtime: Runtime, request: Request, attempt: Attempt, error: BrokerError
    ) -> None:
        entry = attempt.entry or entry_of(request, ROOT_NAMESPACE)
        entry.error = str(error) or type(error).__name__
        pending = runtime.auditor.request(entry)
        if pending is not None:
            await pending
        pending = runtime.auditor.response(entry, NO_FACTS)
        if pending is not None:
            await pending

    # Context

    def _bound_context(self, request: Request, attempt: Attempt, caller: Caller) -> Context:
        route, tenant, tx = attempt.route, attempt.tenant, attempt.tx
        assert tenant is not None and tx is not None
        if route is None:
            return self._context(request, caller, self._system_mount, tenant.info, None, tx, request.verb)
        context = self._context(
            request,
            caller,
            route.mount,
            tenant.info,
            tx.view(route.storage_prefix),
            tx,
            request.verb,
            route.rest,
        )
        acl, home = attempt.acl, attempt.token_tenant
        if acl is not None and home is not None:
            lead = "" if home is tenant else tenant.info.path[len(home.info.path) :]

            async def allowed(verb: Verb, path: str) -> bool:
                return acl.check(verb, lead + path, now=self._clock()).allowed

            context._allowed = allowed
        return context

    def _context(
        self,
        request: Request,
        caller: Caller,
        mount: Mount,
        namespace: NamespaceInfo,
        storage: Any,
        tx: Transaction | None,
        verb: Verb,
        rest: str = "",
    ) -> Context:
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
            now=self._clock(),
            random=os.urandom,
            blocking=_blocking,
            allowed=_nothing_allowed,
            token=request.token,
            wrap_ttl=request.wrap_ttl,
        )


async def _blocking(function: Callable[..., Any], *args: Any) -> Any:
    return await asyncio.to_thread(function, *args)


async def _nothing_allowed(verb: Verb, path: str) -> bool:
    return False


def _pick(row: Path, verb: Verb) -> Operation | None:
    """Return the row's operation for a verb; a write finds ``create`` or ``update``, whichever the path has."""
    operation = row.operations.get(verb)
    if operation is None and (other := _DEFAULT_STATUS.get(verb)) is not None:
        operation = row.operations.get(other)
    return operation


def _seals(request: Request) -> bool:
    return request.path in ("sys/seal", "sys/step-down")


def _respond(result: Any, operation: Operation, mount: Mount, context: Context) -> Response:
    """Turn what a handler returned into a response."""
    if isinstance(result, Response):
        response = result
    elif result is None:
        response = Response(empty=True)
    elif isinstance(result, Mapping):
        response = Response(data=result)
    elif isinstance(result, Plain):
        response = Response(plain=result)
    elif isinstance(result, Raw):
        response = Response(raw=result)
    elif isinstance(result, Leased):
        raise NotImplementedError("leases are not recorded yet")
    elif dataclasses.is_dataclass(result) or isinstance(result, msgspec.Struct):
        response = Response(data=msgspec.to_builtins(result))
    else:
        raise TypeError(f"a handler returned {type(result).__name__}")
    response.mount_type = response.mount_type or mount.type
    response.mirror = response.mirror or operation.mirror
    if context.warnings:
        response.warnings = [*context.warnings, *response.warnings]
    return response
