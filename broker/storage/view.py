"""A transaction seen from below a prefix."""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec

from .paths import check_prefix

if TYPE_CHECKING:
    from .transaction import Transaction

T = TypeVar("T")
Names: TypeAlias = list[str]


class View:
    """A transaction seen from below a prefix: engines get one and cannot name a path outside it."""

    __slots__ = ("prefix", "transaction")

    def __init__(self, transaction: "Transaction", prefix: str) -> None:
        self.transaction = transaction
        self.prefix = check_prefix(prefix)

    def __repr__(self) -> str:
        return f"View({self.prefix!r})"

    # These hand out the transaction's own coroutine: one less to run on the hottest path.
    def get(self, path: str) -> Coroutine[Any, Any, bytes | None]:
        """As ``Transaction.get``."""
        return self.transaction.get(self.prefix + path)

    def load(self, path: str, kind: type[T]) -> Coroutine[Any, Any, T | None]:
        """As ``Transaction.load``."""
        return self.transaction.load(self.prefix + path, kind)

    def put(self, path: str, value: bytes) -> None:
        """As ``Transaction.put``."""
        self.transaction.put(self.prefix + path, value)

    def save(self, path: str, record: msgspec.Struct) -> None:
        """As ``Transaction.save``."""
        self.transaction.save(self.prefix + path, record)

    def delete(self, path: str) -> None:
        """As ``Transaction.delete``."""
        self.transaction.delete(self.prefix + path)

    def discard(self, path: str) -> Coroutine[Any, Any, None]:
        """As ``Transaction.discard``."""
        return self.transaction.discard(self.prefix + path)

    def list(
        self, prefix: str = "", *, after: str = "", limit: int | None = None
    ) -> Coroutine[Any, Any, Names]:
        """As ``Transaction.list``."""
        return self.transaction.list(self.prefix + prefix, after=after, limit=limit)

    def scan(
        self, prefix: str = "", *, after: str = "", limit: int | None = None
    ) -> Coroutine[Any, Any, Names]:
        """As ``Transaction.scan``."""
        return self.transaction.scan(self.prefix + prefix, after=after, limit=limit)

    def view(self, prefix: str) -> "View":
        """Return a view further below."""
        return View(self.transaction, self.prefix + prefix)

    def revision(self, path: str) -> int | None:
        """As ``Transaction.revision``."""
        return self.transaction.revision(self.prefix + path)

    def on_commit(self, callback: Callable[[], None]) -> None:
        """As ``Transaction.on_commit``."""
        self.transaction.on_commit(callback)
