"""Secret ids of a role: make, look up, destroy, list."""

import ipaddress
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from broker.plugin import (
    AuthMethod,
    Context,
    InvalidRequest,
    NotFound,
    Nothing,
    Operation,
    Path,
    Response,
    listing,
)

from . import paths as p
from . import store
from .records import ACCESSOR, RoleRecord, SecretRecord
from .roles import load, needed, networks

NEVER = "0001-01-01T00:00:00Z"
TIDYING = "Tidy operation successfully started. Any information from the operation will be printed to Broker's server logs."
MAX_METADATA = 64


async def make(method: AuthMethod, ctx: Context, args: p.NewSecretId) -> dict[str, Any]:
    """Make a secret id."""
    return await _make(ctx, args, "")


async def make_custom(method: AuthMethod, ctx: Context, args: p.CustomSecretId) -> dict[str, Any]:
    """Make a secret id of the caller's own choosing."""
    if not args.secret_id:
        raise InvalidRequest("missing secret_id")
    return await _make(ctx, args, args.secret_id.reveal())


async def _make(ctx: Context, args: p.NewSecretId, custom: str) -> dict[str, Any]:
    name, role = await load(ctx, args.role_name)
    if role is None:
        raise NotFound(f'role "{name}" does not exist')
    if not role.bind_secret_id:
        raise InvalidRequest("bind_secret_id is not set on the role")
    record = _record(ctx, role, args, custom=bool(custom))
    text = custom or store.new_id(ctx)
    if custom and await store.find_secret(ctx, role, custom) is not None:
        raise InvalidRequest("failed to store secret_id: SecretID is already registered")
    store.keep_secret(ctx, role, store.hashed(await store.salted(ctx), "secret", text), record)
    return {
        "secret_id": text,
        "secret_id_accessor": record.accessor,
        "secret_id_num_uses": record.uses_left,
        "secret_id_ttl": int(record.ttl),
    }


def _record(ctx: Context, role: RoleRecord, args: p.NewSecretId, *, custom: bool) -> SecretRecord:
    """Return the record of a new secret id. Raises: InvalidRequest if it would allow more than its role does."""
    uses = role.secret_id_num_uses if args.num_uses is None else args.num_uses
    if uses < 0:
        raise InvalidRequest("num_uses cannot be negative")
    if role.secret_id_num_uses and not 0 < uses <= role.secret_id_num_uses:
        raise InvalidRequest("num_uses cannot be higher than the role's secret_id_num_uses")
    ttl = role.secret_id_ttl if args.ttl is None else args.ttl.total_seconds()
    if role.secret_id_ttl and not 0 < ttl <= role.secret_id_ttl:
        raise InvalidRequest("ttl cannot be longer than the role's secret_id_ttl")
    ttl = min(ttl, ctx.max_ttl) if ctx.max_ttl else ttl
    sources = networks(args.cidr_list or ())
    users = networks(args.token_bound_cidrs or (), "token CIDR blocks")
    _check_subset(sources, role.secret_id_bound_cidrs)
    _check_subset(users, role.tokens.bound_cidrs)
    return SecretRecord(
        store.new_id(ctx),
        ctx.now,
        updated_at=ctx.now,
        expires_at=ctx.now + ttl if ttl else 0,
        ttl=ttl,
        uses_left=uses,
        cidrs=sources,
        token_bound_cidrs=users,
        metadata=_metadata(args.metadata) or None,
        custom=custom,
    )


def _check_subset(narrow: Sequence[str], wide: Sequence[str]) -> None:
    """Raise InvalidRequest unless every network lies within one of the role's, where it has any."""
    around = [ipaddress.ip_network(text, strict=False) for text in wide]
    for text in narrow if around else ():
        inner = ipaddress.ip_network(text, strict=False)
        if not any(inner.version == outer.version and inner.subnet_of(outer) for outer in around):  # type: ignore[arg-type]
            raise InvalidRequest(
                "failed to verify subset relationship between CIDR blocks on the role and CIDR blocks on the secret ID"
            )


def _metadata(given: object) -> dict[str, str]:
    """Return text pairs from an object, JSON text, or ``k=v,k=v``. Raises: InvalidRequest."""
    if given is None or given == "":
        return {}
    pairs: object = given
    if isinstance(given, str):
        try:
            pairs = msgspec.json.decode(given)
        except msgspec.DecodeError:
            parts = [part.partition("=") for part in given.split(",") if part.strip()]
            pairs = {key.strip(): value.strip() for key, sign, value in parts if sign and key.strip()}
            if len(pairs) < len(parts):
                pairs = None
    if not isinstance(pairs, Mapping) or not all(isinstance(value, str) for value in pairs.values()):
        raise InvalidRequest("failed to parse metadata: expected an object of strings, or k=v pairs")
    if len(pairs) > MAX_METADATA:
        raise InvalidRequest(f"failed to parse metadata: expected at most {MAX_METADATA} pairs")
    return dict(pairs)


async def look_up(method: AuthMethod, ctx: Context, args: p.OneSecretId) -> dict[str, Any] | None:
    """Describe a secret id; nothing (204) if there is no such."""
    if not args.secret_id:
        raise InvalidRequest("missing secret_id")
    found = await store.find_secret(ctx, await needed(ctx, args.role_name), args.secret_id.reveal())
    return None if found is None else _described(found.record)


async def look_up_accessor(method: AuthMethod, ctx: Context, args: p.OneAccessor) -> dict[str, Any]:
    """Describe the secret id that an accessor refers to."""
    if not args.secret_id_accessor:
        raise InvalidRequest("missing secret_id_accessor")
    found = await store.find_accessor(ctx, await needed(ctx, args.role_name), args.secret_id_accessor)
    if found is None:
        raise NotFound(data={"error": _no_accessor(args.secret_id_accessor)})
    return _described(found.record)


def _no_accessor(accessor: str) -> str:
    return f'failed to find accessor entry for secret_id_accessor: "{accessor}"'


def _described(record: SecretRecord) -> dict[str, Any]:
    return {
        "cidr_list": list(record.cidrs),
        "creation_time": _instant(record.created_at),
        "expiration_time": _instant(record.expires_at),
        "last_updated_time": _instant(record.updated_at),
        "metadata": record.metadata or {},
        "secret_id_accessor": record.accessor,
        "secret_id_num_uses": record.uses_left,
        "secret_id_ttl": int(record.ttl),
        "token_bound_cidrs": list(record.token_bound_cidrs),
    }


def _instant(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).isoformat().replace("+00:00", "Z") if when else NEVER


async def destroy(method: AuthMethod, ctx: Context, args: p.OneSecretId) -> None:
    """End a secret id. Ending what is not there is allowed."""
    if not args.secret_id:
        raise InvalidRequest("missing secret_id")
    role = await needed(ctx, args.role_name)
    found = await store.find_secret(ctx, role, args.secret_id.reveal())
    if found is not None:
        store.drop_secret(ctx.storage, role.uid, found.name, found.record)


async def destroy_accessor(method: AuthMethod, ctx: Context, args: p.OneAccessor) -> None:
    """End the secret id that an accessor refers to."""
    if not args.secret_id_accessor:
        raise InvalidRequest("missing secret_id_accessor")
    role = await needed(ctx, args.role_name)
    found = await store.find_accessor(ctx, role, args.secret_id_accessor)
    if found is None:
        raise InvalidRequest(_no_accessor(args.secret_id_accessor))
    store.drop_secret(ctx.storage, role.uid, found.name, found.record)


async def list_accessors(method: AuthMethod, ctx: Context, args: p.RolePage) -> dict[str, Any]:
    """Return the accessors of a role's secret ids."""
    role = await needed(ctx, args.role_name)
    return listing(await ctx.storage.list(f"{ACCESSOR}{role.uid}/", after=args.after, limit=args.size))


async def tidy(method: AuthMethod, ctx: Context, args: Nothing) -> Response:
    """Begin to clear away secret ids that have expired; the steward does it, in steps."""
    ctx.schedule(ctx.now, "tidy ")
    return Response(status=202, warnings=[TIDYING])


_LOOKUP = Operation(p.OneSecretId, dict, calls=look_up)
_DESTROY = Operation(p.OneSecretId, None, calls=destroy)
_DESTROY_ACCESSOR = Operation(p.OneAccessor, None, calls=destroy_accessor)

PATHS = (
    Path(
        "role/{role_name}/secret-id",
        "Make a secret id, or list the accessors of all.",
        list=Operation(p.RolePage, dict, calls=list_accessors),
        update=Operation(p.NewSecretId, dict, calls=make),
    ),
    Path(
        "role/{role_name}/custom-secret-id",
        "Make a secret id of your own choosing.",
        update=Operation(p.CustomSecretId, dict, calls=make_custom),
    ),
    Path("role/{role_name}/secret-id/lookup", "Describe a secret id.", update=_LOOKUP),
    Path("role/{role_name}/secret-id/destroy", "End a secret id.", update=_DESTROY, delete=_DESTROY),
    Path(
        "role/{role_name}/secret-id-accessor/lookup",
        "Describe a secret id by its accessor.",
        update=Operation(p.OneAccessor, dict, calls=look_up_accessor),
    ),
    Path(
        "role/{role_name}/secret-id-accessor/destroy",
        "End a secret id by its accessor.",
        update=_DESTROY_ACCESSOR,
        delete=_DESTROY_ACCESSOR,
    ),
    Path(
        "tidy/secret-id",
        "Clear away secret ids that have expired.",
        update=Operation(Nothing, None, calls=tidy),
    ),
)
