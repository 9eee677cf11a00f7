"""Noticing a store that was put back to an earlier state, and opening one all the same when the operator says so.

A store that was put back has forgotten what was revoked and used up since. So where that is accepted, every token of the
store, and everything else that is good for one use, counts as used: what was issued before that moment is dead at once, and
the steward revokes what was leased.

The root store is anchored in a file (``broker.barrier.anchor``), the store of every other namespace in the root store.

Rows in a tenant's store::

    sys/anchor/mark             StoreMark: the store's own mark
    sys/anchor/accepted         Accepted: only what was issued since is good
    sys/anchor/of/<uuid>        Marks of another tenant's store (in the root store)
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final, Protocol

import msgspec

from broker.barrier.anchor import NONE, AnchorFile, Marks
from broker.barrier.codec import ROOT
from broker.core.transact import transact
from broker.plugin.errors import ConfigError, InvalidRequest, Unavailable
from broker.storage.tenant import TenantStore
from broker.storage.transaction import Transaction

log = logging.getLogger("broker.anchor")

MARK: Final = "sys/anchor/mark"
ACCEPTED: Final = "sys/anchor/accepted"
OF: Final = "sys/anchor/of/"
AT_ONCE = 32
"""Stores of namespaces that are anchored in one tick; the others follow in the next."""

REFUSED = (
    "the store is not in the state in which this node left it: an older copy was put back, or {anchor} is another store's. "
    "Tokens that were revoked since would be good again. To open it all the same, and end every token in it, start the "
    "server once with -accept-rollback"
)
REFUSED_BELOW = (
    "the store of this namespace was put back to an earlier state; to open it all the same, and end every token in it, "
    "start the server once with -accept-rollback"
)


class StoreMark(msgspec.Struct, frozen=True):
    """A store's own mark."""

    mark: str
    v: int = 1


class Accepted(msgspec.Struct, frozen=True):
    """That a store was put back, and opened all the same at ``at`` (Unix seconds)."""

    at: int
    v: int = 1


class Counters(Protocol):
    """How often each tenant's store changed (``broker.core.sealing.Node``)."""

    def read(self, tenant: str) -> int: ...


class Anchors:
    """What a node remembers of its stores, outside of them. Without a file only accepted rollbacks are looked at."""

    def __init__(
        self,
        file: AnchorFile | None,
        *,
        accept: bool = False,
        revoke_all: Callable[[Transaction, int], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._file = file
        self._accept = accept
        self._revoke_all = revoke_all
        self._clock = clock
        self._started = clock()
        self._seen: dict[str, int] = {}

    def check_new(self) -> None:
        """Refuse to initialise a store while the anchor is another's. Raises: InvalidRequest."""
        if self._file is not None and _read(self._file) != Marks():
            raise InvalidRequest(
                f"{self._file.path} is the anchor of a store that was here before: put that store back, or move the file away"
            )

    async def admit(self, root: TenantStore) -> None:
        """Let the root store be opened, before anybody is served from it. Raises: InvalidRequest."""
        if self._file is None:
            return
        mark = await _mark(await root.begin())
        if _read(self._file).fit(mark):
            return
        if not self._accept:
            log.error("anchor.refused tenant=%s", ROOT)
            raise InvalidRequest(REFUSED.format(anchor=self._file.path))
        # The store first: if this ends in between, the file does not fit the store and it is refused again.
        await self._accepted(root)
        self._file.write(Marks(mark, mark))

    async def meet(self, root: TenantStore, child: TenantStore) -> int:
        """Let the store of a namespace be opened in this worker. Returns since when what was issued there is good.

        Raises: Unavailable if it was put back.
        """
        tx = await root.begin()
        above = await tx.load(ACCEPTED, Accepted)
        marks = await tx.load(OF + child.tenant, Marks) or Marks()
        mark = await _mark(await child.begin())
        if self._file is not None and not marks.fit(mark):
            if not self._accept:
                log.error("anchor.refused tenant=%s", child.tenant)
                raise Unavailable(REFUSED_BELOW)
            since = await self._accepted(child)
            await transact(root, lambda tx: _save(tx, OF + child.tenant, Marks(mark, mark)))
            return since
        return await self._take(child, above.at) if above else await self.since(child)

    async def since(self, store: TenantStore) -> int:
        """Return since when what was issued is good, by what the store itself says (Unix seconds)."""
        accepted = await (await store.begin()).load(ACCEPTED, Accepted)
        return accepted.at if accepted else 0

    async def keep(self, node: Counters, root: TenantStore, stores: Iterable[TenantStore]) -> None:
        """Give new marks to the stores that changed since they got one. For the steward, once a second.

        Raises: OSError if the file cannot be written; the marks then stay as they are.
        """
        if self._file is None:
            return
        changed = [store for store in stores if store is not root and self._moved(node, store)]
        if changed:
            await self._keep_children(node, root, changed[:AT_ONCE])
        if self._moved(node, root):
            before = node.read(root.tenant)
            marks = Marks.leave(await _mark(await root.begin()))
            await asyncio.to_thread(self._file.write, marks)
            await transact(root, lambda tx: _save(tx, MARK, StoreMark(marks.next)))
            await asyncio.to_thread(self._file.write, marks.arrive())
            self._note(node, root, before)

    def forget(self) -> None:
        """Start over, as a new steward does."""
        self._seen = {}

    async def drop(self, root: TenantStore, tenant: str) -> None:
        """Forget a tenant that is gone."""
        self._seen.pop(tenant, None)

        async def drop(tx: Transaction) -> None:
            if await tx.load(OF + tenant, Marks) is not None:
                tx.delete(OF + tenant)

        await transact(root, drop)

    async def _keep_children(self, node: Counters, root: TenantStore, stores: list[TenantStore]) -> None:
        leaving = {store: Marks.leave(await _mark(await store.begin())) for store in stores}
        await transact(root, partial(_save_all, leaving))
        for store, marks in leaving.items():
            before = node.read(store.tenant)
            await transact(store, partial(_save, path=MARK, record=StoreMark(marks.next)))
            self._note(node, store, before)
        await transact(root, partial(_save_all, {store: marks.arrive() for store, marks in leaving.items()}))

    def _moved(self, node: Counters, store: TenantStore) -> bool:
        return node.read(store.tenant) != self._seen.get(store.tenant, -1)

    def _note(self, node: Counters, store: TenantStore, before: int) -> None:
        """Remember the counter behind our own change; if others moved it as well, the store gets its turn again."""
        own = before + 1
        self._seen[store.tenant] = own if node.read(store.tenant) == own else before

    async def _accepted(self, store: TenantStore) -> int:
        """Open a store that was put back. Returns since when what is issued there is good, whichever worker was first."""
        known = await self.since(store)
        if known > self._started:
            return known
        # From the next full second on: tokens are dated in seconds, and none may share this one.
        at = int(self._clock()) + 1
        await asyncio.sleep(at - self._clock() + 0.01)
        return await self._take(store, at, unless=self._started)

    async def _take(self, store: TenantStore, at: int, *, unless: float | None = None) -> int:
        """End what was issued before ``at``, unless the store knows of a time behind that, or behind ``unless``. Returns which holds."""

        async def take(tx: Transaction) -> tuple[int, bool]:
            known = await tx.load(ACCEPTED, Accepted)
            if known is not None and (known.at >= at or (unless is not None and known.at > unless)):
                return known.at, False
            tx.save(ACCEPTED, Accepted(at))
            self._revoke_all(tx, at)
            return at, True

        since, new = await transact(store, take)
        if new:
            log.warning("anchor.rollback_accepted tenant=%s since=%d", store.tenant, since)
        return since


class OnceService:
    """``Once`` for one tenant."""

    def __init__(self, since: int) -> None:
        self._since = since

    def counts(self, issued_at: float) -> bool:
        return issued_at >= self._since


def _read(file: AnchorFile) -> Marks:
    try:
        return file.read()
    except ConfigError as error:
        raise InvalidRequest(str(error)) from None


async def _mark(tx: Transaction) -> str:
    found = await tx.load(MARK, StoreMark)
    return found.mark if found else NONE


async def _save_all(marks: Mapping[TenantStore, Marks], tx: Transaction) -> None:
    for store, its in marks.items():
        tx.save(OF + store.tenant, its)


async def _save(tx: Transaction, path: str, record: msgspec.Struct) -> None:
    tx.save(path, record)


__all__ = ["Anchors", "OnceService"]
