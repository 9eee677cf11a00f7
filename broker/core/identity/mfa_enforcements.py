"""``identity/mfa/login-enforcement``: which logins need a second proof. Source: Vault's login MFA API documentation."""

import uuid
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from broker.access.identity import store
from broker.access.mfa.records import TABLE, Enforcement, MfaTable
from broker.core.identity.parts import ByName, IdentityBase, Name, auth_mounts
from broker.core.mfa.proofs import table_of
from broker.plugin.context import Context
from broker.plugin.errors import InvalidRequest, NotFound
from broker.plugin.fields import Field
from broker.plugin.listings import Page
from broker.plugin.paths import Operation, Path

MAX_ENFORCEMENTS = 256
MAX_EACH = 1024


@dataclass(frozen=True, slots=True)
class Write:
    """What is left out stays as it was; an empty list clears."""

    name: Name
    mfa_method_ids: Annotated[
        list[str] | None, Field("Methods of which any one will do.", max_length=MAX_EACH)
    ] = None
    auth_method_accessors: Annotated[
        list[str] | None, Field("Logins at these auth mounts.", max_length=MAX_EACH)
    ] = None
    auth_method_types: Annotated[
        list[str] | None, Field("Logins at auth mounts of these types.", max_length=MAX_EACH)
    ] = None
    identity_group_ids: Annotated[
        list[str] | None, Field("Logins of members of these groups.", max_length=MAX_EACH)
    ] = None
    identity_entity_ids: Annotated[
        list[str] | None, Field("Logins of these entities.", max_length=MAX_EACH)
    ] = None


async def write(engine: IdentityBase, ctx: Context, args: Write) -> None:
    """Make an enforcement, or change the one of this name. It acts on the next login."""
    table = await table_of(ctx.transaction)
    old = _named(table, args.name)
    if old is None and len(table.enforcements) >= MAX_ENFORCEMENTS:
        raise InvalidRequest(f"a namespace has at most {MAX_ENFORCEMENTS} login enforcements")
    base = old or Enforcement(str(uuid.UUID(bytes=ctx.random(16), version=4)), args.name, ())
    given = {
        "methods": args.mfa_method_ids,
        "accessors": args.auth_method_accessors,
        "types": args.auth_method_types,
        "groups": args.identity_group_ids,
        "entities": args.identity_entity_ids,
    }
    new = msgspec.structs.replace(
        base, **{name: tuple(dict.fromkeys(value)) for name, value in given.items() if value is not None}
    )
    await _check(ctx, table, new)
    others = tuple(each for each in table.enforcements if each is not old)
    _save(ctx, table, (*others, new))


async def _check(ctx: Context, table: MfaTable, new: Enforcement) -> None:
    if not new.methods:
        raise InvalidRequest("missing method ids")
    if not {*new.methods} <= {method.id for method in table.methods}:
        raise InvalidRequest("one of the provided method ids doesn't exist")
    if not (new.accessors or new.types or new.groups or new.entities):
        raise InvalidRequest(
            "One of auth_method_accessors, auth_method_types, identity_group_ids, identity_entity_ids must be specified"
        )
    mounts = await auth_mounts(ctx)
    if not {*new.accessors} <= {*mounts}:
        raise InvalidRequest("one of the auth method accessors provided is invalid")
    for group_id in new.groups:
        if await store.group(ctx.transaction, group_id) is None:
            raise InvalidRequest("one of the provided group ids doesn't exist")
    for entity_id in new.entities:
        if await store.entity(ctx.transaction, entity_id) is None:
            raise InvalidRequest("one of the provided entity ids doesn't exist")


async def read(engine: IdentityBase, ctx: Context, args: ByName) -> dict[str, Any]:
    """Return an enforcement."""
    found = _named(await table_of(ctx.transaction), args.name)
    if found is None:
        raise NotFound
    return _shown(found, ctx)


async def delete(engine: IdentityBase, ctx: Context, args: ByName) -> None:
    """Remove an enforcement, if there is one of this name."""
    table = await table_of(ctx.transaction)
    _save(ctx, table, tuple(each for each in table.enforcements if each.name != args.name))


async def list_all(engine: IdentityBase, ctx: Context, args: Page) -> dict[str, Any]:
    """Return the names of all enforcements, with the enforcements."""
    found = {each.name: _shown(each, ctx) for each in (await table_of(ctx.transaction)).enforcements}
    if not found:
        raise NotFound
    names = args.of(found)
    return {"keys": names, "key_info": {name: found[name] for name in names}}


def _named(table: MfaTable, name: str) -> Enforcement | None:
    return next((each for each in table.enforcements if each.name == name), None)


def _save(ctx: Context, table: MfaTable, enforcements: tuple[Enforcement, ...]) -> None:
    ctx.transaction.save(TABLE, msgspec.structs.replace(table, enforcements=enforcements))


def _shown(found: Enforcement, ctx: Context) -> dict[str, Any]:
    return {
        "auth_method_accessors": list(found.accessors),
        "auth_method_types": list(found.types),
        "id": found.id,
        "identity_entity_ids": list(found.entities),
        "identity_group_ids": list(found.groups),
        "mfa_method_ids": list(found.methods),
        "name": found.name,
        "namespace_id": ctx.namespace.id,
        "namespace_path": ctx.namespace.path,
    }


PATHS = (
    Path(
        "mfa/login-enforcement",
        "All login enforcements.",
        list=Operation(Page, dict, calls=list_all),
    ),
    Path(
        "mfa/login-enforcement/{name}",
        "Which logins need a second proof.",
        read=Operation(ByName, dict, calls=read),
        update=Operation(Write, None, calls=write),
        delete=Operation(ByName, None, calls=delete),
    ),
)
