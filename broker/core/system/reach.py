"""Which mounts a caller's policies reach: what listings for people and tools may show."""

from typing import cast

from broker.access.policy.acl import ACL
from broker.core.admission import lead
from broker.core.system import mount_table as t
from broker.core.system.parts import SystemBase
from broker.core.tenants import Tenant
from broker.plugin.context import Context, Mount


def known(ctx: Context) -> bool:
    """Tell whether a request on a path that takes a token or none came with one."""
    return ctx.caller.namespace is not None


async def acl_of(system: SystemBase, ctx: Context) -> tuple[ACL, Tenant]:
    """Return the caller's ACL and the tenant whose policies it is made of."""
    return cast(ACL, ctx.judge), await system.parts.home(ctx)


async def reached_mounts(system: SystemBase, ctx: Context) -> list[Mount]:
    """Return the mounts of the namespace at or below which the caller may do anything, in order of their paths."""
    acl, home = await acl_of(system, ctx)
    above = lead(system.parts.tenant(ctx), home)
    table = await t.load_table(ctx.transaction)
    reached = [mount for mount in table.mounts if acl.reaches(above + mount.prefix, now=ctx.now)]
    return sorted(reached, key=lambda mount: mount.prefix)
