"""``identity/oidc/key``: the keys that sign identity tokens, and their rotation.

Two pairs are made at once: the one in use and the one that comes next, which is published ahead, so that whoever keeps the
public keys for a while knows it before it signs. A key that was rotated out stays published for ``verification_ttl``.
Source: Vault's identity tokens API documentation.
"""

import re
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

import msgspec

from broker.access.identity.oidc import KEY, PUBLISHED, ROLE, KeyPair, NamedKey, Published, Retired, TokenRole
from broker.access.identity.signing import ALGORITHMS, new_private_key, public_jwk
from broker.core.identity.parts import IdentityBase
from broker.plugin.context import Context
from broker.plugin.errors import InvalidRequest, NotFound
from broker.plugin.fields import Field
from broker.plugin.listings import Page
from broker.plugin.paths import Operation, Path

DEFAULT = "default"
DAY = 86_400
MIN_ROTATION = 60
MAX_RATIO = 10
MAX_CLIENTS = 1000
MAX_RETIRED = 100
ERRAND = "oidc-key:"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Named:
    name: Annotated[str, Field("Name.", max_length=128)]


@dataclass(frozen=True, slots=True)
class WriteKey:
    """What is left out stays as it was."""

    name: Annotated[str, Field("Name of the key.", max_length=128)]
    algorithm: Annotated[str, Field("RS256, RS384, RS512, ES256, ES384, ES512 or EdDSA.")] = ""
    rotation_period: Annotated[timedelta | None, Field("How often the key is replaced.", minimum=0)] = None
    verification_ttl: Annotated[
        timedelta | None, Field("How long a replaced key stays published.", minimum=0)
    ] = None
    allowed_client_ids: Annotated[
        list[str] | None,
        Field("Roles that may use the key, by client id; * for all.", max_length=MAX_CLIENTS),
    ] = None


@dataclass(frozen=True, slots=True)
class Rotate:
    name: Annotated[str, Field("Name of the key.", max_length=128)]
    verification_ttl: Annotated[
        timedelta | None, Field("How long the key that goes stays published, this time.", minimum=0)
    ] = None


def checked_name(name: str) -> str:
    """Return the name of a key or role. Raises: InvalidRequest."""
    if not _NAME.fullmatch(name):
        raise InvalidRequest("expected a name of the characters A-Z a-z 0-9 _ . -")
    return name


async def find_key(ctx: Context, name: str) -> NamedKey | None:
    """Return a key; the default one is made when it is first asked for in a request that writes."""
    return await ctx.storage.load(KEY + name, NamedKey)


async def key_to_use(ctx: Context, name: str) -> NamedKey | None:
    """Return the key to sign with, the default one made if need be."""
    found = await find_key(ctx, name)
    if found is None and name == DEFAULT:
        found = await _new_key(ctx, name, WriteKey(name, allowed_client_ids=["*"]))
        await save_key(ctx, found)
    return found


async def save_key(ctx: Context, key: NamedKey) -> None:
    """Store a key, publish what others need of it and ask to be woken for its next change."""
    ctx.storage.save(KEY + key.name, key)
    published = await ctx.storage.load(PUBLISHED, Published) or Published()
    ctx.storage.save(PUBLISHED, Published({**published.keys, key.name: key.published()}))
    ends = [key.rotates_at, *(old.until for old in key.retired)]
    ctx.schedule(min(ends), ERRAND + key.name)


async def _new_pair(ctx: Context, algorithm: str) -> KeyPair:
    private = await ctx.blocking(new_private_key, algorithm)
    kid = str(uuid.uuid4())
    return KeyPair(kid, private, public_jwk(private, kid=kid, algorithm=algorithm))


async def _new_key(ctx: Context, name: str, args: WriteKey) -> NamedKey:
    algorithm = args.algorithm or "RS256"
    period = DAY if args.rotation_period is None else int(args.rotation_period.total_seconds())
    verify = DAY if args.verification_ttl is None else int(args.verification_ttl.total_seconds())
    _check_times(period, verify)
    current, following = await _new_pair(ctx, algorithm), await _new_pair(ctx, algorithm)
    return NamedKey(
        name=name,
        algorithm=algorithm,
        rotation_period=period,
        verification_ttl=verify,
        current=current,
        following=following,
        rotates_at=ctx.now + period,
        allowed_client_ids=tuple(dict.fromkeys(args.allowed_client_ids or ())),
    )


def _check_times(period: int, verify: int) -> None:
    if period < MIN_ROTATION:
        raise InvalidRequest("rotation_period must be at least one minute")
    if verify > MAX_RATIO * period:
        raise InvalidRequest("verification_ttl cannot be longer than 10x rotation_period")


async def write(engine: IdentityBase, ctx: Context, args: WriteKey) -> None:
    """Make a key or change its settings. A new algorithm takes new pairs at once; the old one stays published."""
    name = checked_name(args.name)
    if args.algorithm and args.algorithm not in ALGORITHMS:
        raise InvalidRequest(f"unknown signing algorithm; expected one of {', '.join(ALGORITHMS)}")
    old = await find_key(ctx, name)
    if old is None:
        if name == DEFAULT and args.allowed_client_ids is None:
            args = WriteKey(name, args.algorithm, args.rotation_period, args.verification_ttl, ["*"])
        await save_key(ctx, await _new_key(ctx, name, args))
        return
    period = (
        old.rotation_period if args.rotation_period is None else int(args.rotation_period.total_seconds())
    )
    verify = (
        old.verification_ttl if args.verification_ttl is None else int(args.verification_ttl.total_seconds())
    )
    _check_times(period, verify)
    if verify < old.verification_ttl:
        await _check_roles(ctx, name, verify)
    new = msgspec.structs.replace(
        old,
        rotation_period=period,
        verification_ttl=verify,
        allowed_client_ids=old.allowed_client_ids
        if args.allowed_client_ids is None
        else tuple(dict.fromkeys(args.allowed_client_ids)),
        rotates_at=old.rotates_at if period == old.rotation_period else ctx.now + period,
    )
    if args.algorithm and args.algorithm != old.algorithm:
        new = await _with_algorithm(ctx, new, args.algorithm)
    await save_key(ctx, new)


async def _with_algorithm(ctx: Context, key: NamedKey, algorithm: str) -> NamedKey:
    current, following = await _new_pair(ctx, algorithm), await _new_pair(ctx, algorithm)
    retired = (*key.retired, Retired(key.current.public, ctx.now + key.verification_ttl))
    return msgspec.structs.replace(
        key, algorithm=algorithm, current=current, following=following, retired=retired[-MAX_RETIRED:]
    )


async def _check_roles(ctx: Context, name: str, verify: int) -> None:
    """Refuse a verification time that tokens of a role outlive. Raises: InvalidRequest."""
    for role in await roles_of(ctx, name):
        if role.ttl > verify:
            raise InvalidRequest(
                f'unable to update key "{name}" because it is currently referenced by one or more roles with a '
                f"token ttl greater than {verify} seconds"
            )


async def roles_of(ctx: Context, name: str) -> list[TokenRole]:
    """Return the roles that use a key."""
    found = []
    for role_name in await ctx.storage.list(ROLE):
        role = await ctx.storage.load(ROLE + role_name, TokenRole)
        if role is not None and role.key == name:
            found.append(role)
    return found


async def rotated(ctx: Context, key: NamedKey, verification_ttl: int) -> NamedKey:
    """Return the key one turn on: the next pair signs, a new one waits, the old one can still be checked."""
    retired = (*key.retired, Retired(key.current.public, ctx.now + verification_ttl))
    return msgspec.structs.replace(
        key,
        current=key.following,
        following=await _new_pair(ctx, key.algorithm),
        retired=retired[-MAX_RETIRED:],
        rotates_at=ctx.now + key.rotation_period,
    )


async def rotate(engine: IdentityBase, ctx: Context, args: Rotate) -> None:
    key = await key_to_use(ctx, args.name)
    if key is None:
        raise InvalidRequest(f'no named key found at "{args.name}"')
    verify = key.verification_ttl
    if args.verification_ttl is not None:
        verify = int(args.verification_ttl.total_seconds())
    await save_key(ctx, await rotated(ctx, key, verify))


async def follow_time(ctx: Context, name: str) -> None:
    """Do what a key's times ask for by now: rotate it, and take back what nobody needs any more."""
    key = await find_key(ctx, name)
    if key is None:
        return
    new = key
    if key.rotates_at <= ctx.now:
        new = await rotated(ctx, key, key.verification_ttl)
    left = tuple(old for old in new.retired if old.until > ctx.now)
    if new is not key or len(left) != len(key.retired):
        await save_key(ctx, msgspec.structs.replace(new, retired=left))


async def read(engine: IdentityBase, ctx: Context, args: Named) -> dict[str, Any]:
    key = await find_key(ctx, args.name)
    if key is None and args.name == DEFAULT:
        return _shown("RS256", DAY, DAY, ("*",))
    if key is None:
        raise NotFound
    return _shown(key.algorithm, key.rotation_period, key.verification_ttl, key.allowed_client_ids)


def _shown(algorithm: str, period: int, verify: int, clients: tuple[str, ...]) -> dict[str, Any]:
    return {
        "algorithm": algorithm,
        "allowed_client_ids": list(clients),
        "rotation_period": period,
        "verification_ttl": verify,
    }


async def delete(engine: IdentityBase, ctx: Context, args: Named) -> None:
    """Remove a key that no role uses. What it signed cannot be checked any more."""
    if args.name == DEFAULT:
        raise InvalidRequest(f'deletion of key "{DEFAULT}" not allowed')
    using = [role.name for role in await roles_of(ctx, args.name)]
    if using:
        raise InvalidRequest(
            f'unable to delete key "{args.name}" because it is currently referenced by these roles: '
            + ", ".join(using)
        )
    if await find_key(ctx, args.name) is None:
        return
    ctx.storage.delete(KEY + args.name)
    published = await ctx.storage.load(PUBLISHED, Published) or Published()
    ctx.storage.save(PUBLISHED, Published({k: v for k, v in published.keys.items() if k != args.name}))


async def list_keys(engine: IdentityBase, ctx: Context, args: Page) -> dict[str, Any]:
    return {"keys": args.of({*await ctx.storage.list(KEY), DEFAULT})}


PATHS = (
    Path("oidc/key", "List signing keys.", list=Operation(Page, dict, calls=list_keys)),
    Path(
        "oidc/key/{name}",
        "Read, write or delete a signing key.",
        read=Operation(Named, dict, calls=read, raises=(NotFound,)),
        update=Operation(WriteKey, None, calls=write),
        delete=Operation(Named, None, calls=delete),
    ),
    Path("oidc/key/{name}/rotate", "Rotate a signing key now.", update=Operation(Rotate, None, calls=rotate)),
)
