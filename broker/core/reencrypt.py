"""Rewriting what older keyring terms encrypted, in the background, a bounded batch at a time.

Each tenant keeps its own ``Pass`` record, so a steward that takes over goes on where the last one stopped. A pass
looks at every entry; one that finds nothing old is the last. A row is rewritten only if nobody changed it since it was
read: the revision is a precondition of each write.
"""

import logging
import time
from typing import Final

import msgspec
from msgspec.structs import replace

from broker.barrier.envelope import term_of
from broker.barrier.keyring import Keyring
from broker.barrier.records import PATHS, RECOVERY_BACKUP, UNSEAL_BACKUP
from broker.core.tenants import Tenant
from broker.plugin.errors import Tampered
from broker.plugin.storage import Batch, Committed

log = logging.getLogger("broker.steward")

RECORD: Final = "core/reencrypt"
BATCH: Final = 256
TICK_SECONDS: Final = 0.2
"""How much of a tick the rewriting may take, in the worker that does it."""

RAW: Final = frozenset((*PATHS, UNSEAL_BACKUP, RECOVERY_BACKUP))
"""Entries of the root store that no tenant key encrypts."""


class Pass(msgspec.Struct, frozen=True):
    """How far one tenant is. ``checked`` and ``rewritten`` count over all passes for ``term``.

    ``after`` is the last path looked at; ``found`` is how many old entries this pass has met, ``refused`` how many of
    them do not open.
    """

    v: int = 1
    term: int = 1
    after: str = ""
    found: int = 0
    checked: int = 0
    rewritten: int = 0
    refused: int = 0
    finished: bool = False


async def progress(tenant: Tenant, keyring: Keyring) -> Pass:
    """Return how far a tenant is towards the active term."""
    if keyring.active == 1:
        return Pass(finished=True)  # nothing can be older
    tx = await tenant.store.begin()
    record = await tx.load(RECORD, Pass)
    return record if record is not None and record.term == keyring.active else Pass(term=keyring.active)


async def advance(tenant: Tenant, keyring: Keyring, *, until: float) -> None:
    """Rewrite what there is to rewrite in one tenant until ``time.monotonic()`` reaches ``until``.

    Returns early when nothing is left, or after one pass: what other workers wrote meanwhile under the term before
    is met by the next.
    """
    state = await progress(tenant, keyring)
    while not state.finished and time.monotonic() < until:
        state = await _step(tenant, keyring, state)
        tx = await tenant.store.begin()
        tx.save(RECORD, state)
        await tx.commit()
        if not state.after:
            break


async def _step(tenant: Tenant, keyring: Keyring, state: Pass) -> Pass:
    """Look at the next entries. Returns the state to keep."""
    raw = tenant.store.store
    paths = await raw.scan("", after=state.after, limit=BATCH)
    batches, refused = await _renewed(tenant, keyring, paths)
    rewritten = 0
    if batches:
        outcomes = await raw.commit(batches)
        tenant.store.announce()
        rewritten = sum(isinstance(outcome, Committed) for outcome in outcomes)
    found = state.found + len(batches)
    ended = len(paths) < BATCH
    return replace(
        state,
        after="" if ended else paths[-1],
        found=0 if ended else found,
        checked=state.checked + len(paths),
        rewritten=state.rewritten + rewritten,
        refused=(state.refused if state.after else 0) + refused,
        finished=ended and not found,
    )


async def _renewed(tenant: Tenant, keyring: Keyring, paths: list[str]) -> tuple[list[Batch], int]:
    """Return a batch for each entry of an older term, and how many entries do not open."""
    store, codec = tenant.store.store, tenant.store.codec
    batches, refused = [], 0
    for path in paths:
        if tenant.is_root and path in RAW:
            continue
        stored = await store.get(path)
        if stored is None:
            continue
        try:
            if term_of(stored.value, path) >= keyring.active:
                continue
            fresh = codec.seal(path, codec.open(path, stored.value))
        except Tampered as error:
            log.error("reencrypt.refused namespace=%s error=%s", tenant.info.uuid, error)
            refused += 1
            continue
        batches.append(Batch({path: fresh}, {path: stored.revision}))
    return batches, refused
