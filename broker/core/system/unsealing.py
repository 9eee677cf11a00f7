"""How a node opens: by shares, which may arrive at any worker, or by itself when it starts."""

import logging
import os

from broker.barrier.ceremonies import UNSEAL, dump
from broker.barrier.progress import Progress
from broker.barrier.records import ROOT_KEY, BarrierRecords, root_key_writes
from broker.barrier.unseal import Unsealed, open_barrier, reset, submit
from broker.core.system.ceremony import SEAL_KEY, look
from broker.core.system.parts import Parts
from broker.plugin.errors import NotInitialized, Unavailable

log = logging.getLogger("broker.seal")


def give_up(parts: Parts, nonce: str) -> None:
    """Forget the shares given so far. Raises: InvalidRequest without the nonce of the attempt."""
    node = parts.seal_state.node
    with node.locked():
        reset(look(node, UNSEAL, Progress)[1], nonce)
        node.write_ceremony(UNSEAL, None)


async def take_share(parts: Parts, text: str) -> None:
    """Take one share; with the last, open the node for all workers."""
    node = parts.seal_state.node
    while node.root_key() is None:
        records, _ = await parts.seal_state.records()
        seen, before = look(node, UNSEAL, Progress)
        after, opened = await submit(before, text, records, parts.seal, random=os.urandom)
        with node.locked():
            if node.read_ceremony(UNSEAL) != seen or node.root_key() is not None:
                continue  # another worker took a share meanwhile
            node.write_ceremony(UNSEAL, dump(after))
            if opened is not None:
                _install(parts, opened)
            return


async def open_by_itself(parts: Parts) -> bool:
    """Unseal a node whose seal needs no people, once, when it starts; returns whether this call did.

    A node that was sealed since stays sealed. Raises: SealRefused; Unavailable if the seal's service does not answer.
    """
    node = parts.seal_state.node
    if not parts.seals.current.auto or node.seal_generation():
        return False
    try:
        records, revisions = await parts.seal_state.records()
    except NotInitialized:
        return False
    opened = await open_barrier(records, parts.seal, None)
    with node.locked():
        if node.seal_generation():
            return False
        _install(parts, opened)
    await _wrap_anew(parts, records, revisions, opened)
    return True


def _install(parts: Parts, opened: Unsealed) -> None:
    """Open the node for all workers. The caller holds the page's lock."""
    node = parts.seal_state.node
    node.install_root_key(opened.root_key.reveal())
    if opened.seal_key is not None:
        node.write_ceremony(SEAL_KEY, opened.seal_key.reveal())


async def _wrap_anew(
    parts: Parts, records: BarrierRecords, revisions: dict[str, int], opened: Unsealed
) -> None:
    """Wrap the root key under the seal's newest key where an older one opened it. Failing at it stops nothing."""
    if not parts.seal.stale(records.root_key.wrapped):
        return
    try:
        writes = root_key_writes(await parts.seal.wrap(opened.root_key, None))
        if await parts.seal_state.write_raw(writes, expects={ROOT_KEY: revisions[ROOT_KEY]}):
            log.info("seal.wrapped_anew type=%s", parts.seals.current.type)
    except Unavailable as error:
        log.warning("seal.not_wrapped_anew error=%s", type(error).__name__)
