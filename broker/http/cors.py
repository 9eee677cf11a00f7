"""Pages of other origins that may call the API from a browser: a list, compared exactly.

Source: the Fetch standard; answers as the peer's ``sys/config/cors`` gives them.
"""

from collections.abc import Sequence

METHODS = ("DELETE", "GET", "OPTIONS", "PATCH", "POST", "PUT", "LIST", "SCAN")
HEADERS = (
    "Content-Type",
    "Authorization",
    "X-Vault-Token",
    "X-Vault-Namespace",
    "X-Vault-Request",
    "X-Vault-Wrap-TTL",
    "X-Requested-With",
)
MAX_AGE_SECONDS = 300

HeaderList = list[tuple[bytes, bytes]]


class Cors:
    """Who may, and which headers they may send besides the API's own. ``*`` as an origin allows all."""

    def __init__(self, origins: Sequence[str], headers: Sequence[str] = ()) -> None:
        self._any = "*" in origins
        self._origins = frozenset(origin.encode("latin-1", "replace") for origin in origins)
        self._preflight: HeaderList = [
            (b"access-control-allow-methods", ",".join(METHODS).encode()),
            (b"access-control-allow-headers", ",".join((*HEADERS, *headers)).encode("latin-1")),
            (b"access-control-max-age", b"%d" % MAX_AGE_SECONDS),
        ]

    def allows(self, origin: bytes) -> bool:
        """Tell whether pages of an origin may call. Only the very same text counts: no prefixes, no patterns."""
        return self._any or origin in self._origins

    def granted(self, origin: bytes) -> HeaderList:
        """Return what lets the browser show an answer to a page of an allowed origin."""
        return [(b"access-control-allow-origin", origin), (b"vary", b"Origin")]

    def preflight(self, method: bytes) -> tuple[int, HeaderList]:
        """Return status and headers for the browser's question whether it may send ``method``."""
        return (200, self._preflight) if method.decode("latin-1") in METHODS else (405, [])
