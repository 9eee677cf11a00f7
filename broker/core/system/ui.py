"""``sys/internal/ui``: what user interfaces and the CLIs ask before anything else; and the counters.

Source: Vault's ``sys/internal/ui`` and ``sys/internal/counters`` API documentation. These paths take a token or none: they
show what the token's policies reach, so that no policy needs to mention them.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from broker.access.identity.store import ENTITY
from broker.access.tokens import ID as TOKEN_ID
from broker.core.admission import lead
from broker.core.records import NAMESPACES
from broker.core.system import mount_table as t
from broker.core.system.parts import SystemBase
from broker.core.system.reach import acl_of, known, reached_mounts
from broker.plugin.context import Context, Mount
from broker.plugin.errors import NotFound, PermissionDenied
from broker.plugin.fields import Field, Nothing
from broker.plugin.paths import Operation, Path

PAGE = 2_000
MAX_COUNTED = 100_000
"""Tokens are counted up to here: a dashboard's number is not worth reading a whole store."""


@dataclass(frozen=True, slots=True)
class AtPath:
    path: Annotated[str, Field("Any path below the mount.", max_length=4096)]


async def mounts(system: SystemBase, ctx: Context, args: Nothing) -> dict[str, Any]:
    """List the mounts that the caller reaches, or without a token those that are shown to everybody."""
    shown: dict[str, dict[str, Any]] = {"auth": {}, "secret": {}}
    if known(ctx):
        for mount in await reached_mounts(system, ctx):
            shown[mount.table][mount.path] = t.describe(mount)
        return shown
    for mount in (await t.load_table(ctx.transaction)).mounts:
        if mount.config.listing_visibility == "unauth":
            about = {"description": mount.description, "options": mount.options, "type": mount.type}
            shown[mount.table][mount.path] = about
    return shown


def _mount_at(mounts: tuple[Mount, ...], path: str) -> Mount | None:
    found = [mount for mount in mounts if path.startswith(mount.prefix)]
    return max(found, key=lambda mount: len(mount.prefix), default=None)


async def preflight(system: SystemBase, ctx: Context, args: AtPath) -> dict[str, Any]:
    """Describe the mount that a path is in, as the CLIs ask before every KV command.

    A mount out of the caller's reach and one that does not exist are answered alike.
    """
    if not known(ctx):
        raise PermissionDenied
    path = args.path.strip("/") + "/"
    mount = _mount_at((await t.load_table(ctx.transaction)).mounts, path)
    if mount is not None:
        acl, home = await acl_of(system, ctx)
        if acl.reaches(lead(system.parts.tenant(ctx), home) + mount.prefix, now=ctx.now):
            return {**t.describe(mount), "path": mount.path}
    raise PermissionDenied(
        "preflight capability check returned 403, please ensure client's policies grant access to "
        f'path "{path}"'
    )


async def namespaces(system: SystemBase, ctx: Context, args: Nothing) -> dict[str, Any]:
    """List the namespaces directly below that the caller reaches."""
    if not known(ctx):
        raise PermissionDenied
    acl, home = await acl_of(system, ctx)
    above = lead(system.parts.tenant(ctx), home)
    names = [f"{name}/" for name in await ctx.transaction.list(NAMESPACES)]
    keys = [name for name in names if acl.reaches(above + name, now=ctx.now)]
    return {"keys": keys} if keys else {}


async def resultant_acl(system: SystemBase, ctx: Context, args: Nothing) -> dict[str, Any]:
    """Return the caller's rules as one list, for interfaces that grey out what would be refused.

    Rules with a ``+`` stand apart, as written: readers of the other two take every path there at its word.
    """
    if ctx.caller.root:
        return {"root": True}
    acl, _ = await acl_of(system, ctx)
    exact: dict[str, Any] = {}
    globs: dict[str, Any] = {}
    wildcards: dict[str, Any] = {}
    for path, capabilities in acl.grants(now=ctx.now):
        rule = {"capabilities": capabilities}
        if "+" in path.removesuffix("*").split("/"):
            wildcards[path] = rule
        elif path.endswith("*"):
            globs[path.removesuffix("*")] = rule
        else:
            exact[path] = rule
    shown = {"exact_paths": exact, "glob_paths": globs, "root": False}
    return {**shown, "wildcard_paths": wildcards} if wildcards else shown


# Counters


async def _counted(ctx: Context, prefix: str, what: str) -> int:
    """Count the entries below a prefix, a page at a time, so that other requests get their turn in between."""
    found, after = 0, ""
    while found < MAX_COUNTED:
        page = await ctx.transaction.scan(prefix, after=after, limit=PAGE)
        found += len(page)
        if len(page) < PAGE:
            return found
        after = page[-1]
    ctx.warn(f"there are {MAX_COUNTED} {what} or more; they are not counted further")
    return found


async def count_tokens(system: SystemBase, ctx: Context, args: Nothing) -> dict[str, Any]:
    return {"counters": {"service_tokens": {"total": await _counted(ctx, TOKEN_ID, "tokens")}}}


async def count_entities(system: SystemBase, ctx: Context, args: Nothing) -> dict[str, Any]:
    return {"counters": {"entities": {"total": await _counted(ctx, ENTITY, "entities")}}}


async def count_requests(system: SystemBase, ctx: Context, args: Nothing) -> None:
    raise NotFound("The functionality has been removed on this path")


_SELF = "internal/ui/"

PATHS = (
    Path(
        _SELF + "mounts",
        "The mounts that a token reaches; without one, those tuned to listing_visibility=unauth.",
        read=Operation(Nothing, dict, calls=mounts, authenticated="optional"),
    ),
    Path(
        _SELF + "mounts/{path:path}",
        "The mount that a path lies in.",
        read=Operation(AtPath, dict, calls=preflight, authenticated="optional", raises=(PermissionDenied,)),
    ),
    Path(
        _SELF + "namespaces",
        "The namespaces directly below that a token reaches.",
        read=Operation(Nothing, dict, calls=namespaces, authenticated="optional", raises=(PermissionDenied,)),
    ),
    Path(
        _SELF + "resultant-acl",
        "The caller's policies as one list of rules.",
        read=Operation(Nothing, dict, calls=resultant_acl),
    ),
    Path(
        "internal/counters/tokens",
        "How many tokens there are.",
        read=Operation(Nothing, dict, calls=count_tokens),
    ),
    Path(
        "internal/counters/entities",
        "How many entities there are.",
        read=Operation(Nothing, dict, calls=count_entities),
    ),
    Path(
        "internal/counters/requests",
        "Gone, as in Vault.",
        read=Operation(Nothing, dict, calls=count_requests, raises=(NotFound,), hidden=True),
    ),
)
