"""``sys/in-flight-req``: what the workers of this node are busy with. Source: Vault's API documentation.

Addresses, paths and methods, never a body, a query or a token.
"""

from broker.core.system.parts import SystemBase
from broker.plugin.context import Context
from broker.plugin.fields import Nothing
from broker.plugin.messages import Plain
from broker.plugin.paths import Operation, Path


async def listed(system: SystemBase, ctx: Context, args: Nothing) -> Plain:
    return Plain(dict(await system.parts.attendant.in_flight()))


PATHS = (
    Path(
        "in-flight-req",
        "The requests that are under way on this node.",
        read=Operation(Nothing, dict, calls=listed, root_only=True),
    ),
)
