"""How a node opens: by shares, which may arrive at any worker, or by itself when it starts."""

import logging
import os

from broker.barrier.authority import KeyRefused
from broker.barrier.ceremonies import UNSEAL, dump
from broker.barrier.codec import root_codec
from broker.barrier.migrate import GUARDED, migrate, no_authority, not_migrating, pending
from broker.barrier.progress import Progress
from broker.barrier.records import ROOT_KEY, BarrierRecords, root_key_writes
from broker.barrier.unseal import Unsealed, gather, open_barrier, open_with, reset
from broker.core.seals import NamedSeal
from broker.core.system.ceremony import ROLLBACK, SEAL_KEY, look
from broker.core.system.losses import check_needed
from broker.core.system.parts import Parts
from broker.plugin.errors import (
    BrokerError,
    ConfigError,
    InvalidRequest,
    NotInitialized,
    Tampered,
    Unavailable,
)
from broker.plugin.secret import Secret
from broker.storage.tenant import TenantStore
from broker.storage.writer import Writer

log = logging.getLogger("broker.seal")

MEND = "stop the server, put a sound copy of the storage in its place, and start it again"
"""What helps where the stored parts of the seal, or rows that are needed, do not open."""


def tell_why(error: BrokerError) -> None:
    """Tell operators why a node does not open, and what they can do if it is the store that is damaged."""
    advice = f"; to do: {MEND}" if isinstance(error, (Tampered, KeyRefused)) else ""
    log.error("seal.cannot_open error=%s reason=%s%s", type(error).__name__, error, advice)


def give_up(parts: Parts, nonce: str) -> None:
    """Forget the shares given so far. Raises: InvalidRequest without the nonce of the attempt."""
    node = parts.seal_state.node
    with node.locked():
        reset(look(node, UNSEAL, Progress)[1], nonce)
        node.write_ceremony(UNSEAL, None)


async def take_share(parts: Parts, text: str, *, migrating: bool = False) -> bool:
    """Take one share; with the last, open the node for all workers, having moved to another seal if that is due.

    Returns whether this share opened it. Raises: Tampered, ShareRejected, KeyRefused, SealRefused; InvalidRequest where ``migrating`` is not what the store needs.
    """
    node = parts.seal_state.node
    agreed = False
    while node.root_key() is None:
        generation = node.seal_generation()
        records, revisions = await parts.seal_state.records()
        old = await _leaving(parts, records)
        if not agreed:  # and not again: another worker may complete the migration between two looks
            _agree(parts, records, old, migrating)
            agreed = True
        seen, before = look(node, UNSEAL, Progress)
        after, key = gather(before, text, records, random=os.urandom)
        opened, moved = None, False
        if key is not None:
            opened, move = await _opened(parts, records, old, key)
            await _admit(parts, opened)
            if old is not None and not (moved := await _commit(parts, move, revisions, old)):
                continue  # the seal was changed meanwhile
        with node.locked():
            if node.root_key() is not None:
                return False
            unchanged = node.read_ceremony(UNSEAL) == seen
            if not unchanged and (not moved or node.seal_generation() != generation):
                continue  # another worker took a share meanwhile, or somebody sealed the node
            node.write_ceremony(UNSEAL, None if opened else dump(after))
            if opened is not None:
                _install(parts, opened)
            return opened is not None
    return False


def _agree(parts: Parts, records: BarrierRecords, old: NamedSeal | None, migrating: bool) -> None:
    """Check that the custodian knows what the share is for. Raises: InvalidRequest."""
    if old is not None and not migrating:
        raise pending()
    if old is not None and records.authority is None:
        raise no_authority()
    if old is None and migrating and parts.seals.retired is None:
        raise not_migrating()


async def _leaving(parts: Parts, records: BarrierRecords) -> NamedSeal | None:
    """Return the seal to leave, if any. Raises: InvalidRequest if the configuration does not fit the store."""
    try:
        return await parts.seals.leaving(records)
    except ConfigError as error:
        raise InvalidRequest(str(error)) from None


async def _opened(
    parts: Parts, records: BarrierRecords, old: NamedSeal | None, key: Secret[bytes]
) -> tuple[Unsealed, dict[str, bytes | None]]:
    """Open with the key that the shares restored; returns the writes too that move the store, if it has to move."""
    if old is None:
        return await open_with(records, parts.seal, key), {}
    new = parts.seals.current
    moved = await migrate(records, old.seal, new.seal, new.type, key)
    return moved.unsealed, moved.writes


async def _commit(
    parts: Parts, move: dict[str, bytes | None], revisions: dict[str, int], old: NamedSeal
) -> bool:
    """Move to the seal in use, in one durable step. Returns whether the records were still as they were read."""
    expects = {path: revisions[path] for path in GUARDED}
    if not await parts.seal_state.write_raw(move, expects=expects):
        return False
    log.warning("seal.migrated from=%s to=%s", old.type, parts.seals.current.type)
    return True


async def open_by_itself(parts: Parts) -> bool:
    """Unseal a node whose seal needs no people, once, when it starts; returns whether this call did.

    A node that was sealed since stays sealed, and so does one that has to move to another seal. Raises: SealRefused;
    ConfigError if the seal does not fit the store; Unavailable if its service does not answer.
    """
    node = parts.seal_state.node
    if not parts.seals.current.auto or node.seal_generation():
        return False
    try:
        records, revisions = await parts.seal_state.records()
    except NotInitialized:
        return False
    if await parts.seals.leaving(records) is not None:
        return False
    opened = await open_barrier(records, parts.seal, None)
    await _admit(parts, opened)
    with node.locked():
        if node.seal_generation():
            return False
        _install(parts, opened)
    log.info("seal.opened by=itself type=%s", parts.seals.current.type)
    await _wrap_anew(parts, records, revisions, opened)
    return True


async def _admit(parts: Parts, opened: Unsealed) -> None:
    """Look whether what is needed to serve opens, and the store is the one that this node left.

    Raises: Tampered; InvalidRequest.
    """
    keyring, node = opened.keyring, parts.seal_state.node
    raw, codec = await parts.seal_state.root_store(), root_codec(lambda: keyring)
    root = TenantStore(raw, tenant="root", codec=codec, signal=node, writer=Writer())
    await check_needed(root)
    try:
        await parts.anchors.admit(root)
    except InvalidRequest:
        with node.locked():
            node.write_ceremony(ROLLBACK, b"1")
        raise


def _install(parts: Parts, opened: Unsealed) -> None:
    """Open the node for all workers. The caller holds the page's lock."""
    node = parts.seal_state.node
    node.write_ceremony(ROLLBACK, None)
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
