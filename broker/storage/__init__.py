"""Between the core and a storage plugin: transactions, the decrypted cache, group commit."""

from .errors import TransactionConflict, Undecodable
from .ports import ChangeSignal, Codec, LocalSignal
from .tenant import TenantStore
from .transaction import Transaction
from .view import View
from .writer import Writer

__all__ = [
    "ChangeSignal",
    "Codec",
    "LocalSignal",
    "TenantStore",
    "Transaction",
    "TransactionConflict",
    "Undecodable",
    "View",
    "Writer",
]
