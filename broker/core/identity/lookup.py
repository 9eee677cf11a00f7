"""``identity/lookup``: find an entity or group by one of its names. What is not there is an empty answer, as in Vault."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from broker.access.identity import store
from broker.core.identity.entities import describe
from broker.core.identity.groups import describe as describe_group
from broker.core.identity.parts import Id, IdentityBase, Name
from broker.plugin.context import Context
from broker.plugin.errors import InvalidRequest
from broker.plugin.fields import Field
from broker.plugin.paths import Operation, Path


@dataclass(frozen=True, slots=True)
class Lookup:
    """Exactly one way of naming it."""

    id: Id = ""
    name: Name = ""
    alias_id: Annotated[str, Field("Id of its alias.", max_length=128)] = ""
    alias_name: Annotated[str, Field("Name of its alias, together with alias_mount_accessor.")] = ""
    alias_mount_accessor: Annotated[str, Field("Accessor of the mount of its alias.", max_length=128)] = ""
    type: Annotated[str, Field("Unused.", deprecated=True)] = ""


async def entity(engine: IdentityBase, ctx: Context, args: Lookup) -> dict[str, Any] | None:
    by = {"id": store.entity, "name": store.entity_by_name, "alias_id": store.entity_by_alias_id}
    found = await _find(ctx, args, by, store.entity_by_alias)
    return None if found is None else await describe(ctx, found)


async def group(engine: IdentityBase, ctx: Context, args: Lookup) -> dict[str, Any] | None:
    by = {"id": store.group, "name": store.group_by_name, "alias_id": store.group_by_alias_id}
    found = await _find(ctx, args, by, store.group_by_alias)
    return None if found is None else await describe_group(ctx, found)


async def _find(
    ctx: Context,
    args: Lookup,
    by: Mapping[str, Callable[..., Awaitable[Any]]],
    by_alias: Callable[..., Awaitable[Any]],
) -> Any:
    """Return the record that the query names. Raises: InvalidRequest unless it names one in exactly one way."""
    given = [name for name in by if getattr(args, name)]
    alias = bool(args.alias_name or args.alias_mount_accessor)
    if not given and not alias:
        raise InvalidRequest("query parameter not supplied")
    if len(given) + alias > 1:
        raise InvalidRequest("query parameter conflict; please supply distinct set of query parameters")
    if given:
        return await by[given[0]](ctx.transaction, getattr(args, given[0]))
    if not args.alias_name or not args.alias_mount_accessor:
        raise InvalidRequest("both 'alias_name' and 'alias_mount_accessor' needs to be set")
    return await by_alias(ctx.transaction, args.alias_mount_accessor, args.alias_name)


PATHS = (
    Path("lookup/entity", "Find an entity.", update=Operation(Lookup, dict, calls=entity)),
    Path("lookup/group", "Find a group.", update=Operation(Lookup, dict, calls=group)),
)
