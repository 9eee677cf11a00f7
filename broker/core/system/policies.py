"""``sys/policy`` and ``sys/policies/acl``: read, write and delete policies.

Source: Vault's ``sys/policies`` API documentation.
"""

import binascii
import dataclasses
from base64 import b64decode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec

from broker.access.lifetimes import issue_time
from broker.access.policies import BUILT_IN, POLICY
from broker.access.policy.default_policies import RESERVED
from broker.access.policy.lint import lint
from broker.access.policy.model import Policy
from broker.access.policy.parse import parse_policy
from broker.access.records import PolicyRecord
from broker.core.system.mount_table import load_table, versioned
from broker.core.system.parts import SystemBase
from broker.plugin.context import Context
from broker.plugin.errors import Conflict, InvalidRequest, NotFound
from broker.plugin.fields import Field
from broker.plugin.listings import Page
from broker.plugin.messages import Response
from broker.plugin.names import canonical_name
from broker.plugin.paths import Operation, Path

MAX_POLICY = 1_048_576
Name = Annotated[str, Field("Name of the policy.", max_length=512)]


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
class PatchPolicy:
    name: Name
    policy: Annotated[str | None, Field("HCL or JSON text, plain or base64.", max_length=MAX_POLICY)] = None
    ttl: Annotated[timedelta | None, Field("The policy ends after this long.")] = None
    expiration: Annotated[datetime | None, Field("The policy ends at this time.")] = None
    cas: Annotated[int | None, Field("Current version.")] = None
    cas_required: Annotated[bool | None, Field("Demand cas from now on.")] = None


async def _names(ctx: Context) -> set[str]:
    stored = await ctx.transaction.scan(POLICY)
    return {*stored} if ctx.namespace.path else {*stored, "root"}


async def list_old(system: SystemBase, ctx: Context, args: Page) -> Response:
    names = args.of(await _names(ctx))
    return Response(data={"keys": names, "policies": names}, mirror=True)


async def list_acl(system: SystemBase, ctx: Context, args: Page) -> dict[str, Any]:
    return {"keys": args.of(await _names(ctx))}


async def _read(ctx: Context, given: str, field: str) -> dict[str, Any]:
    name = canonical_name(given.removesuffix("/"), allow_root=True)
    flags = {"allow_slashes_in_identity_templates": False, "allow_wildcards_in_identity_templates": False}
    if name == "root" and not ctx.namespace.path:
        return {**flags, "cas_required": False, "name": "root", field: "", "version": 0}
    record = BUILT_IN.get(name) or await ctx.transaction.load(POLICY + name, PolicyRecord)
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
    old = await _stored(ctx, args.name)
    required = bool(args.cas_required) or (old is not None and old.cas_required)
    warnings = await _store(system, ctx, args, old, cas_required=required)
    return Response(warnings=warnings) if warnings else None


async def patch(system: SystemBase, ctx: Context, args: PatchPolicy) -> Response:
    """Change what is given of a policy and leave the rest as it is."""
    old = await _stored(ctx, args.name)
    if old is None:
        raise InvalidRequest("policy not found")
    whole = WritePolicy(
        name=args.name,
        policy=old.text if args.policy is None else args.policy,
        ttl=args.ttl,
        expiration=args.expiration,
        cas=args.cas,
        cas_required=args.cas_required,
    )
    if args.ttl is None and args.expiration is None and old.expiration:
        whole = dataclasses.replace(whole, expiration=datetime.fromtimestamp(old.expiration, UTC))
    return Response(warnings=await _store(system, ctx, whole, old, cas_required=old.cas_required))


async def _stored(ctx: Context, given: str) -> PolicyRecord | None:
    name = canonical_name(given, allow_root=True)
    if name in RESERVED:
        raise InvalidRequest(f'cannot update "{name}" policy')
    return await ctx.transaction.load(POLICY + name, PolicyRecord)  # type: ignore[no-any-return]


async def _store(
    system: SystemBase, ctx: Context, args: WritePolicy, old: PolicyRecord | None, *, cas_required: bool
) -> list[str]:
    """Store a policy in place of ``old``. Returns warnings. Raises: InvalidRequest, Conflict."""
    name, text = canonical_name(args.name), _text(args.policy or args.rules)
    if not text:
        raise InvalidRequest("'policy' parameter not supplied or empty")
    until = _end(args, ctx.now)
    parsed = parse_policy(name, text)
    _check_cas(old, args.cas, cas_required)
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
    table = await load_table(ctx.transaction)
    warnings = lint(parsed, now=ctx.now, sudo_paths=sudo_patterns(system), versioned=versioned(table.mounts))
    if args.rules and not args.policy:
        warnings = ["'rules' is deprecated, please use 'policy' instead", *warnings]
    return warnings


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


def _check_cas(old: PolicyRecord | None, cas: int | None, required: bool) -> None:
    """Refuse a write that assumes another version than the current one. Raises: Conflict."""
    if cas is None:
        if required:
            raise Conflict("check-and-set parameter required for this call")
        return
    current = 0 if old is None else old.version
    if cas == -1 and old is not None:
        raise Conflict("check-and-set parameter set to -1 on existing entry")
    if cas not in (-1, current):
        raise Conflict(f"check-and-set parameter {cas} did not match the current version {current}")


def _end(args: WritePolicy, now: float) -> float:
    """Return when a policy ends in Unix seconds, zero for never. Raises: InvalidRequest if that is past."""
    if args.ttl is not None and args.expiration is not None:
        raise InvalidRequest("only one of ttl and expiration may be given")
    if args.ttl is not None:
        until = now + args.ttl.total_seconds()
    elif args.expiration is not None:
        until = args.expiration.timestamp()
    else:
        return 0
    if until <= now:
        raise InvalidRequest("refusing to update policy as expiration time has already elapsed")
    return until


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
        patch=Operation(PatchPolicy, None, calls=patch),
        delete=Operation(Named, None, calls=delete),
    ),
)
