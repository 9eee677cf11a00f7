"""Keeping a token or a lease alive: renew in time, log in again before the end, and say what happened.

    def log_in(client: Client) -> Reply:
        return client.write("auth/approle/login", {"role_id": ..., "secret_id": ...})

    with Client() as client:
        watcher = LifetimeWatcher(client, obtain=log_in, told=lambda change: print(change.kind))
        watcher.run(threading.Event())

The rules are the field's (Vault's lifetime watcher): renew at two thirds of the lifetime, a little earlier at random so
that a fleet started at once does not renew at once; when a renewal gives much less than it did at first, a maximum is
near and renewing no longer helps.
"""

import math
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from broker.client.client import Client
from broker.client.errors import ApiError, ClientError
from broker.client.reply import Json, Reply
from broker.plugin.secret import Secret

RENEW_AT = 2 / 3
"""The part of a lifetime after which it is renewed."""
JITTER = 0.1
"""The part of a wait that chance may take off it."""
NEAR_END = 0.5
"""A renewal that gives less than this part of the first lifetime means that a maximum is near."""
FIRST_RETRY_SECONDS = 0.5
MAX_RETRY_SECONDS = 30.0
AGAIN = frozenset((408, 412, 425, 429))
"""Refusals that pass: the same request may succeed later, as with every status from 500 up."""


class Kind(StrEnum):
    """What happened to what is watched."""

    OBTAINED = "obtained"
    RENEWED = "renewed"
    FAILING = "failing"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Change:
    """Something happened. ``expires_at`` is Unix time, infinite for what never expires.

    ``secret`` is the answer that holds the new token or leased secret, for ``obtained`` only. ``reason`` says why it is
    ``failing`` or has ``ended``, in the server's words where it has any. ``warnings`` are the server's: a lifetime that
    was cut short says so here.
    """

    kind: Kind
    expires_at: float
    secret: Reply | None = None
    reason: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class _Life:
    """One secret's life. ``ends`` is of the monotonic clock: setting the wall clock changes nothing here."""

    lease_id: str
    renewable: bool
    first_seconds: float
    ends: float
    last: bool = False
    """Renewing no longer helps: a maximum is near, or the server refuses for good."""


class _Passing(Exception):
    """Something failed that may work later."""


class LifetimeWatcher:
    """Watches one token (the client's own) or one lease, until told to stop or until it has ended for good.

    ``secret`` is the answer of a login, a token creation or a read of a leased secret; without it ``obtain`` is asked
    at once. ``obtain`` logs in again, or reads the secret again: called when renewing no longer helps. An ``obtain``
    that answers with a token makes it the client's. Without ``obtain`` the watcher ends with the secret.
    The client is the watcher's own from now on: clients are not shared between threads.
    """

    def __init__(
        self,
        client: Client,
        secret: Reply | None = None,
        *,
        obtain: Callable[[Client], Reply] | None = None,
        told: Callable[[Change], None] = lambda change: None,
        increment_seconds: int = 0,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        if secret is None and obtain is None:
            raise ValueError("a watcher needs a secret, or a way to obtain one")
        self._client = client
        self._secret = secret
        self._obtain = obtain
        self._told = told
        self._increment = increment_seconds
        self._clock = clock
        self._wall = wall
        self._chance = chance

    def run(self, stop: threading.Event) -> None:
        """Watch until ``stop`` is set or the secret has ended. Blocks: run it in a thread where the program goes on."""
        life = None if self._secret is None else self._begin(self._secret)
        tries = 0
        while not stop.wait(self._pause(life, tries)):
            try:
                life = self._step(life)
            except _Passing as passing:
                tries += 1
                self._told(Change(Kind.FAILING, self._wall() + self._left(life), reason=str(passing)))
                continue
            tries = 0
            if life is None:
                self._told(Change(Kind.ENDED, self._wall(), reason="its lifetime is over"))
                return

    def _pause(self, life: _Life | None, tries: int) -> float | None:
        """Return how many seconds to wait before the next step; ``None`` for ever."""
        left = self._left(life)
        if tries:
            longest = min(FIRST_RETRY_SECONDS * 2.0 ** min(tries - 1, 10), MAX_RETRY_SECONDS)
            pause: float = longest * (1 - self._chance() / 2)
            return min(pause, left) if left else pause
        if left == math.inf:
            return None
        if life is not None and life.last and self._obtain is None:
            return left  # nothing can be done but tell when it is over
        return left * RENEW_AT * (1 - JITTER * self._chance())

    def _step(self, life: _Life | None) -> _Life | None:
        """Renew, or obtain anew. Returns what is watched now, ``None`` if it is over. Raises: _Passing."""
        living = life is not None and self._clock() < life.ends
        if life is not None and living and life.renewable and not life.last:
            self._renew(life)
            if life.renewable:
                return life
        if self._obtain is not None:
            return self._begin(self._login())
        if life is not None and living:
            life.last = True
            return life
        return None

    def _renew(self, life: _Life) -> None:
        """Renew; a refusal for good makes this the secret's ``last`` stretch. Raises: _Passing."""
        body: Json = {"increment": self._increment} if self._increment else {}
        path = "auth/token/renew-self"
        if life.lease_id:
            path, body = "sys/leases/renew", {"lease_id": life.lease_id, **body}
        try:
            reply = self._client.write(path, body)
        except ClientError as error:
            if not isinstance(error, ApiError) or error.status >= 500 or error.status in AGAIN:
                raise _Passing(_sentence(error)) from None
            life.renewable, life.last = False, True
            return
        renewed = self._life_of(reply)
        life.ends, life.renewable = renewed.ends, renewed.renewable
        wanted = float(self._increment) or life.first_seconds
        life.last = self._left(life) < NEAR_END * wanted
        self._told(Change(Kind.RENEWED, self._wall() + self._left(life), warnings=tuple(reply.warnings)))

    def _login(self) -> Reply:
        assert self._obtain is not None
        try:
            return self._obtain(self._client)
        except ClientError as error:
            raise _Passing(_sentence(error)) from None

    def _begin(self, reply: Reply) -> _Life:
        life = self._life_of(reply)
        if reply.auth and reply.auth.get("client_token"):
            self._client.token = Secret(str(reply.auth["client_token"]))
        self._told(
            Change(Kind.OBTAINED, self._wall() + self._left(life), reply, warnings=tuple(reply.warnings))
        )
        return life

    def _life_of(self, reply: Reply) -> _Life:
        about = reply.auth or reply.body
        seconds = float(about.get("lease_duration") or 0)
        forever = not seconds and not reply.body.get("lease_id")
        ends = math.inf if forever else self._clock() + seconds
        return _Life(str(reply.body.get("lease_id") or ""), bool(about.get("renewable")), seconds, ends)

    def _left(self, life: _Life | None) -> float:
        return 0.0 if life is None else max(life.ends - self._clock(), 0.0)


def _sentence(error: ClientError) -> str:
    if isinstance(error, ApiError):
        return f"{error.status}: " + ("; ".join(error.errors) or "refused")
    return str(error)
