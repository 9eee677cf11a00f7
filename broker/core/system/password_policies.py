"""``sys/policies/password``: rules for generated passwords. Source: Vault's password policy API documentation."""

import binascii
from base64 import b64decode
from dataclasses import dataclass
from typing import Annotated, Any

from broker.core.passwords import PREFIX, PasswordPolicy, generate, parse
from broker.core.system.parts import SystemBase
from broker.plugin.context import Context
from broker.plugin.errors import InvalidRequest, NotFound
from broker.plugin.fields import Field
from broker.plugin.listings import Page, listing
from broker.plugin.paths import Operation, Path

MAX_POLICY = 65_536
Name = Annotated[str, Field("Name of the password policy.", max_length=256)]


@dataclass(frozen=True, slots=True)
class Named:
    name: Name


@dataclass(frozen=True, slots=True)
class Write:
    name: Name
    policy: Annotated[str, Field("HCL or JSON text, plain or base64.", max_length=MAX_POLICY)] = ""


async def _stored(ctx: Context, name: str) -> PasswordPolicy:
    record: PasswordPolicy | None = await ctx.transaction.load(PREFIX + name, PasswordPolicy)
    if record is None:
        raise NotFound("policy does not exist")
    return record


async def listed(system: SystemBase, ctx: Context, args: Page) -> dict[str, Any]:
    return listing(args.of(await ctx.transaction.scan(PREFIX)))


async def read(system: SystemBase, ctx: Context, args: Named) -> dict[str, Any]:
    return {"policy": (await _stored(ctx, args.name)).text}


async def write(system: SystemBase, ctx: Context, args: Write) -> None:
    if not args.policy:
        raise InvalidRequest("missing policy")
    ctx.transaction.save(PREFIX + args.name, parse(_plain(args.policy)))


async def delete(system: SystemBase, ctx: Context, args: Named) -> None:
    ctx.transaction.delete(PREFIX + args.name)


async def generated(system: SystemBase, ctx: Context, args: Named) -> dict[str, Any]:
    return {"password": generate(await _stored(ctx, args.name), ctx.random)}


def _plain(text: str) -> str:
    """Return a policy's text, out of base64 if it is in that."""
    try:
        return b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return text


PATHS = (
    Path(
        "policies/password",
        "List the password policies.",
        list=Operation(Page, dict, calls=listed, raises=(NotFound,)),
    ),
    Path(
        "policies/password/{name:path}",
        "Rules that generated passwords follow.",
        description="length, and any number of rule blocks: at least min-chars characters from a charset.",
        read=Operation(Named, dict, calls=read, raises=(NotFound,)),
        update=Operation(Write, None, calls=write),
        delete=Operation(Named, None, calls=delete),
    ),
    Path(
        "policies/password/{name:path}/generate",
        "A password as the policy says.",
        read=Operation(Named, dict, calls=generated, raises=(NotFound,)),
    ),
)
