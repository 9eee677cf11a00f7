"""``sys/capabilities*`` and ``sys/policies/explain``: what a token may do, and why.

Source: Vault's ``sys/capabilities`` API documentation; explain is ours.
"""

from dataclasses import dataclass
from typing import Annotated, Any, cast

import msgspec

from broker.access.policy.acl import ACL
from broker.access.policy.explain import explain
from broker.access.policy.template import expand
from broker.access.tokens import Found
from broker.core.denials import Denial
from broker.core.entities import standing_of, standing_of_entity
from broker.core.system.mount_table import versioned
from broker.core.system.parts import SystemBase
from broker.core.system.reach import reached_mounts
from broker.core.tenants import Tenant
from broker.plugin.context import Context
from broker.plugin.errors import InvalidRequest, NotFound, PermissionDenied
from broker.plugin.fields import Field, Json
from broker.plugin.messages import Response
from broker.plugin.names import canonical_name
from broker.plugin.paths import Operation, Path
from broker.plugin.secret import Secret
from broker.plugin.verbs import Verb


@dataclass(frozen=True, slots=True)
class Capabilities:
    paths: Annotated[list[str] | None, Field("Paths to ask about.")] = None
    path: Annotated[list[str] | None, Field("Old name of paths.")] = None
    token: Annotated[Secret[str] | None, Field("The token to ask about.")] = None
    accessor: Annotated[str, Field("Accessor of the token to ask about.")] = ""


@dataclass(frozen=True, slots=True)
class Explain:
    operation: Annotated[str, Field("The verb.", choices=tuple(verb.value for verb in Verb))] = "read"
    path: Annotated[str, Field("Path in this namespace.", max_length=2048)] = ""
    policies: Annotated[list[str] | None, Field("Explain for these policies.")] = None
    token: Annotated[Secret[str] | None, Field("Explain for this token.")] = None
    accessor: Annotated[str, Field("Explain for the token of this accessor.")] = ""
    request_id: Annotated[str, Field("Explain a recent refusal.", max_length=64)] = ""
    parameters: Annotated[dict[str, Json] | None, Field("Request parameters to judge.")] = None


def _asked(args: Capabilities) -> list[str]:
    paths = args.paths or args.path or []
    if not paths:
        raise InvalidRequest("paths must be supplied")
    if "" in paths:
        raise InvalidRequest("path must be supplied")
    if len(paths) > 1000:
        raise InvalidRequest("at most 1000 paths at once")
    return paths


def _answer(acl: ACL, paths: list[str], ctx: Context) -> Response:
    found = {path: acl.capabilities(path, now=ctx.now) for path in paths}
    data: dict[str, Any] = dict(found)
    if len(paths) == 1:
        data["capabilities"] = found[paths[0]]
    return Response(data=data, mirror=True)


async def _acl_of(tenant: Tenant, ctx: Context, found: Found) -> ACL | None:
    """Return what a token may do, its entity included; ``None`` if its entity is disabled or gone."""
    try:
        standing = await standing_of(tenant, ctx.transaction, found.entry)
    except PermissionDenied:
        return None
    names = tuple(sorted({*found.entry.policies, *standing.policies}))
    return await tenant.policies.acl(ctx.transaction, names, standing.person)


async def own_capabilities(system: SystemBase, ctx: Context, args: Capabilities) -> Response:
    return _answer(cast(ACL, ctx.judge), _asked(args), ctx)


async def capabilities(system: SystemBase, ctx: Context, args: Capabilities) -> Response:
    paths, tenant = _asked(args), system.parts.tenant(ctx)
    if args.token is None:
        raise InvalidRequest("no token found")
    found = await tenant.tokens.lookup(ctx.transaction, args.token.reveal(), ctx.now)
    acl = None if found is None else await _acl_of(tenant, ctx, found)
    if acl is None:
        raise InvalidRequest("1 error occurred:\n\t* invalid token\n\n")
    return _answer(acl, paths, ctx)


async def capabilities_accessor(system: SystemBase, ctx: Context, args: Capabilities) -> Response:
    paths, tenant = _asked(args), system.parts.tenant(ctx)
    found = (
        await tenant.tokens.by_accessor(ctx.transaction, args.accessor, ctx.now) if args.accessor else None
    )
    acl = None if found is None else await _acl_of(tenant, ctx, found)
    if acl is None:
        raise InvalidRequest("1 error occurred:\n\t* invalid accessor\n\n")
    return _answer(acl, paths, ctx)


# Explain


async def explain_decision(system: SystemBase, ctx: Context, args: Explain) -> dict[str, Any]:
    """Say which rule decides a request, what came near, and the smallest rule that would allow it.

    A caller explains itself. Explaining another token, a policy list, or somebody else's refusal needs ``sudo``;
    without it the answer is that of something unknown.
    """
    verb, path, policies = Verb(args.operation), args.path.lstrip("/"), ctx.caller.policies
    tenant, subject = await system.parts.home(ctx), ctx.caller.entity_id
    foreign = bool(args.token or args.accessor or args.policies)
    if args.request_id:
        denial = system.parts.denials.find(args.request_id)
        own = _is_own(denial, ctx, tenant)
        if denial is None or not (own or (ctx.sudo and denial.namespace == ctx.namespace.uuid)):
            raise NotFound("no recent refusal has this request_id")
        verb, path, policies = Verb(denial.verb), denial.path, denial.policies
        subject = subject if own else ""
    elif foreign:
        if not ctx.sudo:
            raise PermissionDenied
        tenant = system.parts.tenant(ctx)
        policies, subject = await _subject_of(tenant, ctx, args)
    if not path:
        raise InvalidRequest("path must be supplied")
    tx = ctx.transaction if tenant.info.uuid == ctx.namespace.uuid else await tenant.store.begin()
    records = [await tenant.policies.load(tx, name) for name in policies if name != "root"]
    if "root" in policies:
        why = "the root policy allows everything"
        return {
            "allowed": True,
            "operation": verb.value,
            "path": path,
            "reason": "root",
            "why": why,
            "policies": list(policies),
        }
    person = (await standing_of_entity(tx, subject)).person
    rules = [expand(record.parsed, person) for record in records if record]
    # Only mounts that the caller may know of: a note must not tell of others.
    mounts = versioned(await reached_mounts(system, ctx))
    found = explain(rules, verb, path, args.parameters, now=ctx.now, versioned=mounts)
    shown: dict[str, Any] = msgspec.to_builtins(found)
    missing = [name for name, record in zip(policies, records, strict=True) if record is None]
    if missing:
        shown["notes"] = [
            *shown.get("notes", []),
            f"policies that do not exist grant nothing: {', '.join(missing)}",
        ]
    return {**shown, "policies": list(policies)}


def _is_own(denial: Denial | None, ctx: Context, tenant: Tenant) -> bool:
    """A token that is stored nowhere has no name to know it by, so nothing refused to it is its own to ask about."""
    mine = ctx.caller.token_hash
    return denial is not None and bool(mine) and denial.token == mine and denial.home == tenant.info.uuid


async def _subject_of(tenant: Tenant, ctx: Context, args: Explain) -> tuple[tuple[str, ...], str]:
    """Return whom to explain for: policies, and the entity that templates speak of (empty for none)."""
    if args.policies:
        return tuple(canonical_name(name, allow_root=True) for name in args.policies), ""
    if args.token:
        found = await tenant.tokens.lookup(ctx.transaction, args.token.reveal(), ctx.now)
    else:
        found = await tenant.tokens.by_accessor(ctx.transaction, args.accessor, ctx.now)
    if found is None:
        raise NotFound("no such token")
    standing = await standing_of(tenant, ctx.transaction, found.entry)
    return tuple(sorted({*found.entry.policies, *standing.policies})), found.entry.entity_id


PATHS = (
    Path(
        "policies/explain",
        "Why a request is allowed or refused.",
        update=Operation(Explain, dict, calls=explain_decision, raises=(NotFound, PermissionDenied)),
    ),
    Path(
        "capabilities-self",
        "What the caller may do on paths.",
        update=Operation(Capabilities, dict, calls=own_capabilities),
    ),
    Path(
        "capabilities",
        "What a token may do on paths.",
        update=Operation(Capabilities, dict, calls=capabilities),
    ),
    Path(
        "capabilities-accessor",
        "What the token of an accessor may do on paths.",
        update=Operation(Capabilities, dict, calls=capabilities_accessor),
    ),
)
