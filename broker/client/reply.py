"""The server's answer, with the envelope's parts by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, repr=False)
class Reply:
    """One successful answer. ``body`` is the whole JSON object, ``{}`` where the server sent none.

    The ``repr`` names the parts and shows no values: answers carry secrets.
    """

    status: int
    body: Json
    headers: Mapping[str, str]

    def __repr__(self) -> str:
        return f"<Reply {self.status} {sorted(self.body)}>"

    @property
    def data(self) -> Json:
        """The engine's own answer; the body itself where the endpoint has no envelope."""
        if "data" not in self.body and "request_id" not in self.body:
            return self.body
        return self.body.get("data") or {}

    @property
    def auth(self) -> Json | None:
        """What a login or a token creation granted."""
        return self.body.get("auth")

    @property
    def wrap_info(self) -> Json | None:
        """Where the wrapped answer waits."""
        return self.body.get("wrap_info")

    @property
    def warnings(self) -> list[str]:
        """What the server did not quite like."""
        return list(self.body.get("warnings") or [])

    @property
    def keys(self) -> list[str]:
        """The names in the answer to a list or scan."""
        return list(self.data.get("keys") or [])
