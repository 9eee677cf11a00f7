"""``sys/wrapping``: wrap values, look at a wrapping token, take what it holds, or put that behind a new one.

Source: Vault's ``sys/wrapping`` API documentation.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from broker.core.system.parts import SystemBase
from broker.core.wrapping import INVALID, Held, find, restored, shown, store, whole_ttl
from broker.plugin.context import Context
from broker.plugin.errors import InvalidRequest
from broker.plugin.fields import Field, Json, Nothing
from broker.plugin.messages import Response
from broker.plugin.paths import Operation, Path
from broker.plugin.secret import Secret


@dataclass(frozen=True, slots=True)
class Values:
    data: Annotated[Secret[dict[str, Json]], Field("The whole body is what is wrapped.", rest=True)]


@dataclass(frozen=True, slots=True)
class Shown:
    token: Annotated[Secret[str] | None, Field("The wrapping token; the caller's own if left out.")] = None


async def wrap(system: SystemBase, ctx: Context, args: Values) -> dict[str, Any]:
    """Answer the values given: the request's wrapping TTL puts them behind a token."""
    if not ctx.wrap_ttl:
        raise InvalidRequest("endpoint requires response wrapping to be used")
    return dict(args.data.reveal())


async def _held(system: SystemBase, ctx: Context, token: Secret[str] | None) -> Held:
    """Raises: PermissionDenied without a token; InvalidRequest for one that is not good."""
    text = shown(None if token is None else token.reveal(), ctx.token)
    tenant = system.parts.tenant(ctx)
    held = await find(tenant, ctx.transaction, text, ctx.now, spent=ctx.caller.token_hash)
    if held is None:
        raise InvalidRequest(INVALID)
    return held


async def lookup(system: SystemBase, ctx: Context, args: Shown) -> dict[str, Any]:
    """Say when, where and for how long something was wrapped; it stays wrapped."""
    entry = (await _held(system, ctx, args.token)).entry
    return {"creation_path": entry.path, "creation_time": entry.issue_time, "creation_ttl": entry.ttl}


async def lookup_own(system: SystemBase, ctx: Context, args: Nothing) -> dict[str, Any]:
    """Say when, where and for how long the answer behind the calling token was wrapped."""
    return await lookup(system, ctx, Shown())


async def unwrap(system: SystemBase, ctx: Context, args: Shown) -> Response:
    """Give back the answer behind a wrapping token, once."""
    held = await _held(system, ctx, args.token)
    body = await held.take(ctx.now)
    await held.settle()
    return restored(body)


async def rewrap(system: SystemBase, ctx: Context, args: Shown) -> Response:
    """Move an answer behind a new wrapping token of the same lifetime, or a shorter one if the request asks for it."""
    held = await _held(system, ctx, args.token)
    body = await held.take(ctx.now)
    ttl = held.entry.ttl
    if ctx.wrap_ttl:
        ttl = min(ttl, whole_ttl(ctx.wrap_ttl))
    info = await store(held.tenant, held.tx, body, held.entry.path, ttl, ctx.now)
    await held.settle()
    return Response(wrap_info=info)


PATHS = (
    Path("wrapping/wrap", "Wrap values.", update=Operation(Values, dict, calls=wrap)),
    Path(
        "wrapping/lookup",
        "What is known of a wrapping token.",
        read=Operation(Nothing, dict, calls=lookup_own, authenticated=False),
        update=Operation(Shown, dict, calls=lookup, authenticated=False),
    ),
    Path(
        "wrapping/unwrap", "The answer behind a wrapping token.", update=Operation(Shown, dict, calls=unwrap)
    ),
    Path("wrapping/rewrap", "Exchange a wrapping token.", update=Operation(Shown, dict, calls=rewrap)),
)
