"""What a provider publishes, kept: its discovery document and its keys.

Each worker keeps them per mount and configuration, in memory, so that no tenant sees another's. Times in seconds:

- keys are asked for again once they are ``REFRESH`` old, before the next login is judged (and a little earlier beside it), so
  a key that the provider has withdrawn stops working within that time;
- while the provider cannot be reached, what is known stays good until it is ``STALE`` old, and it is tried every ``RETRY``;
- a token that names an unknown key makes us ask at once, but not more often than every ``FORCED``, and waits for that
  no longer than ``PATIENCE``.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from broker.plugin import BrokerError, InvalidRequest
from broker.plugin.outbound import Answer, fetch_aside, split_url

from .keys import KeySet, keys_from_jwks, keys_from_pem
from .records import Config
from .token import BadToken, parse, verified

log = logging.getLogger("broker.auth.jwt")

REFRESH = 300.0
AHEAD = 60.0
STALE = 3600.0
RETRY = 5.0
FORCED = 10.0
PATIENCE = 3.0
WELL_KNOWN = "/.well-known/openid-configuration"

T = TypeVar("T")


class Unreachable(InvalidRequest):
    """The provider cannot be asked now and nothing known is fresh enough. 400, as Vault answers."""


@dataclass(frozen=True, slots=True)
class Provider:
    """What an identity provider says of itself."""

    issuer: str
    jwks_uri: str
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    userinfo_endpoint: str = ""
    device_authorization_endpoint: str = ""
    token_auth_methods: tuple[str, ...] = ("client_secret_basic",)


class Kept(Generic[T]):
    """A value that is fetched when needed, by one task at a time, and kept as long as the rules above say."""

    def __init__(
        self, fetch: Callable[[], Awaitable[T]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._value: T | None = None
        self._at = float("-inf")
        self._tried = float("-inf")
        self._failure: BrokerError | None = None
        self._task: asyncio.Task[None] | None = None

    async def get(self) -> T:
        """Return the value. Raises: Unreachable."""
        age = self._clock() - self._at
        if self._value is None or age >= REFRESH:
            if self._failure is None or self._clock() - self._tried >= RETRY:
                await asyncio.shield(self._begin())
        elif age >= REFRESH - AHEAD and self._clock() - self._tried >= RETRY:
            self._begin()
        if self._value is None or self._clock() - self._at >= STALE:
            raise Unreachable(str(self._failure or "the provider cannot be reached"))
        return self._value

    async def renew(self) -> None:
        """Fetch anew now, unless that was tried a moment ago; wait for it a little."""
        if self._task is None and self._clock() - self._tried < FORCED:
            return
        await asyncio.wait((self._begin(),), timeout=PATIENCE)

    def _begin(self) -> asyncio.Task[None]:
        if self._task is None:
            self._tried = self._clock()
            self._task = asyncio.create_task(self._run())
        return self._task

    async def _run(self) -> None:
        began = self._clock()
        try:
            self._value = await self._fetch()
            self._at, self._failure = began, None
        except BrokerError as error:
            self._failure = error
            log.warning("jwt.fetch_failed reason=%s", error)
        except Exception as error:
            self._failure = InvalidRequest("the provider's answer cannot be used")
            log.warning("jwt.fetch_failed kind=%s", type(error).__name__)
        finally:
            self._task = None


class Source:
    """Where one configuration's keys come from."""

    def __init__(self, config: Config, clock: Callable[[], float] = time.monotonic) -> None:
        self.config = config
        self._static = keys_from_pem(config.jwt_validation_pubkeys) if config.jwt_validation_pubkeys else None
        self._provider = Kept(self._discover, clock)
        self._keys = Kept(self._load_keys, clock)

    async def provider(self) -> Provider:
        """Return what the provider says of itself. Raises: Unreachable."""
        return await self._provider.get()

    async def keys(self) -> KeySet:
        """Return the keys. Raises: Unreachable."""
        return self._static or await self._keys.get()

    async def renewed(self, key_id: str) -> KeySet:
        """Return the keys after asking anew, if that could bring the one that is missing. Raises: Unreachable."""
        if self._static is None and not (key_id and (await self.keys()).knows(key_id)):
            await self._keys.renew()
        return await self.keys()

    async def claims(self, text: str, algorithms: Collection[str]) -> dict[str, Any]:
        """Return the claims of a token that one of the keys signed. Raises: BadToken, Unreachable."""
        token = parse(text)
        if token.algorithm not in algorithms:
            raise BadToken
        keys = await self.keys()
        claims = verified(token, keys, algorithms)
        if claims is None:
            newer = await self.renewed(token.key_id)
            claims = None if newer is keys else verified(token, newer, algorithms)
        if claims is None:
            raise BadToken
        return claims

    async def check(self) -> None:
        """Ask once, for a configuration that is about to be stored. Raises: BrokerError."""
        if self.config.oidc_discovery_url:
            await self._discover()
        elif self.config.jwks_url:
            await self._load_keys()

    async def ask(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """Send a request to the provider, as the configuration says. Raises: OutboundFailed."""
        ca = self.config.oidc_discovery_ca_pem or self.config.jwks_ca_pem
        failure: BrokerError | None = None
        for name in self.config.override_allowed_server_names or ("",):
            try:
                return await fetch_aside(method, url, headers=headers, body=body, ca_pem=ca, server_name=name)
            except BrokerError as error:
                failure = error
        assert failure is not None
        raise failure

    async def _discover(self) -> Provider:
        issuer = self.config.oidc_discovery_url
        found = json_object(await self.ask("GET", issuer.removesuffix("/") + WELL_KNOWN))
        if found.get("issuer") != issuer:
            raise InvalidRequest("issuer did not match the issuer returned by provider")
        methods = found.get("token_endpoint_auth_methods_supported")
        return Provider(
            issuer=issuer,
            jwks_uri=_endpoint(found, "jwks_uri", issuer),
            authorization_endpoint=_endpoint(found, "authorization_endpoint", issuer),
            token_endpoint=_endpoint(found, "token_endpoint", issuer),
            userinfo_endpoint=_endpoint(found, "userinfo_endpoint", issuer),
            device_authorization_endpoint=_endpoint(found, "device_authorization_endpoint", issuer),
            token_auth_methods=tuple(map(str, methods)) if isinstance(methods, list) else (),
        )

    async def _load_keys(self) -> KeySet:
        url = self.config.jwks_url or (await self.provider()).jwks_uri
        if not url:
            raise InvalidRequest("the provider names no jwks_uri")
        try:
            return keys_from_jwks(json_object(await self.ask("GET", url)))
        except ValueError:
            raise InvalidRequest("the answer is no key set") from None


def json_object(answer: Answer, *, statuses: tuple[int, ...] = (200,)) -> dict[str, Any]:
    """Read a provider's answer. Raises: InvalidRequest, which tells the status and nothing of the body."""
    if answer.status not in statuses:
        raise InvalidRequest(f"the provider answered {answer.status}")
    found = answer.json_object()
    if found is None:
        raise InvalidRequest("the provider's answer is no JSON object")
    return found


def _endpoint(found: Mapping[str, Any], name: str, issuer: str) -> str:
    """Return an address out of the discovery document; a provider at https may name none at http."""
    url = found.get(name)
    if not isinstance(url, str) or not url:
        return ""
    if split_url(url).scheme == "http" and not issuer.startswith("http:"):
        raise InvalidRequest(f"the provider's {name} is not https")
    return url
