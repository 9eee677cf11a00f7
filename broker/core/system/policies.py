"""``sys/policy``, ``sys/policies/acl``, ``sys/capabilities*`` and ``sys/policies/explain``.

Source: Vault's ``sys/policies`` and ``sys/capabilities`` API documentation; explain is ours.
"""

import binascii
from base64 import b64decode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec

from broker.access.policies import POLICY
from broker.access.policy.acl import ACL
from broker.access.policy.default_policies import RESERVED, canonical_name
from broker.access.policy.explain import explain
from broker.access.policy.lint import lint
from broker.access.policy.model import Policy
from broker.access.policy.parse import parse_policy
from broker.access.records import PolicyRecord
from broker.access.tokens import Found, issue_time
from broker.core.system.parts import SystemBase
from broker.core.tenants import Tenant
from broker.plugin.context import Context
from broker.plugin.errors import Conflict, InvalidRequest, NotFound, PermissionDenied
from broker.plugin.fields import Field, Json
from broker.plugin.messages import Response
from broker.plugin.paths import Operation, Path
from broker.plugin.secret import Secret
from broker.plugin.verbs import Verb

MAX_POLICY = 1_048_576
Name = Annotated[str, Field("Name of the policy.", max_length=512)]


@dataclass(frozen=True, slots=True)
class Page:
    after: Annotated[str, Field("List entries behind this one.")] = ""
    limit: Annotated[int | None, Field("At most this many entries; all if left out or not positive.")] = None


@dataclass(frozen=True, slots=True)
class Named:
    name: Name


@dataclass(frozen=True, slots=True)
class WritePolicy:
    name: Name
    policy: Annotated[str, Field("HCL or JSON text, plain or base64.", max_length=MAX_POLICY)] = ""
    rules: Annotated[str, Field("Old name of policy.", deprecated=True, max_length=MAX_POLICY)] = ""
    ttl: Annotated[timedelta | None, Field("The policy ends after this long.")] = None
    expiration: Annotated[datetime | None, Field("The policy ends at this time.")] = None
    cas: Annotated[int | None, Field("Current version, or -1 if it must be new.")] = None
    cas_required: Annotated[bool | None, Field("Demand cas from now on.")] = None


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


def page(names: list[str], args: Page) -> list[str]:
    """Return the part of a sorted list that a page asks for."""
    kept = [name for name in names if name > args.after] if args.after else names
    return kept[: args.limit] if args.limit and args.limit > 0 else kept


async def _names(ctx: Context) -> list[str]:
    stored = await ctx.transaction.scan(POLICY)
    return sorted({*stored, "root"} if not ctx.namespace.path else {*stored})


async def list_old(system: SystemBase, ctx: Context, args: Page) -> Response:
    names = page(await _names(ctx), args)
    return Response(data={"keys": names, "policies": names}, mirror=True)


async def list_acl(system: SystemBase, ctx: Context, args: Page) -> dict[str, Any]:
    return {"keys": page(await _names(ctx), args)}


async def _read(ctx: Context, given: str, field: str) -> dict[str, Any]:
    name = canonical_name(given.removesuffix("/"), allow_root=True)
    flags = {"allow_slashes_in_identity_templates": False, "allow_wildcards_in_identity_templates": False}
    if name == "root" and not ctx.namespace.path:
        return {**flags, "cas_required": False, "name": "root", field: "", "version": 0}
    record = await ctx.transaction.load(POLICY + name, PolicyRecord)
    if record is None:
        raise NotFound
    shown = {
        **flags,
        "cas_required": record.cas_required,
        "modified": record.modified,
        "name": record.name,
        field: record.text,
        "version": record.version,
    }
    if record.expiration:
        shown["expiration"] = (
            datetime.fromtimestamp(record.expiration, UTC).isoformat().replace("+00:00", "Z")
        )
    return shown


async def read_old(system: SystemBase, ctx: Context, args: Named) -> Response:
    return Response(data=await _read(ctx, args.name, "rules"), mirror=True)


async def read_acl(system: SystemBase, ctx: Context, args: Named) -> dict[str, Any]:
    return await _read(ctx, args.name, "policy")


async def write(system: SystemBase, ctx: Context, args: WritePolicy) -> Response | None:
    """Store a policy; what users get wrong comes back as warnings."""
    name = canonical_name(args.name, allow_root=True)
    if name in RESERVED:
        raise InvalidRequest(f'cannot update "{name}" policy')
    text = _text(args.policy or args.rules)
    if not text:
        raise InvalidRequest("'policy' parameter not supplied or empty")
    if args.ttl is not None and args.expiration is not None:
        raise InvalidRequest("only one of ttl and expiration may be given")
    parsed = parse_policy(name, text)
    old = await ctx.transaction.load(POLICY + name, PolicyRecord)
    _check_cas(old, args.cas)
    until = 0.0
    if args.ttl is not None and args.ttl > timedelta(0):
        until = ctx.now + args.ttl.total_seconds()
    elif args.expiration is not None:
        until = args.expiration.timestamp()
    keep = old.cas_required if old is not None else False
    record = PolicyRecord(
        name,
        text,
        _until(parsed, until),
        version=1 if old is None else old.version + 1,
        modified=issue_time(ctx.now),
        expiration=until,
        cas_required=keep if args.cas_required is None else args.cas_required,
    )
    ctx.transaction.save(POLICY + name, record)
    warnings = lint(parsed, now=ctx.now, sudo_paths=sudo_patterns(system))
    if args.rules and not args.policy:
        warnings = ["'rules' is deprecated, please use 'policy' instead", *warnings]
    return Response(warnings=warnings) if warnings else None


def _until(policy: Policy, until: float) -> Policy:
    """Return the policy with every rule ending no later than ``until`` (zero: as written)."""
    if not until:
        return policy
    rules = tuple(
        msgspec.structs.replace(rule, expires_at=min(until, rule.expires_at or until))
        for rule in policy.rules
    )
    return msgspec.structs.replace(policy, rules=rules)


def _text(given: str) -> str:
    """Return policy text that may have come as base64, as the field's clients may send it."""
    try:
        decoded = b64decode(given, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return given
    return decoded if given and "{" in decoded else given


def _check_cas(old: PolicyRecord | None, cas: int | None) -> None:
    if cas is None:
        if old is not None and old.cas_required:
            raise Conflict("check-and-set parameter required for this call")
        return
    current = -1 if old is None else old.version
    if cas != current:
        raise Conflict("check-and-set parameter did not match the current version")


async def delete(system: SystemBase, ctx: Context, args: Named) -> None:
    name = canonical_name(args.name, allow_root=True)
    if name == "default":
        raise InvalidRequest("cannot delete default policy")
    if name in RESERVED:
        raise InvalidRequest(f'cannot delete "{name}" policy')
    ctx.transaction.delete(POLICY + name)


def sudo_patterns(system: SystemBase) -> tuple[str, ...]:
    """Return the root-protected paths of ``sys/`` as policy patterns."""
    found = []
    for row in system.PATHS:
        if any(operation.sudo for operation in row.operations.values()):
            pattern = row.template.replace("{path:path}", "*").replace("{name:path}", "*")
            found.append(
                "sys/" + "/".join("+" if part.startswith("{") else part for part in pattern.split("/"))
            )
    return tuple(found)


# Capabilities


def _asked(args: Capabilities) -> list[str]:
    paths = args.paths or args.path or []
    if not paths:
        raise InvalidRequest("paths must be supplied")
    if len(paths) > 1000:
        raise InvalidRequest("at most 1000 paths at once")
    return paths


def _answer(acl: ACL, paths: list[str], ctx: Context) -> Response:
    found = {path: acl.capabilities(path, now=ctx.now) for path in paths}
    data: dict[str, Any] = dict(found)
    if len(paths) == 1:
        data["capabilities"] = found[paths[0]]
    return Response(data=data, mirror=True)


async def _acl_of(tenant: Tenant, ctx: Context, found: Found) -> ACL:
    return await tenant.policies.acl(ctx.transaction, found.entry.policies)


async def own_capabilities(system: SystemBase, ctx: Context, args: Capabilities) -> Response:
    paths = _asked(args)
    home = await system.parts.home(ctx)
    tx = ctx.transaction if home.info.uuid == ctx.namespace.uuid else await home.store.begin()
    acl = await home.policies.acl(tx, ctx.caller.policies)
    return _answer(acl, paths, ctx)


async def capabilities(system: SystemBase, ctx: Context, args: Capabilities) -> Response:
    paths, tenant = _asked(args), system.parts.tenant(ctx)
    if args.token is None:
        raise InvalidRequest("no token found")
    found = await tenant.tokens.lookup(ctx.transaction, args.token.reveal(), ctx.now)
    if found is None:
        raise InvalidRequest("1 error occurred:\n\t* invalid token\n\n")
    return _answer(await _acl_of(tenant, ctx, found), paths, ctx)


async def capabilities_accessor(system: SystemBase, ctx: Context, args: Capabilities) -> Response:
    paths, tenant = _asked(args), system.parts.tenant(ctx)
    found = (
        await tenant.tokens.by_accessor(ctx.transaction, args.accessor, ctx.now) if args.accessor else None
    )
    if found is None:
        raise InvalidRequest("1 error occurred:\n\t* invalid accessor\n\n")
    return _answer(await _acl_of(tenant, ctx, found), paths, ctx)


# Explain


async def explain_decision(system: SystemBase, ctx: Context, args: Explain) -> dict[str, Any]:
    """Say which rule decides a request, what came near, and the smallest rule that would allow it.

    A caller explains itself. Explaining another token, a policy list, or somebody else's refusal needs ``sudo``;
    without it the answer is that of something unknown.
    """
    verb, path, policies = Verb(args.operation), args.path.lstrip("/"), ctx.caller.policies
    tenant = await system.parts.home(ctx)
    foreign = bool(args.token or args.accessor or args.policies)
    if args.request_id:
        denial = system.parts.denials.find(args.request_id)
        own = denial is not None and denial.token == ctx.caller.token_hash and denial.home == tenant.info.uuid
        if denial is None or not (own or (ctx.sudo and denial.namespace == ctx.namespace.uuid)):
            raise NotFound("no recent refusal has this request_id")
        verb, path, policies = Verb(denial.verb), denial.path, denial.policies
    elif foreign:
        if not ctx.sudo:
            raise PermissionDenied
        tenant = system.parts.tenant(ctx)
        policies = await _policies_of(tenant, ctx, args)
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
    found = explain([record.parsed for record in records if record], verb, path, args.parameters, now=ctx.now)
    shown: dict[str, Any] = msgspec.to_builtins(found)
    missing = [name for name, record in zip(policies, records, strict=True) if record is None]
    if missing:
        shown["notes"] = [
            *shown.get("notes", []),
            f"policies that do not exist grant nothing: {', '.join(missing)}",
        ]
    return {**shown, "policies": list(policies)}


async def _policies_of(tenant: Tenant, ctx: Context, args: Explain) -> tuple[str, ...]:
    if args.policies:
        return tuple(canonical_name(name, allow_root=True) for name in args.policies)
    if args.token:
        found = await tenant.tokens.lookup(ctx.transaction, args.token.reveal(), ctx.now)
    else:
        found = await tenant.tokens.by_accessor(ctx.transaction, args.accessor, ctx.now)
    if found is None:
        raise NotFound("no such token")
    return found.entry.policies


PATHS = (
    Path(
        "policy",
        "List policies (old path).",
        read=Operation(Page, dict, calls=list_old),
        list=Operation(Page, dict, calls=list_old),
    ),
    Path(
        "policy/{name:path}",
        "Read, write or delete a policy (old path).",
        read=Operation(Named, dict, calls=read_old),
        update=Operation(WritePolicy, None, calls=write),
        delete=Operation(Named, None, calls=delete),
    ),
    Path("policies/acl", "List policies.", list=Operation(Page, dict, calls=list_acl)),
    Path(
        "policies/acl/{name:path}",
        "Read, write or delete a policy.",
        read=Operation(Named, dict, calls=read_acl),
        update=Operation(WritePolicy, None, calls=write),
        delete=Operation(Named, None, calls=delete),
    ),
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
