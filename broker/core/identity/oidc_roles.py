"""``identity/oidc/role``: what identity tokens say, how long they hold and which key signs them.

Source: Vault's identity tokens API documentation.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from broker.access.identity.claims import check_template, plain_template
from broker.access.identity.oidc import ROLE, TokenRole
from broker.access.tokens import base62
from broker.core.identity.oidc_keys import DAY, Named, checked_name, key_to_use
from broker.core.identity.parts import IdentityBase
from broker.plugin.context import Context
from broker.plugin.errors import InvalidRequest, NotFound
from broker.plugin.fields import Field
from broker.plugin.listings import Page, listing
from broker.plugin.paths import Operation, Path

MAX_TEMPLATE = 65_536


@dataclass(frozen=True, slots=True)
class WriteRole:
    """What is left out stays as it was."""

    name: Annotated[str, Field("Name of the role.", max_length=128)]
    key: Annotated[str, Field("The signing key.", max_length=128)] = ""
    template: Annotated[
        str | None, Field("Claims as JSON with directives, plain or base64.", max_length=MAX_TEMPLATE)
    ] = None
    ttl: Annotated[timedelta | None, Field("How long its tokens hold.", minimum=1)] = None
    client_id: Annotated[str, Field("Audience of its tokens; made up if left out.", max_length=512)] = ""


async def write(engine: IdentityBase, ctx: Context, args: WriteRole) -> None:
    """Make or change a role. Its tokens must not outlive what they are checked with."""
    name = checked_name(args.name)
    old = await ctx.storage.load(ROLE + name, TokenRole)
    wanted = args.key or ("" if old is None else old.key)
    if not wanted:
        raise InvalidRequest("the key parameter is required")
    key = await key_to_use(ctx, wanted)
    if key is None:
        raise InvalidRequest("cannot find key: no key has the name given")
    ttl = DAY if old is None else old.ttl
    if args.ttl is not None:
        ttl = int(args.ttl.total_seconds())
    template = "" if old is None else old.template
    if args.template is not None:
        template = plain_template(args.template)
        check_template(template)
    if ttl > key.verification_ttl:
        raise InvalidRequest(
            "a role's token ttl cannot be longer than the verification_ttl of the key it references"
        )
    client = args.client_id or (base62(26) if old is None else old.client_id)
    ctx.storage.save(ROLE + name, TokenRole(name, wanted, client, ttl, template=template))


async def read(engine: IdentityBase, ctx: Context, args: Named) -> dict[str, Any]:
    role = await ctx.storage.load(ROLE + args.name, TokenRole)
    if role is None:
        raise NotFound
    return {"client_id": role.client_id, "key": role.key, "template": role.template, "ttl": role.ttl}


async def delete(engine: IdentityBase, ctx: Context, args: Named) -> None:
    ctx.storage.delete(ROLE + args.name)


async def list_roles(engine: IdentityBase, ctx: Context, args: Page) -> dict[str, Any]:
    return listing(await ctx.storage.list(ROLE, after=args.after, limit=args.size))


PATHS = (
    Path("oidc/role", "List roles of identity tokens.", list=Operation(Page, dict, calls=list_roles)),
    Path(
        "oidc/role/{name}",
        "Read, write or delete a role of identity tokens.",
        read=Operation(Named, dict, calls=read, raises=(NotFound,)),
        update=Operation(WriteRole, None, calls=write),
        delete=Operation(Named, None, calls=delete),
    ),
)
