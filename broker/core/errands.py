"""What engines ask to be woken for: ``ctx.schedule(when, name)`` now, ``engine.wake(ctx, name)`` when it is due."""

import asyncio
import os
from collections.abc import Callable
from typing import Any

from broker.core.routing import Router, storage_prefix
from broker.core.tenants import Tenant
from broker.plugin.context import Caller, Connection, Context, Mount
from broker.plugin.verbs import Verb
from broker.storage.due import mark_due
from broker.storage.transaction import Transaction

KIND = "engine"
NOBODY = Caller()
NOWHERE = Connection()


def schedule(tx: Transaction, mount: Mount, when: float, name: str) -> None:
    """Ask that the engine at ``mount`` is woken at ``when`` (Unix seconds) with ``name``; asking twice is asking once."""
    errand = f"{mount.uuid}:{name}"
    mark_due(tx, when, KIND, errand)


async def run_errand(tenant: Tenant, router: Router, tx: Transaction, errand: str, now: float) -> None:
    """Wake the engine that an errand is for, if its mount is still there."""
    uuid, _, name = errand.partition(":")
    mount = next((mount for mount in router.table.mounts if mount.uuid == uuid), None)
    if mount is None:
        return
    engine = router.engine_of(mount)
    await engine.wake(engine_context(tenant, mount, tx, now), name)


def engine_context(tenant: Tenant, mount: Mount, tx: Transaction, now: float, *, path: str = "") -> Context:
    """Build the context of work that no caller asked for: expiry, errands."""
    context = Context(
        request_id="",
        verb=Verb.UPDATE,
        path=path,
        namespace=tenant.info,
        mount=mount,
        caller=NOBODY,
        connection=NOWHERE,
        headers={},
        storage=tx.view(storage_prefix(mount)),
        transaction=None,
        now=now,
        random=os.urandom,
        blocking=blocking,
        token=None,
        wrap_ttl=None,
    )
    context.schedule = lambda when, name: schedule(tx, mount, when, name)
    return context


async def blocking(function: Callable[..., Any], *args: Any) -> Any:
    """Run a function in a thread; what ``ctx.blocking`` is."""
    return await asyncio.to_thread(function, *args)


__all__ = ["KIND", "blocking", "engine_context", "run_errand", "schedule"]
