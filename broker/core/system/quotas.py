"""``sys/quotas``: rate limits and lease counts. Source: Vault's ``sys/quotas`` API documentation; texts are the peer's.

One table in the root tenant's store, which every worker follows (``broker.core.quotas``).
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, NamedTuple

import msgspec

from broker.access import permits
from broker.audit.table import AuditTable
from broker.core.devices import TABLE as AUDIT_TABLE
from broker.core.quotas.quotas import save_table
from broker.core.quotas.records import COUNT, MAX_RULES, RATE, TABLE, QuotaConfig, QuotaRule, QuotaTable
from broker.core.records import MOUNTS, MountTable
from broker.core.system.parts import SystemBase
from broker.core.tenants import Tenant
from broker.plugin.context import Context, Mount
from broker.plugin.engine import AuthMethod
from broker.plugin.errors import InvalidRequest, NotFound
from broker.plugin.fields import Field, Nothing
from broker.plugin.listings import listing
from broker.plugin.paths import Operation, Path
from broker.storage.transaction import Transaction

MAX_PATHS = 1000
_NAME = re.compile(r"\w(?:[\w.-]*\w)?", re.ASCII)
MAX_RATE = 1_000_000_000
MAX_SECONDS = 366 * 86400
Name = Annotated[str, Field("Name of the quota.", max_length=256)]
Where = Annotated[
    str,
    Field(
        "Empty for all, or a namespace (ns/), a mount (auth/userpass), or a path below a mount, where a * at the end "
        "stands for anything.",
        max_length=2048,
    ),
]
Role = Annotated[str, Field("Only logins with this role, at the auth method in path.", max_length=512)]
Inheritable = Annotated[
    bool | None,
    Field("Whether namespaces below fall under it; those below the root do unless told otherwise."),
]


@dataclass(frozen=True, slots=True)
class Named:
    name: Name


@dataclass(frozen=True, slots=True)
class WriteConfig:
    rate_limit_exempt_paths: Annotated[
        list[str],
        Field("Paths, in any namespace, that no rate limit touches, each a prefix.", max_length=MAX_PATHS),
    ] = ()  # type: ignore[assignment]
    absolute_rate_limit_exempt_paths: Annotated[
        list[str], Field("Likewise, each beginning with its namespace.", max_length=MAX_PATHS)
    ] = ()  # type: ignore[assignment]
    enable_rate_limit_audit_logging: Annotated[bool, Field("Audit refused requests too.")] = False
    enable_rate_limit_response_headers: Annotated[bool, Field("Tell each caller how much is left.")] = False


@dataclass(frozen=True, slots=True)
class WriteRate:
    name: Name
    path: Where = ""
    role: Role = ""
    rate: Annotated[float, Field("Requests in an interval, for each client address.")] = 0
    interval: Annotated[timedelta, Field("Length of a window.", minimum=0, maximum=MAX_SECONDS)] = timedelta(
        0
    )
    block_interval: Annotated[
        timedelta,
        Field("Whoever goes over the rate is refused for this long.", minimum=0, maximum=MAX_SECONDS),
    ] = timedelta(0)
    inheritable: Inheritable = None
    type: Annotated[str, Field("Ignored, as every quota here is a rate limit.", deprecated=True)] = RATE


@dataclass(frozen=True, slots=True)
class WriteCount:
    name: Name
    path: Where = ""
    role: Role = ""
    max_leases: Annotated[int, Field("Tokens and leases that may live at once, made from now on.")] = 0
    inheritable: Inheritable = None
    type: Annotated[str, Field("Ignored, as every quota here is a lease count.", deprecated=True)] = COUNT


# The table


async def _load(ctx: Context) -> QuotaTable:
    return await ctx.transaction.load(TABLE, QuotaTable) or QuotaTable()


async def _save(ctx: Context, table: QuotaTable) -> None:
    audited = await ctx.transaction.load(AUDIT_TABLE, AuditTable) or AuditTable()
    save_table(ctx.transaction, table, audited)


async def read_config(system: SystemBase, ctx: Context, args: Nothing) -> dict[str, Any]:
    config = (await _load(ctx)).config
    return {
        "absolute_rate_limit_exempt_paths": list(config.absolute),
        "enable_rate_limit_audit_logging": config.audit,
        "enable_rate_limit_response_headers": config.headers,
        "rate_limit_exempt_paths": list(config.exempt),
    }


async def write_config(system: SystemBase, ctx: Context, args: WriteConfig) -> None:
    """Replace the whole configuration: what is not given is off, or empty."""
    config = QuotaConfig(
        exempt=tuple(args.rate_limit_exempt_paths),
        absolute=tuple(args.absolute_rate_limit_exempt_paths),
        audit=args.enable_rate_limit_audit_logging,
        headers=args.enable_rate_limit_response_headers,
    )
    await _save(ctx, msgspec.structs.replace(await _load(ctx), config=config))


# Where a quota holds


class Place(NamedTuple):
    """What a quota's path stands for: a tenant, a mount in it or none, a path below that, and all as it is shown."""

    tenant: Tenant
    tx: Transaction
    mount: Mount | None
    suffix: str


async def _mounts(tx: Transaction) -> tuple[Mount, ...]:
    table = await tx.load(MOUNTS, MountTable)
    return () if table is None else tuple(mount for mount in table.mounts if not mount.tainted)


async def _locate(system: SystemBase, path: str) -> Place:
    """Find what a path stands for. Raises: InvalidRequest if it begins with no namespace and no mount."""
    path = path.removeprefix("/")
    tenants = system.parts.runtime().tenants
    found = await tenants.resolve("", path if "/" in path or not path else f"{path}/")
    tenant, tx, rest = found.tenant, found.tx, found.path
    if not rest:
        return Place(tenant, tx, None, "")
    mounts = sorted(await _mounts(tx), key=lambda mount: -len(mount.prefix))
    mount = next((mount for mount in mounts if f"{rest}/".startswith(mount.prefix)), None)
    if mount is None:
        raise InvalidRequest(f'invalid mount path "{rest.rstrip("/")[:256]}/"')
    return Place(tenant, tx, mount, rest[len(mount.prefix) :])


async def _role_engine(system: SystemBase, place: Place, role: str) -> None:
    """Refuse a role where there can be none. Raises: InvalidRequest."""
    if not role:
        return
    mount = place.mount
    if place.suffix:
        raise InvalidRequest(
            "Quotas cannot contain both a path suffix and a role. If a role is provided, path must be a valid auth "
            "mount with a concept of roles"
        )
    if mount is None or mount.table != "auth":
        shown = "" if mount is None else mount.prefix
        raise InvalidRequest(
            f'Mount path "{shown}" is not a valid auth method and therefore unsuitable for use with role-based quotas'
        )
    router = await system.parts.runtime().tenants.router(place.tenant, place.tx)
    method = type(router.engine_of(mount))
    if method.role_of is AuthMethod.role_of and method.find_role is AuthMethod.find_role:  # type: ignore[attr-defined]
        raise InvalidRequest(f'Mount path "{mount.prefix}" does not support use with role-based quotas')


async def _home(system: SystemBase, rule: QuotaRule) -> tuple[Tenant, Transaction] | None:
    """Return the tenant a rule was made for and a transaction on it, ``None`` if it is gone."""
    found = await system.parts.runtime().tenants.resolve("", rule.namespace_path)
    return (found.tenant, found.tx) if found.tenant.info.uuid == rule.namespace else None


async def _shown_path(system: SystemBase, rule: QuotaRule) -> str | None:
    """Return a rule's path as it is now, ``None`` if its namespace or mount is gone."""
    home = await _home(system, rule)
    if home is None or not rule.mount:
        return None if home is None else rule.namespace_path
    mount = next((mount for mount in await _mounts(home[1]) if mount.uuid == rule.mount), None)
    return None if mount is None else rule.namespace_path + mount.prefix + rule.suffix


# Rules


async def _find(system: SystemBase, ctx: Context, kind: str, name: str) -> tuple[QuotaRule, str]:
    """Return a rule and its path. Raises: NotFound."""
    rule = next((rule for rule in (await _load(ctx)).rules if (rule.type, rule.name) == (kind, name)), None)
    path = None if rule is None else await _shown_path(system, rule)
    if rule is None or path is None:
        raise NotFound
    return rule, path


async def _write(
    system: SystemBase, ctx: Context, args: WriteRate | WriteCount, kind: str, values: Any
) -> None:
    """Store a rule, new or changed. ``values`` are its numbers."""
    if not _NAME.fullmatch(args.name):
        raise InvalidRequest(
            "the name of a quota is made of letters, digits, _, - and ., and begins and ends with a letter or digit"
        )
    table = await _load(ctx)
    old = next((rule for rule in table.rules if (rule.type, rule.name) == (kind, args.name)), None)
    place = await _locate(system, args.path)
    await _role_engine(system, place, args.role)
    at_root = place.tenant.is_root and place.mount is None
    rule = QuotaRule(
        id=ctx.random(12).hex(),
        type=kind,
        name=args.name,
        namespace=place.tenant.info.uuid,
        namespace_path=place.tenant.info.path,
        mount="" if place.mount is None else place.mount.uuid,
        suffix=place.suffix,
        role=args.role,
        inheritable=at_root if args.inheritable is None else args.inheritable,
        version=1 if old is None else old.version + 1,
        **values,
    )
    if old is not None and old.scope == rule.scope:
        rule = msgspec.structs.replace(
            rule, id=old.id
        )  # it holds for the same as before: what was counted stands
    others = tuple(other for other in table.rules if other is not old)
    twin = next((other for other in others if other.scope == rule.scope), None)
    if twin is not None:
        raise InvalidRequest(f'quota rule with similar properties exists under the name "{twin.name}"')
    if len(others) >= MAX_RULES:
        raise InvalidRequest(f"at most {MAX_RULES} quotas can be set")
    await _save(ctx, msgspec.structs.replace(table, rules=(*others, rule)))


async def _list(system: SystemBase, ctx: Context, kind: str) -> dict[str, Any]:
    rules = [rule for rule in (await _load(ctx)).rules if rule.type == kind]
    return listing(sorted([rule.name for rule in rules if await _shown_path(system, rule) is not None]))


async def _delete(ctx: Context, kind: str, name: str) -> None:
    table = await _load(ctx)
    kept = tuple(rule for rule in table.rules if (rule.type, rule.name) != (kind, name))
    if len(kept) != len(table.rules):
        await _save(ctx, msgspec.structs.replace(table, rules=kept))


async def list_rates(system: SystemBase, ctx: Context, args: Nothing) -> dict[str, Any]:
    return await _list(system, ctx, RATE)


async def list_counts(system: SystemBase, ctx: Context, args: Nothing) -> dict[str, Any]:
    return await _list(system, ctx, COUNT)


async def read_rate(system: SystemBase, ctx: Context, args: Named) -> dict[str, Any]:
    rule, path = await _find(system, ctx, RATE, args.name)
    return {
        "block_interval": int(rule.block_interval),
        "inheritable": rule.inheritable,
        "interval": int(rule.interval),
        "name": rule.name,
        "path": path,
        "rate": int(rule.rate) if rule.rate.is_integer() else rule.rate,
        "role": rule.role,
        "type": RATE,
    }


async def read_count(system: SystemBase, ctx: Context, args: Named) -> dict[str, Any]:
    """Describe a lease-count quota; ``counter`` is what it has counted in the namespace it was made for."""
    rule, path = await _find(system, ctx, COUNT, args.name)
    home = await _home(system, rule)
    return {
        "counter": 0 if home is None else await permits.held(home[1], rule.id),
        "inheritable": rule.inheritable,
        "max_leases": rule.max_leases,
        "name": rule.name,
        "path": path,
        "role": rule.role,
        "type": COUNT,
    }


async def write_rate(system: SystemBase, ctx: Context, args: WriteRate) -> None:
    if not 0 < args.rate <= MAX_RATE:
        raise InvalidRequest("'rate' is invalid")
    values = {
        "rate": float(args.rate),
        "interval": args.interval.total_seconds() or 1.0,
        "block_interval": args.block_interval.total_seconds(),
    }
    await _write(system, ctx, args, RATE, values)


async def write_count(system: SystemBase, ctx: Context, args: WriteCount) -> None:
    if args.max_leases <= 0:
        raise InvalidRequest("'max_leases' is invalid")
    await _write(system, ctx, args, COUNT, {"max_leases": args.max_leases})


async def delete_rate(system: SystemBase, ctx: Context, args: Named) -> None:
    await _delete(ctx, RATE, args.name)


async def delete_count(system: SystemBase, ctx: Context, args: Named) -> None:
    await _delete(ctx, COUNT, args.name)


PATHS = (
    Path(
        "quotas/config",
        "What holds for all rate limits.",
        read=Operation(Nothing, dict, calls=read_config, root_only=True),
        update=Operation(WriteConfig, None, calls=write_config, root_only=True),
    ),
    Path(
        "quotas/rate-limit",
        "List the rate limits.",
        list=Operation(Nothing, dict, calls=list_rates, root_only=True, raises=(NotFound,)),
    ),
    Path(
        "quotas/rate-limit/{name}",
        "How often each client address may call: everything, a namespace, a mount, a path or a role.",
        description="Of several that fit, only the most specific counts: role, path, longest glob, mount, namespace, "
        "namespace above.",
        read=Operation(Named, dict, calls=read_rate, root_only=True, raises=(NotFound,)),
        update=Operation(WriteRate, None, calls=write_rate, root_only=True),
        delete=Operation(Named, None, calls=delete_rate, root_only=True),
    ),
    Path(
        "quotas/lease-count",
        "List the lease counts.",
        list=Operation(Nothing, dict, calls=list_counts, root_only=True, raises=(NotFound,)),
    ),
    Path(
        "quotas/lease-count/{name}",
        "How many tokens and leases may live at once: of everything, a namespace, a mount, a path or a role.",
        description="Counted from when the quota is made. An inherited quota counts each namespace by itself.",
        read=Operation(Named, dict, calls=read_count, root_only=True, raises=(NotFound,)),
        update=Operation(WriteCount, None, calls=write_count, root_only=True),
        delete=Operation(Named, None, calls=delete_count, root_only=True),
    ),
)
