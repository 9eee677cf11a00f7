"""A look at the store before the first worker starts: a seal that does not fit it stops the server right there."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable

from broker.plugin.errors import ConfigError

__all__ = ["preflight"]


PATIENCE_SECONDS = 10.0


def preflight(look: Callable[[], Awaitable[str]], patience: float = PATIENCE_SECONDS) -> str:
    """Return what ``look`` found; it runs in a child process, for a store that is open must not be forked.

    Whatever but a ConfigError keeps the child from looking is left to the workers, who meet it again and say so; a
    store that does not answer in time is as good as none. Raises: ConfigError.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, json.dumps(asyncio.run(_outcome(look, patience))).encode())
        finally:
            os._exit(0)  # no exit handlers: they belong to the parent
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    found, mistake = json.loads(answer) if answer else ("", "")
    if mistake:
        raise ConfigError(mistake)
    return str(found)


async def _outcome(look: Callable[[], Awaitable[str]], patience: float) -> tuple[str, str]:
    try:
        async with asyncio.timeout(patience):
            return await look(), ""
    except ConfigError as error:
        return "", str(error)
