"""Turning a successful login into a token, inside the login's own transaction."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from broker.access.lifetimes import Limits, grant, issue_time, whole_seconds
from broker.access.records import TokenEntry
from broker.core.childrules import check_assignable, limit_name, networks_of
from broker.core.entities import recognise
from broker.core.mfa import pending
from broker.core.mfa.proofs import Proofs, owed, proofs_in_headers, settle
from broker.core.quotas.counting import take_lease
from broker.core.tenants import Tenant
from broker.plugin.context import Context, Mount
from broker.plugin.errors import InvalidRequest, PermissionDenied
from broker.plugin.messages import Auth
from broker.plugin.names import policy_names
from broker.storage.transaction import Transaction

SYSTEM_DEFAULT_TTL = 768 * 3600
SYSTEM_MAX_TTL = 768 * 3600


def limits_of(
    mount: Mount, *, default_ttl: int = SYSTEM_DEFAULT_TTL, max_ttl: int = SYSTEM_MAX_TTL
) -> Limits:
    """Return a mount's lifetimes: its own where tuned, else the system's."""
    config = mount.config
    return _limits(config.default_lease_ttl or default_ttl, config.max_lease_ttl or max_ttl)


@lru_cache(1024)
def _limits(ttl: int, top: int) -> Limits:
    return Limits(min(ttl, top), top)


async def mint_login(
    tenant: Tenant,
    tx: Transaction,
    auth: Auth,
    mount: Mount,
    context: Context,
    *,
    limits: Limits,
    role: str = "",
    path: str | None = None,
    proofs: Proofs | None = None,
) -> Auth:
    """Store the token of a login, fill it into ``auth`` and return that. ``role`` is what quotas know the login by.

    A login that owes a second proof, and has not brought it along, is kept instead; what is returned then says what it
    owes. ``path`` (below the mount) and ``proofs`` are those of a login that was kept and comes back.
    Raises: InvalidRequest if a login asks for root; QuotaExceeded.
    """
    policies = policy_names(auth.policies, allow_root=True)
    if "root" in policies:
        raise InvalidRequest("auth methods cannot create root tokens")
    check_assignable(policies)
    if not auth.no_default_policy and "default" not in policies:
        policies = tuple(sorted({*policies, "default"}))
    batch = _is_batch(mount, auth)
    if batch and auth.num_uses:
        raise InvalidRequest('batch tokens cannot have "num_uses" set')
    auth.display_name = display_name(mount, auth.display_name)
    at = context.path if path is None else path
    await recognise(tenant, tx, auth, mount, context)
    check_assignable(auth.identity_policies)
    requirement = await second_proof(tenant, tx, auth, mount, context, role=role, proofs=proofs)
    if requirement is not None:
        context.warn(pending.NOTE)
        return Auth(token_type="default", renewable=False, mfa_requirement=requirement)  # noqa: S106 - no token
    lifetime = grant(
        whole_seconds(auth.ttl),
        limits=limits,
        max_ttl=whole_seconds(auth.max_ttl),
        period=whole_seconds(auth.period),
        explicit_max_ttl=whole_seconds(auth.explicit_max_ttl),
    )
    for sentence in lifetime.warnings:
        context.warn(sentence)
    made = None if batch else await tenant.tokens.fresh(tx)
    entry = TokenEntry(
        accessor="" if made is None else made.accessor,
        policies=policies,
        path=f"{mount.prefix}{at}/{auth.below}" if auth.below else mount.prefix + at,
        created_at=int(context.now),
        display_name=auth.display_name,
        meta=dict(auth.metadata) or None,
        num_uses=auth.num_uses,
        ttl=lifetime.ttl,
        max_ttl=whole_seconds(auth.max_ttl),
        explicit_max_ttl=whole_seconds(auth.explicit_max_ttl),
        period=whole_seconds(auth.period),
        expires_at=context.now + lifetime.ttl,
        renewable=auth.renewable and not batch,
        type="batch" if batch else "service",
        bound_cidrs=networks_of(auth.bound_cidrs, context, strictly=auth.strictly_bind_ip),
        capped_by=limit_name(lifetime, mount, role=True),
        issue_time=issue_time(context.now),
        entity_id=auth.entity_id,
        alias=auth.alias,
        internal=dict(auth.internal) or None,
        permit="" if batch else await take_lease(tenant, tx, mount, at, role=role),
    )
    auth.client_token = tenant.tokens.mint(tx, entry, made)
    auth.accessor, auth.token_type, auth.renewable = entry.accessor, entry.type, entry.renewable
    auth.expires_at, auth.capped_by = entry.expires_at, entry.capped_by
    auth.token_policies = policies
    more = auth.identity_policies
    auth.policies = tuple(sorted({*policies, *more})) if more else policies
    auth.lease_duration = lifetime.ttl
    auth.orphan = True
    return auth


async def second_proof(
    tenant: Tenant,
    tx: Transaction,
    auth: Auth,
    mount: Mount,
    context: Context,
    *,
    role: str,
    proofs: Proofs | None,
) -> Mapping[str, Any] | None:
    """Return ``None`` if a login may go on: it owes no second proof, or brought one; else what it owes.

    Raises: PermissionDenied if what it brought will not do.
    """
    owes = await owed(tx, mount, auth.entity_id)
    if owes is None:
        return None
    if proofs is not None:
        await settle(tenant, context, owes, proofs)
        return None
    shown = proofs_in_headers(context.headers)
    if shown is None:
        return owes.requirement(await pending.hold(tenant, tx, auth, mount, context, role=role))
    try:
        await settle(tenant, context, owes, shown)
    except PermissionDenied:
        raise PermissionDenied from None  # the login is over: no word on what was wrong with it
    return None


def display_name(mount: Mount, name: str) -> str:
    """Return how a login is shown: its name behind the mount's path.

    >>> display_name(Mount("team/users/", "userpass", "", ""), "ann")
    'team-users-ann'
    """
    source = mount.path.replace("/", "-")
    return (name if name.startswith(source) else source + name).rstrip("-")


def _is_batch(mount: Mount, auth: Auth) -> bool:
    """Tell which kind of token a login gets: the mount's where it insists, else the role's, else the mount's default."""
    tuned = mount.config.token_type
    if tuned in ("service", "batch"):
        return tuned == "batch"
    if auth.token_type in ("service", "batch"):
        return auth.token_type == "batch"  # noqa: S105 - the kind, not a token
    return tuned == "default-batch"
