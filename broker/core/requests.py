"""A request as the pipeline sees it: decoded once at the edge, never rewritten after."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from broker.plugin.context import Connection
from broker.plugin.secret import Secret
from broker.plugin.verbs import Verb

NOWHERE = Connection()


@dataclass(slots=True)
class Request:
    """One call. ``path`` has no leading slash and is below ``namespace`` (empty, or ending in ``/``).

    ``data`` is the body, or the query of a GET, LIST, SCAN or DELETE. ``wrap_ttl`` in seconds. ``headers`` have
    lower-case names. ``help`` asks for the description of the path instead of running it.
    """

    id: str
    verb: Verb
    path: str
    namespace: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    token: Secret[str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    connection: Connection = NOWHERE
    wrap_ttl: float | None = None
    answer_headers: tuple[tuple[bytes, bytes], ...] = ()  # what quotas add to the answer, whatever it is
    counted: bool = False  # against its rate limit; a request that runs again is still one
    spent: str = ""  # storage name of the limited token this request has already taken a use of
