"""Services of the core that an auth method may ask for by name (``EngineType.needs``)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from broker.plugin.context import Context
from broker.plugin.messages import Auth
from broker.plugin.secret import Secret


@dataclass(frozen=True, slots=True)
class RoleTerms:
    """What a token role says of the tokens made through it. Durations zero and counts zero say nothing.

    ``type`` is ``service`` or ``batch``, or ``default-service`` or ``default-batch`` for what is made of a request that
    does not say. A glob has ``*`` for any text.
    """

    name: str
    allowed_policies: tuple[str, ...] = ()
    allowed_policies_glob: tuple[str, ...] = ()
    disallowed_policies: tuple[str, ...] = ()
    disallowed_policies_glob: tuple[str, ...] = ()
    allowed_entity_aliases: tuple[str, ...] = ()
    orphan: bool = False
    renewable: bool = True
    path_suffix: str = ""
    period: timedelta = timedelta(0)
    explicit_max_ttl: timedelta = timedelta(0)
    num_uses: int = 0
    no_default_policy: bool = False
    type: str = "default-service"
    bound_cidrs: tuple[str, ...] = ()
    strictly_bind_ip: bool = False


@dataclass(frozen=True, slots=True)
class NewToken:
    """What a caller asks for in a new token. ``policies`` empty inherits the parent's, or takes the role's."""

    policies: tuple[str, ...] = ()
    id: Secret[str] | None = None
    meta: Mapping[str, str] = field(default_factory=dict)
    no_parent: bool = False
    no_default_policy: bool = False
    renewable: bool = True
    ttl: timedelta | None = None
    explicit_max_ttl: timedelta = timedelta(0)
    period: timedelta = timedelta(0)
    display_name: str = ""
    num_uses: int = 0
    type: str = ""
    entity_alias: str = ""
    role: RoleTerms | None = None


class Lockout(Protocol):
    """Counts failed logins at the request's mount and locks names out (service ``lockout``).

    ``name`` is the alias that the login would have, ``source`` narrows it where a name is no secret: then only logins
    from that source are locked out. As tuned for the mount (``user_lockout_config``) or the server.
    """

    async def guard(self, ctx: Context, name: str, source: str = "") -> None:
        """Let a login go on. Raises: PermissionDenied while the name is locked out."""

    async def failed(self, ctx: Context, name: str, source: str = "", *, real: bool = False) -> None:
        """Count a failure, at once and durably: the request itself is about to fail and stores nothing.

        ``real``: somebody has this name for sure. What is stored of other names is bounded; who asks sees no difference.
        """

    async def succeeded(self, ctx: Context, name: str, source: str = "") -> None:
        """Forget the failures, in the request's transaction."""


class Passwords(Protocol):
    """Passwords by the password policies of the mount's tenant (service ``passwords``)."""

    async def generate(self, policy: str) -> Secret[str]:
        """Return a password as the policy of this name says. Raises: InvalidRequest if there is no such policy."""


class Logins(Protocol):
    """Ends the tokens of logins at the request's mount (service ``logins``)."""

    async def end(self, ctx: Context, path: str) -> None:
        """Revoke every token whose login stands below ``path`` (see ``Auth.below``), with the request's transaction.

        Where they are many, the first go at once and the steward goes on with the rest. Batch tokens are stored nowhere
        and stay. What keeps new logins out is for the method to store in the same transaction.
        """


class Once(Protocol):
    """What is good for a number of uses only (service ``once``)."""

    def counts(self, issued_at: float) -> bool:
        """Tell whether every use of something issued at that time (Unix seconds) is known.

        It is not if the store was put back since to an earlier state, which forgot uses: then it is good for none.
        """


class Tokens(Protocol):
    """The token store of the request's tenant (service ``tokens``).

    Methods take the request's context and join its transaction. ``None`` stands for the calling token.
    """

    async def create(self, ctx: Context, wanted: NewToken, *, orphan: bool = False) -> Auth:
        """Mint a child of the caller, or an orphan. Raises: InvalidRequest in Vault's words; PermissionDenied."""

    async def lookup(self, ctx: Context, token: Secret[str] | None) -> Mapping[str, Any]:
        """Describe a token. Raises: PermissionDenied for one that is unknown or dead."""

    async def lookup_accessor(self, ctx: Context, accessor: str) -> Mapping[str, Any]:
        """Describe the token an accessor refers to, without its id. Raises: InvalidRequest."""

    async def dies_with(
        self,
        ctx: Context,
        token: Secret[str] | None,
        accessor: str,
        *,
        after: str = "",
        limit: int | None = None,
    ) -> Mapping[str, Any]:
        """Return a page of the children and leases that die with a token; another's than the caller's needs sudo.

        ``accessor`` empty: go by ``token``. Raises: PermissionDenied; InvalidRequest.
        """

    async def renew(self, ctx: Context, token: Secret[str] | None, increment: timedelta) -> Auth:
        """Extend a token's life. Raises: InvalidRequest if it is unknown, not renewable, or at its end."""

    async def renew_accessor(self, ctx: Context, accessor: str, increment: timedelta) -> Auth:
        """Extend the life of the token an accessor refers to; the answer does not show the token."""

    async def revoke(self, ctx: Context, token: Secret[str] | None) -> bool:
        """Revoke a token and all below it. Returns whether it was there."""

    async def revoke_accessor(self, ctx: Context, accessor: str) -> bool:
        """Revoke the token an accessor refers to, and all below it. Returns whether it was there."""

    async def revoke_orphan(self, ctx: Context, token: Secret[str]) -> bool:
        """Revoke a token alone; its children live on as orphans. Returns whether it was there."""

    def max_ttl(self, ctx: Context) -> timedelta:
        """Return how long a token made at the request's mount may live at most."""

    async def tidy(self, ctx: Context) -> None:
        """Begin to look for what dead tokens left behind; the steward does the work, in steps."""

    async def accessors(self, ctx: Context, *, after: str = "", limit: int | None = None) -> list[str]:
        """List the accessors of the tenant's tokens."""
