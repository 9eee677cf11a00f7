"""What a handler is given for one request, and nothing more: its own storage, its caller, the clock, randomness."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol, TypeVar

import msgspec

from broker.plugin.secret import Secret
from broker.plugin.verbs import Verb

T = TypeVar("T")
R = TypeVar("R", bound=msgspec.Struct)
INTENT_GRACE = timedelta(minutes=10)
"""How long a request that intended something may take before the intent is undone."""


class View(Protocol):
    """A transaction's window on the paths below a prefix. Reads see this request's own writes.

    Nothing is stored until the request commits, and then all of it or none. Records are frozen ``msgspec.Struct``
    classes whose first field is a format number (``v: int = 1``); a loaded record may be shared, so never alter it.
    ``get`` and ``load`` raise ``Tampered`` for an entry that does not open; ``delete`` and ``discard`` remove it all the same.
    """

    @property
    def prefix(self) -> str: ...

    async def get(self, path: str) -> bytes | None: ...

    async def load(self, path: str, kind: type[R]) -> R | None: ...

    def put(self, path: str, value: bytes) -> None: ...

    def save(self, path: str, record: msgspec.Struct) -> None: ...

    def delete(self, path: str) -> None: ...

    async def discard(self, path: str) -> None:
        """As ``delete``, where ``load`` raised ``Tampered``: the commit rests on the entry not being replaced meanwhile."""

    async def list(self, prefix: str = "", *, after: str = "", limit: int | None = None) -> Sequence[str]:
        """Direct children below ``prefix`` in order, folders ending in ``/``."""

    async def scan(self, prefix: str = "", *, after: str = "", limit: int | None = None) -> Sequence[str]:
        """All paths below ``prefix``, relative to it, in order."""

    def view(self, prefix: str) -> "View": ...


@dataclass(frozen=True, slots=True)
class NamespaceInfo:
    """A tenant: ``path`` is empty for the root, else ends in ``/``; ``id`` is short and goes into tokens."""

    id: str
    uuid: str
    path: str
    custom_metadata: Mapping[str, str] = field(default_factory=dict)


class MountConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an operator tunes on a mount. TTLs in seconds, zero for the system's value."""

    default_lease_ttl: int = 0
    max_lease_ttl: int = 0
    force_no_cache: bool = False
    audit_non_hmac_request_keys: tuple[str, ...] = ()
    audit_non_hmac_response_keys: tuple[str, ...] = ()
    listing_visibility: str = ""
    passthrough_request_headers: tuple[str, ...] = ()
    allowed_response_headers: tuple[str, ...] = ()
    token_type: str = ""
    user_lockout_config: dict[str, Any] | None = None
    plugin_version: str = ""


class Mount(msgspec.Struct, frozen=True, omit_defaults=True):
    """An engine or auth method at a path (ending in ``/``); ``table`` is ``secret`` or ``auth``."""

    path: str
    type: str
    uuid: str
    accessor: str
    table: str = "secret"
    description: str = ""
    local: bool = False
    seal_wrap: bool = False
    external_entropy_access: bool = False
    options: dict[str, str] | None = None
    config: MountConfig = MountConfig()
    tainted: bool = False

    @property
    def prefix(self) -> str:
        """Where its paths begin in the namespace: ``secret/`` or ``auth/userpass/``."""
        return f"auth/{self.path}" if self.table == "auth" else self.path


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. ``accessor`` refers to the token and cannot act as it; empty on unauthenticated paths."""

    accessor: str = ""
    display_name: str = ""
    policies: tuple[str, ...] = ()
    entity_id: str = ""
    token_hash: str = ""
    """The token's storage name: keyed hash, the same on all workers, never the token."""
    root: bool = False
    namespace: NamespaceInfo | None = None
    """Where the token was made."""


@dataclass(frozen=True, slots=True)
class Connection:
    """The socket's truth about the peer; proxy headers are folded in only from listed proxies."""

    remote_address: str = ""
    remote_port: int = 0
    scheme: str = "http"
    client_cert_chain: tuple[bytes, ...] = ()
    """DER, leaf first, as offered: requested but not judged by the listener."""


class Verdict(Protocol):
    """What policies say about one operation on one path."""

    @property
    def allowed(self) -> bool: ...


class Judge(Protocol):
    """A caller's policies."""

    def check(self, verb: Verb, path: str, *, now: float) -> Verdict: ...


class Intend(Protocol):
    """``await ctx.intend(kind, internal)``: write an outside effect down, durably, before it is made."""

    async def __call__(
        self, kind: str, internal: Mapping[str, Any], *, grace: timedelta = INTENT_GRACE
    ) -> None: ...


async def _no_intend(kind: str, internal: Mapping[str, Any], *, grace: timedelta = INTENT_GRACE) -> None:
    raise RuntimeError("nothing can be intended here: the request has no storage")


def _no_schedule(when: float, name: str) -> None:
    raise RuntimeError("nothing can be scheduled here: the request has no storage")


class Context:
    """One request in the hands of a handler."""

    __slots__ = (
        "_random",
        "blocking",
        "caller",
        "connection",
        "default_ttl",
        "headers",
        "intend",
        "judge",
        "lead",
        "max_ttl",
        "mount",
        "namespace",
        "now",
        "path",
        "request_id",
        "schedule",
        "storage",
        "sudo",
        "token",
        "transaction",
        "verb",
        "warnings",
        "wrap_ttl",
    )

    def __init__(
        self,
        *,
        request_id: str,
        verb: Verb,
        path: str,
        namespace: NamespaceInfo,
        mount: Mount,
        caller: Caller,
        connection: Connection,
        headers: Mapping[str, str],
        storage: View,
        transaction: Any,
        now: float,
        random: Callable[[int], bytes],
        blocking: Callable[..., Awaitable[Any]],
        token: Secret[str] | None,
        wrap_ttl: float | None,
    ) -> None:
        self.request_id = request_id
        self.verb = verb
        self.path = path  # below the mount
        self.namespace = namespace
        self.mount = mount
        self.caller = caller
        self.connection = connection
        self.headers = headers  # lower-case names
        self.storage = storage  # this mount's own entries
        self.transaction = transaction  # the whole tenant's: for the core's own engines only
        self.now = now  # Unix seconds, fixed for the request
        self._random = random
        self.blocking = blocking  # await ctx.blocking(function, *args): runs it in a thread
        self.judge: Judge | None = None  # the caller's policies
        self.lead = ""  # what they put before a path of this namespace
        self.token = token
        self.wrap_ttl = wrap_ttl
        self.default_ttl = 0  # seconds: the mount's default lifetime of leases, else the system's
        self.max_ttl = 0  # seconds: the longest, likewise; zero for no limit
        self.schedule: Callable[[float, str], None] = (
            _no_schedule  # ask for engine.wake(ctx, name) at a Unix time
        )
        self.intend: Intend = (
            _no_intend  # before an effect outside: have it undone unless this request commits
        )
        self.sudo = False  # the caller has the sudo capability on this path
        self.warnings: list[str] = []

    def random(self, size: int) -> bytes:
        """Return ``size`` bytes from the kernel's generator."""
        return self._random(size)

    def warn(self, sentence: str) -> None:
        """Tell the caller something beside the answer."""
        self.warnings.append(sentence)

    async def allowed(self, verb: Verb, path: str) -> bool:
        """Tell whether the caller's policies allow ``verb`` on ``path`` (below this mount)."""
        if self.judge is None:
            return False
        return self.judge.check(verb, self.lead + self.mount.prefix + path, now=self.now).allowed
