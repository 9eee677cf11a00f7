"""The audit room: records, HMAC, hash chain, fail-closed fan-out to devices."""

from broker.audit.auditor import Auditor
from broker.audit.entry import AuditEntry, AuthFacts, GrantingPolicy, PolicyResults, ResponseFacts
from broker.audit.guard import AuditGuard
from broker.audit.table import AuditTable, AuditTableEntry, new_entry

__all__ = [
    "AuditEntry",
    "AuditGuard",
    "AuditTable",
    "AuditTableEntry",
    "Auditor",
    "AuthFacts",
    "GrantingPolicy",
    "PolicyResults",
    "ResponseFacts",
    "new_entry",
]
