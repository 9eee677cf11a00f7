"""Keeping this worker's audit devices in step with the stored table and the server's configuration."""

import logging
from collections.abc import Sequence
from typing import Any

from broker.audit.auditor import Auditor
from broker.audit.table import AuditTable, new_entry, normal_path
from broker.core.tenants import Tenant
from broker.plugin.errors import BrokerError
from broker.storage.errors import TransactionConflict
from broker.storage.transaction import Transaction

log = logging.getLogger("broker.audit")

TABLE = "core/audit"


class Devices:
    """Follows the table record: ``follow`` compares one object per request and acts only when it changed."""

    def __init__(self, auditor: Auditor, root: Tenant, stanzas: Sequence[Any]) -> None:
        self._auditor = auditor
        self._root = root
        self._stanzas = stanzas
        self._applied: AuditTable | None = None

    async def start(self) -> None:
        """Bring the configuration file's devices into the table, then enable everything in it."""
        while self._stanzas:
            tx = await self._root.store.begin()
            table = await tx.load(TABLE, AuditTable) or AuditTable()
            wanted = {normal_path(stanza.path or stanza.type): stanza for stanza in self._stanzas}
            kept = [entry for entry in table.entries if not entry.from_config or entry.path in wanted]
            known = {entry.path: entry for entry in kept}
            for path, stanza in wanted.items():
                old = known.get(path)
                options = {str(key): str(value) for key, value in stanza.options.items()}
                if old is None or old.options != options or old.type != stanza.type:
                    kept = [entry for entry in kept if entry.path != path]
                    kept.append(
                        new_entry(
                            path, stanza.type, options, description=stanza.description, from_config=True
                        )
                    )
            if tuple(kept) == table.entries:
                break
            tx.save(TABLE, AuditTable(entries=tuple(kept)))
            try:
                await tx.commit()
                break
            except TransactionConflict:
                continue
        await self.follow(await self._root.store.begin())

    async def follow(self, tx: Transaction) -> None:
        """Enable and disable devices so that this worker has what the table says."""
        table = await tx.load(TABLE, AuditTable)
        if table is self._applied:
            return
        entries = {} if table is None else {entry.path: entry for entry in table.entries}
        running = {entry.path: entry for entry in self._auditor.list()}
        for path, entry in running.items():
            if entries.get(path) != entry:
                await self._auditor.disable(path)
        for path, entry in entries.items():
            if running.get(path) != entry:
                try:
                    await self._auditor.enable(entry, probe=False)
                except BrokerError as error:
                    log.error("audit.enable_failed path=%s error=%s", path, error)
        self._applied = table
