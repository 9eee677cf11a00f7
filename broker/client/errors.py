"""What a call to the server can come back with instead of an answer."""

from collections.abc import Mapping, Sequence
from typing import Any

from broker.plugin.errors import BrokerError

MAX_RAW_CHARACTERS = 500


class ClientError(BrokerError):
    """Anything that keeps a request from being answered."""


class Unreachable(ClientError):
    """No connection to the server, or none it could be trusted on (TLS). Trying again later may work."""


class RedirectRefused(ClientError):
    """The server pointed to another host; the token does not travel there."""

    def __init__(self, *, address: str, target: str) -> None:
        super().__init__(
            f"{address} redirects to {target}; a token is never sent on to another host. "
            "If you trust it, use it as the address"
        )
        self.target = target


class ApiError(ClientError):
    """The server refused: ``status`` is the HTTP status, ``errors`` its sentences (possibly none).

    ``str()`` reads as the field's own command-line clients print it, so that scripts which search it still match.
    """

    def __init__(
        self,
        status: int,
        errors: Sequence[str],
        *,
        method: str = "",
        url: str = "",
        raw: str = "",
        body: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(*errors, data=body)
        self.status = status
        self.errors = tuple(errors)
        self.method = method
        self.url = url
        self._raw = raw[:MAX_RAW_CHARACTERS]

    def __str__(self) -> str:
        kind = "Raw Message" if self._raw else "Errors"
        detail = self._raw or "\n".join(f"* {error}" for error in self.errors)
        return f"Error making API request.\n\nURL: {self.method} {self.url}\nCode: {self.status}. {kind}:\n\n{detail}"
