"""A bounded ring of recent refusals, so that a 403 can be explained later by its ``request_id``."""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from broker.plugin.context import Caller, NamespaceInfo
from broker.plugin.verbs import Verb

KEEP = 64
MAX_PATH = 256
SLOT = "denials"


class Denial(msgspec.Struct, frozen=True):
    """One refusal: who (token's storage name and accessor), where, what."""

    request_id: str
    token: str
    accessor: str
    policies: tuple[str, ...]
    home: str
    namespace: str
    verb: str
    path: str
    sudo: bool = False


class Board(Protocol):
    """The shared page's named blobs."""

    def read_ceremony(self, name: str) -> bytes | None: ...
    def write_ceremony(self, name: str, blob: bytes | None) -> None: ...
    def locked(self) -> Any: ...


_decode = msgspec.json.Decoder(tuple[Denial, ...]).decode


class Denials:
    """The ring, shared by all workers of the node through the node page; nothing of it is stored."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def add(
        self,
        request_id: str,
        caller: Caller,
        namespace: NamespaceInfo,
        verb: Verb,
        path: str,
        *,
        sudo: bool = False,
    ) -> None:
        """Remember a refusal of an authenticated caller; the oldest one leaves."""
        home = caller.namespace.uuid if caller.namespace else ""
        denial = Denial(
            request_id,
            caller.token_hash,
            caller.accessor,
            caller.policies[:16],
            home,
            namespace.uuid,
            verb.value,
            path[:MAX_PATH],
            sudo,
        )
        with self._board.locked():
            ring = [*self._read(), denial][-KEEP:]
            blob = msgspec.json.encode(ring)
            while len(blob) > 30_000 and ring:
                ring = ring[len(ring) // 2 :]
                blob = msgspec.json.encode(ring)
            self._board.write_ceremony(SLOT, blob)

    def find(self, request_id: str) -> Denial | None:
        """Return the refusal of a request, if it is recent."""
        return next((denial for denial in self._read() if denial.request_id == request_id), None)

    def _read(self) -> Sequence[Denial]:
        blob = self._board.read_ceremony(SLOT)
        return _decode(blob) if blob else ()
