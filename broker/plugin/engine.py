"""What a plugin offers: secrets engines and auth methods, registered by type, built once per mount and worker."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar

from broker.plugin.context import Context, Mount, View
from broker.plugin.messages import Auth
from broker.plugin.paths import Path


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as its engine sees it again: what ``Leased`` said, and its times in Unix seconds."""

    id: str
    kind: str
    internal: Mapping[str, Any] = field(repr=False)
    issued_at: float = 0
    expires_at: float = 0


@dataclass(frozen=True, slots=True)
class Extension:
    """What a renewal may give. Durations; zero for the mount's value."""

    ttl: timedelta = timedelta(0)
    max_ttl: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Login:
    """A login as its method sees it again when the token is to be renewed: what its ``Auth`` said."""

    alias: str
    policies: tuple[str, ...]
    metadata: Mapping[str, str]
    internal: Mapping[str, Any] = field(repr=False)


class Engine:
    """A secrets engine: a table of paths and the handlers it names.

    One instance serves one mount in one worker, for many requests at once: keep state in ``ctx.storage``, not on ``self``.
    """

    PATHS: ClassVar[Sequence[Path]] = ()

    def __init__(self, mount: Mount) -> None:
        self.mount = mount

    async def adopt(self, storage: View, *, now: float) -> bool:
        """Take over a bounded batch of what another version of this type stored at the mount.

        Called in the transaction that changes the mount's version, and again until it returns ``False``.
        """
        return False

    async def renew_lease(self, ctx: Context, lease: Lease, increment: timedelta) -> Extension:
        """Extend what a lease stands for, at its target if need be. Raises: BrokerError to refuse."""
        return Extension()

    async def revoke_lease(self, ctx: Context, lease: Lease) -> None:
        """End what a lease stands for. Called again, later and later, until it returns: "already gone" is success."""

    async def wake(self, ctx: Context, name: str) -> None:
        """Do what ``ctx.schedule(when, name)`` asked for, in a transaction of its own.

        Called once it is due, by one node of the cluster, and again if it fails. There is no caller: ``ctx.caller`` is empty.
        """


class AuthMethod(Engine):
    """An auth method: an engine below ``auth/`` whose handlers may return ``Auth``."""

    async def renew_login(self, ctx: Context, login: Login) -> Auth | None:
        """Judge the renewal of a token that this method made, before it is renewed.

        Raises: BrokerError to refuse (the user is gone, the role has other policies now). The ``ttl``, ``max_ttl`` and
        ``period`` of an ``Auth`` returned replace the token's; ``None`` leaves them.
        """
        return None

    def role_of(self, path: str, data: Mapping[str, Any]) -> str:
        """Return the role that a login at ``path`` (below the mount) names, for quotas by role; empty if it names none."""
        return ""

    async def find_role(self, storage: View, path: str, data: Mapping[str, Any]) -> str:
        """Return the same where a login says its role in other words than its name: look it up, and nothing else.

        Called with what any stranger sends, before the login itself, but only where a quota of the mount names a role.
        """
        return self.role_of(path, data)


@dataclass(frozen=True, slots=True)
class EngineType:
    """What ``register_engines`` returns: the mount type's name and how to build one for a mount.

    ``singleton`` types exist once per namespace and cannot be mounted by
    hand. ``needs`` names services of the core (built-in methods only), passed to ``build`` by keyword.
    Several types may share a name and differ in ``version``: the mount's option of that name picks one.
    """

    name: str
    build: Callable[..., Engine]
    summary: str = ""
    singleton: bool = False
    needs: tuple[str, ...] = ()
    version: str = ""


@dataclass(frozen=True, slots=True)
class AuthMethodType(EngineType):
    """What ``register_auth_methods`` returns."""
