"""Settings of the edge that are stored behind the barrier: known while the node is unsealed, in every worker at once."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from broker.core.runtime import Runtime
from broker.core.system.cors import RECORD as CORS
from broker.core.system.cors import STANDARD, CorsRecord
from broker.core.system.ui_headers import RECORD as UI_HEADERS
from broker.core.system.ui_headers import UiHeaders
from broker.http.cors import Cors
from broker.http.headers import Headers

R = TypeVar("R")


class StoredSettings:
    """``enter`` gives the worker's unsealed parts, or ``None``. Each look reads a cached record, exact on the node."""

    def __init__(self, enter: Callable[[], Awaitable[Runtime | None]]) -> None:
        self._enter = enter
        self._record: CorsRecord | None = None
        self._cors: Cors | None = None

    async def cors(self) -> Cors | None:
        """Return whose pages may call, ``None`` where that is not limited: no browser will let them, either."""
        record = await self._load(CORS, CorsRecord)
        if record is not self._record:
            self._record = record
            self._cors = None if record is None else Cors(record.origins, (*STANDARD, *record.headers))
        return self._cors

    async def ui_headers(self) -> Headers:
        """Return the headers that an operator added to the web UI's pages."""
        record = await self._load(UI_HEADERS, UiHeaders)
        if record is None:
            return ()
        return tuple(
            (name.lower().encode(), value.encode("latin-1"))
            for name, values in record.headers.items()
            for value in values
        )

    async def _load(self, path: str, kind: type[R]) -> R | None:
        runtime: Any = await self._enter()
        if runtime is None:
            return None
        tx = await runtime.tenants.root.store.begin()
        found: R | None = await tx.load(path, kind)
        return found
