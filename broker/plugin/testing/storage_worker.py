"""The other process of the storage suite: opens the same store and does one thing to it.

``python -m broker.plugin.testing.storage_worker PLUGIN SETTINGS COMMAND ARGUMENT...`` where PLUGIN is
``module:attribute`` of a BackendType and SETTINGS its settings in JSON. Lines on stdout are acknowledgements.
"""

import asyncio
import importlib
import json
import sys

from broker.plugin.storage import ABSENT, Backend, BackendType, Batch, Committed, Store

PAIR_BYTES = 200


def load(plugin: str) -> BackendType:
    """Import the backend type named ``module:attribute``."""
    module, _, attribute = plugin.partition(":")
    found: BackendType = getattr(importlib.import_module(module), attribute)
    return found


async def increment(store: Store, path: str) -> int:
    """Add one to the decimal number at ``path``, retrying until nobody was in between; return the result."""
    while True:
        present = await store.get(path)
        number = int(present.value) + 1 if present else 1
        expects = {path: present.revision if present else ABSENT}
        (outcome,) = await store.commit([Batch({path: b"%d" % number}, expects)])
        if isinstance(outcome, Committed):
            return number


async def count(backend: Backend, tenant: str, path: str, times: str) -> None:
    """Increment ``times`` times and say so at the end."""
    store = await backend.open(tenant)
    for _ in range(int(times)):
        await increment(store, path)
    print("done", flush=True)


async def write(backend: Backend, tenant: str) -> None:
    """Write pairs ``left/N`` and ``right/N`` for ever, one transaction each, printing N once it is durable."""
    store = await backend.open(tenant)
    number = 0
    while True:
        value = b"%d " % number * PAIR_BYTES
        names = [f"left/{number}", f"right/{number}"]
        (outcome,) = await store.commit([Batch(dict.fromkeys(names, value), dict.fromkeys(names, ABSENT))])
        if isinstance(outcome, Committed):
            print(number, flush=True)
        number += 1


async def lock(backend: Backend, name: str) -> None:
    """Hold a lock until stdin ends."""
    async with backend.lock(name):
        print("held", flush=True)
        await asyncio.to_thread(sys.stdin.read)


async def main(plugin: str, settings: str, command: str, *arguments: str) -> None:
    """Build the backend and run one command."""
    backend = load(plugin).build(json.loads(settings))
    try:
        await {"count": count, "write": write, "lock": lock}[command](backend, *arguments)  # type: ignore[operator]
    finally:
        await backend.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
