"""What the pipeline tells the audit room about a request and its answer."""

from collections.abc import Mapping
from typing import Any

from broker.access.records import TokenEntry
from broker.access.tokens import Found
from broker.audit.entry import AuditEntry, AuthFacts, GrantingPolicy, PolicyResults, ResponseFacts
from broker.core.requests import Request
from broker.core.routing import Route
from broker.plugin.context import NamespaceInfo
from broker.plugin.messages import Auth, Response

MAX_KEPT = 2048
_facts: dict[str, tuple[Found, str, AuthFacts]] = {}
_results: dict[tuple[str, tuple[str, ...]], PolicyResults] = {}
REFUSED = PolicyResults(allowed=False)


def entry_of(
    request: Request, namespace: NamespaceInfo, path: str | None = None, route: Route | None = None
) -> AuditEntry:
    """Describe a request as it came in; the caller and the decision are filled in as they become known."""
    connection = request.connection
    return AuditEntry(
        request_id=request.id,
        operation=request.verb._value_,  # ``value`` is a property in Python
        path=request.path if path is None else path,
        namespace_id=namespace.id,
        namespace_path=namespace.path,
        mount=None if route is None else route.mount,
        mount_version="" if route is None else route.version,
        client_token=None if request.token is None else request.token.reveal(),
        data=request.data or None,
        headers=request.headers,
        remote_address=connection.remote_address,
        remote_port=connection.remote_port,
        wrap_ttl=int(request.wrap_ttl or 0),
    )


def fill_caller(entry: AuditEntry, found: Found, token: str) -> None:
    """Add who calls. The facts of a token are built once and kept: encoding them again costs on every request."""
    record = found.entry
    known = _facts.get(found.hash or token)
    if known is None or not _same(known[0], found) or known[1] != token:
        if len(_facts) >= MAX_KEPT:
            _facts.clear()
        known = _facts[found.hash or token] = (
            found,
            token,
            _facts_of(record, token, found.identity_policies),
        )
    entry.auth = known[2]
    entry.client_token_accessor = record.accessor
    entry.client_id = record.entity_id or found.hash
    entry.remaining_uses = max(record.num_uses, 0)


def _same(known: Found, found: Found) -> bool:
    return known is found or (
        known.entry is found.entry and known.identity_policies == found.identity_policies
    )


def granted(namespace: NamespaceInfo, policies: tuple[str, ...]) -> PolicyResults:
    """Say thanks to which policies a request is allowed. One object per set of policies, as the encoded form is kept by it."""
    key = (namespace.id, policies)
    known = _results.get(key)
    if known is None:
        if len(_results) >= MAX_KEPT:
            _results.clear()
        granting = tuple(GrantingPolicy(name, namespace.id, namespace.path, "acl") for name in policies)
        known = _results[key] = PolicyResults(allowed=True, granting_policies=granting)
    return known


def forget_callers() -> None:
    """Drop the kept facts: they hold tokens in clear, which must not outlive a seal."""
    _facts.clear()


def _facts_of(record: TokenEntry, token: str, by_identity: tuple[str, ...]) -> AuthFacts:
    return AuthFacts(
        client_token=token,
        accessor=record.accessor,
        display_name=record.display_name,
        policies=tuple(sorted({*record.policies, *by_identity})) if by_identity else record.policies,
        token_policies=record.policies,
        identity_policies=by_identity,
        metadata=record.meta or {},
        num_uses=record.num_uses,
        entity_id=record.entity_id,
        token_type=record.type,
        token_ttl=record.ttl,
        token_issue_time=record.created_at,
    )


def _facts_of_auth(auth: Auth, now: float) -> AuthFacts:
    return AuthFacts(
        client_token=auth.client_token.reveal() if auth.client_token is not None else "",
        accessor=auth.accessor,
        display_name=auth.display_name,
        policies=auth.policies,
        token_policies=auth.token_policies,
        identity_policies=auth.identity_policies,
        metadata=auth.metadata,
        num_uses=auth.num_uses,
        entity_id=auth.entity_id,
        token_type=auth.token_type,
        token_ttl=auth.lease_duration,
        token_issue_time=now,
    )


def facts_of_response(response: Response, now: float) -> ResponseFacts:
    """Describe an answer."""
    data: Mapping[str, Any] | bytes | None = response.data
    if response.plain is not None:
        data = response.plain.body
    elif response.raw is not None:
        data = response.raw.body
    return ResponseFacts(
        data=data,
        auth=None if response.auth is None else _facts_of_auth(response.auth, now),
        lease_id=response.lease_id,
        wrap_info=response.wrap_info,
        warnings=response.warnings,
    )
