"""Keeping this worker's audit devices in step with the stored table and the server's configuration."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from broker.audit.auditor import Auditor
from broker.audit.table import AuditTable, AuditTableEntry, new_entry, normal_path
from broker.core.tenants import Tenant
from broker.core.transact import transact
from broker.plugin.errors import BrokerError
from broker.storage.transaction import Transaction

log = logging.getLogger("broker.audit")

TABLE = "core/audit"
CHECKPOINT_SECONDS = 60.0
HEADERS = "core/audit-headers"
"""Whoever changes this record saves the table anew too: then one look at the table per request is enough."""


class HeadersRecord(msgspec.Struct, frozen=True):
    """Which request headers are recorded: lower-case name, and whether its values are hashed."""

    v: int = 1
    headers: dict[str, bool] = {}


class Devices:
    """Follows the table record: ``follow`` compares one object per request and acts only when it changed.

    ``make`` builds an auditor without devices, in which a new device is tried before the table takes it.
    """

    def __init__(
        self,
        auditor: Auditor,
        root: Tenant,
        stanzas: Sequence[Any],
        *,
        make: Callable[[], Auditor],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._auditor = auditor
        self._root = root
        self._stanzas = stanzas
        self._make = make
        self._applied: AuditTable | None = None
        self._applying = asyncio.Lock()
        self._clock = clock
        self._signed_at = clock()

    async def start(self) -> None:
        """Bring the configuration file's devices into the table, then enable everything in it."""

        async def merge(tx: Transaction) -> None:
            table = await tx.load(TABLE, AuditTable) or AuditTable()
            entries = self._with_configured(table)
            if entries != table.entries:
                tx.save(TABLE, AuditTable(entries=entries))

        await transact(self._root.store, merge)
        await self.follow(await self._root.store.begin())

    def _with_configured(self, table: AuditTable) -> tuple[AuditTableEntry, ...]:
        """Return the table's devices with those of the configuration file as the file has them now."""
        wanted = {normal_path(stanza.path or stanza.type): stanza for stanza in self._stanzas}
        kept = [entry for entry in table.entries if not entry.from_config or entry.path in wanted]
        known = {entry.path: entry for entry in kept}
        for path, stanza in wanted.items():
            old = known.get(path)
            options = {str(key): str(value) for key, value in stanza.options.items()}
            if (
                old is not None
                and old.from_config
                and (old.type, old.options, old.description) == (stanza.type, options, stanza.description)
            ):
                continue
            kept = [entry for entry in kept if entry.path != path]
            kept.append(
                new_entry(path, stanza.type, options, description=stanza.description, from_config=True)
            )
        return tuple(kept)

    async def follow(self, tx: Transaction) -> None:
        """Enable and disable devices so that this worker has what the table says."""
        if await tx.load(TABLE, AuditTable) is self._applied:
            return
        async with self._applying:
            # Looked up anew: while this request waited, another may have applied a later table than ``tx`` saw.
            latest = await self._root.store.begin()
            table = await latest.load(TABLE, AuditTable)
            if table is not self._applied:
                await self._apply(table)
                headers = await latest.load(HEADERS, HeadersRecord)
                self._auditor.set_headers({} if headers is None else headers.headers)
                self._applied = table

    async def _apply(self, table: AuditTable | None) -> None:
        entries = {} if table is None else {entry.path: entry for entry in table.entries}
        running = {entry.path: entry for entry in self._auditor.list()}
        for path, entry in entries.items():
            if running.get(path) == entry:
                continue
            if path in running:
                await self._auditor.disable(path)
            try:
                await self._auditor.enable(entry, probe=False)
            except BrokerError as error:
                log.error("audit.enable_failed path=%s error=%s", path, error)
        for path in running.keys() - entries.keys():
            await self._auditor.disable(path)

    async def upkeep(self) -> None:
        """Follow the table in a worker that serves nothing, and sign a quiet log's lines once a minute."""
        await self.follow(await self._root.store.begin())
        self._auditor.say()
        if self._clock() - self._signed_at >= CHECKPOINT_SECONDS:
            self._signed_at = self._clock()
            self._auditor.checkpoint()

    async def probe(self, entry: AuditTableEntry) -> None:
        """Have a new device take a test record. Raises: InvalidRequest if it may not, or does not.

        It runs in this worker once the table that has it is committed, like in every other.
        """
        trial = self._make()
        try:
            await trial.enable(entry, probe=True)
        finally:
            await trial.close()
