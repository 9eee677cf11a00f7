"""What the modules of the identity engine share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from broker.access.identity.names import MAX_NAME, name_segment
from broker.access.identity.records import EntityRecord, GroupRecord, Pointer
from broker.core.records import MOUNTS, MountTable
from broker.core.settings import CoreSettings
from broker.plugin.context import Context, Mount
from broker.plugin.engine import Engine
from broker.plugin.errors import InvalidRequest, PermissionDenied
from broker.plugin.fields import Field
from broker.plugin.listings import Page
from broker.plugin.names import policy_names
from broker.plugin.verbs import Verb
from broker.storage.transaction import Transaction

Id = Annotated[str, Field("Id.", max_length=128)]
Name = Annotated[str, Field("Name.", max_length=MAX_NAME)]


class IdentityBase(Engine):
    """The engine at ``identity/``; its paths are put together in ``broker.core.identity.engine``."""

    def __init__(self, mount: Mount, *, settings: CoreSettings) -> None:
        super().__init__(mount)
        self.settings = settings


@dataclass(frozen=True, slots=True)
class ById:
    id: Id


@dataclass(frozen=True, slots=True)
class ByName:
    name: Name


def policies_of(given: list[str]) -> tuple[str, ...]:
    """Return the policies of an entity or group in their one spelling. Raises: InvalidRequest, for root too."""
    try:
        return policy_names(given)
    except InvalidRequest:
        if any(name.strip().lower() == "root" for name in given):
            raise InvalidRequest("policies cannot contain root") from None
        raise


async def auth_mounts(ctx: Context) -> dict[str, Mount]:
    """Return the namespace's auth mounts by accessor."""
    table = await ctx.transaction.load(MOUNTS, MountTable)
    mounts = () if table is None else table.mounts
    return {mount.accessor: mount for mount in mounts if mount.table == "auth"}


async def mount_to_speak_for(ctx: Context, accessor: str) -> Mount:
    """Return the auth mount that an alias is to be of.

    Who says "that login is this entity" decides what the login may do. So it takes a grant on the mount itself, not only
    one on ``identity/``. Raises: InvalidRequest for an unknown accessor; PermissionDenied.
    """
    mount = (await auth_mounts(ctx)).get(accessor)
    if mount is None or mount.tainted:
        raise InvalidRequest("invalid mount accessor: no auth mount of this namespace has it")
    if not any(granted(ctx, verb, mount.prefix) for verb in (Verb.CREATE, Verb.UPDATE)):
        raise PermissionDenied
    return mount


def granted(ctx: Context, verb: Verb, path: str) -> bool:
    """Tell whether the caller's policies allow ``verb`` on a path of this namespace."""
    if ctx.judge is None:
        return False
    return ctx.judge.check(verb, ctx.lead + path, now=ctx.now).allowed


async def names_below(
    ctx: Context,
    room: str,
    args: Page,
    find: Callable[[Transaction, str], Awaitable[EntityRecord | GroupRecord | None]],
) -> list[str]:
    """Return the names of what a room's pointers lead to, in the order of the room."""
    after = name_segment(args.after) if args.after else ""
    names = []
    for segment in await ctx.transaction.list(room, after=after, limit=args.size):
        pointer = await ctx.transaction.load(room + segment, Pointer)
        found = None if pointer is None else await find(ctx.transaction, pointer.id)
        if found is not None:
            names.append(found.name)
    return names
