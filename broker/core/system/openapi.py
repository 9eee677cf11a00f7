"""``sys/internal/specs/openapi``: the HTTP API of what is mounted, for the mounts that the caller reaches.

Source: Vault's ``sys/internal/specs/openapi`` API documentation.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from broker.core.openapi import Described, document
from broker.core.system.parts import SystemBase
from broker.core.system.reach import known, reached_mounts
from broker.plugin.context import Context, Mount
from broker.plugin.errors import PermissionDenied
from broker.plugin.fields import Field
from broker.plugin.messages import Plain
from broker.plugin.paths import Operation, Path


@dataclass(frozen=True, slots=True)
class Specs:
    generic_mount_paths: Annotated[
        bool, Field("Write {kv_mount_path} in place of the mounts' own paths.")
    ] = False
    context: Annotated[str, Field("Unused here.", deprecated=True)] = ""


def tag_of(mount: Mount) -> str:
    if mount.type == "system":
        return "system"
    return "auth" if mount.table == "auth" else "secrets"


def described(mount: Mount, paths: Iterable[Path], *, generic: bool = False) -> Described:
    """Return a mount's table at its place; with ``generic``, at a parameter named after the mount."""
    fixed = mount.type in ("system", "cubbyhole", "identity") or (mount.table, mount.type) == (
        "auth",
        "token",
    )
    if fixed or not generic:
        return Described(mount.prefix, tag_of(mount), tuple(paths))
    name = re.sub(r"[^a-z0-9]+", "_", mount.path.strip("/").lower()) + "_mount_path"
    lead = "auth/" if mount.table == "auth" else ""
    return Described(f"{lead}{{{name}}}/", tag_of(mount), tuple(paths), (name,))


async def specs(system: SystemBase, ctx: Context, args: Specs) -> Plain:
    if not known(ctx):
        raise PermissionDenied
    tenant = system.parts.tenant(ctx)
    router = await system.parts.runtime().tenants.router(tenant, ctx.transaction)
    tables = [
        described(mount, router.engine_of(mount).PATHS, generic=args.generic_mount_paths)
        for mount in await reached_mounts(system, ctx)
    ]
    return Plain(await ctx.blocking(document, tables))


_SPECS = Operation(Specs, dict, calls=specs, authenticated="optional", raises=(PermissionDenied,))

PATHS = (
    Path(
        "internal/specs/openapi",
        "The OpenAPI document of every mount that the token reaches.",
        description="Any valid token will do, and it needs one.",
        read=_SPECS,
        update=_SPECS,
    ),
)
