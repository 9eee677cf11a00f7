"""``sys/monitor``: the log of this node's workers, as it is written. Source: Vault's API documentation.

It ends with the client, with the token, and when the node is sealed.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from broker.core.attendance import FORMATS, LEVELS
from broker.core.system.parts import SystemBase
from broker.plugin.context import Context
from broker.plugin.errors import InvalidRequest
from broker.plugin.fields import Field
from broker.plugin.messages import Raw
from broker.plugin.paths import Operation, Path

LOOK_SECONDS = 2.0
"""Between looks whether the reader's token still lives."""


@dataclass(frozen=True, slots=True)
class Watch:
    log_level: Annotated[str, Field("Least level of what is shown: trace, debug, info, warn or error.")] = (
        "info"
    )
    log_format: Annotated[str, Field("How lines are written: standard or json.")] = "standard"


async def watch(system: SystemBase, ctx: Context, args: Watch) -> Raw:
    if args.log_level not in LEVELS:
        raise InvalidRequest("unknown log level")
    if args.log_format not in FORMATS:
        raise InvalidRequest("unknown log format")
    alive = await _liveness(system, ctx)
    chunks = system.parts.attendant.monitor(args.log_level, args.log_format, alive)
    return Raw(b"", "text/plain; charset=utf-8", chunks=chunks)


async def _liveness(system: SystemBase, ctx: Context) -> Callable[[], Awaitable[bool]]:
    """Return what tells whether the node is still unsealed and the caller's token still good."""
    state, home, name = system.parts.seal_state, await system.parts.home(ctx), ctx.caller.token_hash
    runtime, looked = state.current(), time.monotonic()

    async def alive() -> bool:
        nonlocal looked
        if runtime is None or state.current() is not runtime:
            return False
        if time.monotonic() - looked < LOOK_SECONDS:
            return True
        looked = time.monotonic()
        return await home.tokens.alive(await home.store.begin(), name, system.parts.clock()) is not None

    return alive


PATHS = (
    Path(
        "monitor",
        "The server's log, as it is written.",
        read=Operation(Watch, str, calls=watch, root_only=True),
    ),
)
