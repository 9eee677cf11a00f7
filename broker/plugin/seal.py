"""The contract of a seal: what protects the root key while the node is down.

A seal either needs *shares* (people bring parts of a key at each start) or is *auto*: a service or device holds the
key, the node unseals alone, and people keep *recovery shares* only to authorise ceremonies.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from broker.plugin.secret import Secret


class SealKind(StrEnum):
    """Where the key that wraps the root key comes from; the value is told in no answer."""

    SHARES = "shares"
    AUTO = "auto"


class Seal(ABC):
    """Wraps the 32-byte root key so that it may lie in storage that nobody trusts.

    ``key`` is the 32-byte key that the shares restored, for a seal of kind ``SHARES``, and ``None`` for ``AUTO``.
    Implementations keep no copy of it and log neither argument.
    """

    kind: SealKind

    @abstractmethod
    async def wrap(self, root_key: Secret[bytes], key: Secret[bytes] | None) -> bytes:
        """Encrypt and authenticate the root key. Raises: Unavailable if a service does not answer."""

    @abstractmethod
    async def unwrap(self, wrapped: bytes, key: Secret[bytes] | None) -> Secret[bytes]:
        """Undo ``wrap``.

        Raises: Tampered if the key is another one or a bit has changed (always detected, never a wrong root key);
        Unavailable if a service does not answer. During a migration a seal is also asked about what another one
        wrapped, perhaps one of its own type with another key: that is Tampered.
        """

    def stale(self, wrapped: bytes) -> bool:
        """Tell whether ``wrap`` would use another key by now than the one that wrapped this.

        The server then wraps anew what it has opened, so that the older key may be taken away.
        """
        return False

    async def close(self) -> None:  # noqa: B027 - most seals hold nothing open
        """Release what the seal holds open. Closing twice is allowed."""


@dataclass(frozen=True, slots=True)
class SealType:
    """What a seal plugin registers: the name used in ``seal "NAME" {}`` and told as ``type`` by seal-status.

    ``build`` receives the stanza's settings, once, before the server forks: it may read local files, opens no
    connection, and raises WrongSetting for a setting that it does not know or cannot use. ``environment`` names, for
    settings that may come from there, the variables to look in; the first that is set counts, before the stanza.
    """

    name: str
    build: Callable[[Mapping[str, object]], Seal]
    summary: str = ""
    environment: Mapping[str, Sequence[str]] = field(default_factory=dict)
