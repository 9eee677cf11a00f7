"""What can go wrong, in our words. Only ``broker.http.errors`` knows which status each becomes.

``str(error)`` may reach the caller: it names paths, fields, versions and limits, never values.
"""

from collections.abc import Mapping
from typing import Any


class BrokerError(Exception):
    """Anything a caller is told about. Everything else is a plain internal error.

    ``warnings`` reach the caller beside the error. ``data``, where set, is answered along with the status
    (a deleted KV version answers 404 together with its metadata).
    """

    warnings: tuple[str, ...] = ()

    def __init__(self, *messages: str, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(*messages)
        self.messages = messages
        self.data = data

    def __str__(self) -> str:
        return "; ".join(self.messages)


class InvalidRequest(BrokerError):
    """The request cannot be carried out as written; the message says what was expected."""


class WrongOption(InvalidRequest):
    """A mistake in one option that a caller or the configuration may give; the latter is told with its file and line."""

    def __init__(self, setting: str, message: str) -> None:
        super().__init__(message)
        self.setting = setting


class UnsupportedPath(InvalidRequest):
    """No handler at this path."""

    def __init__(self, message: str = "unsupported path") -> None:
        super().__init__(message)


class UnsupportedOperation(BrokerError):
    """The path exists, but not for this verb."""

    def __init__(self, message: str = "unsupported operation") -> None:
        super().__init__(message)


class TooLarge(InvalidRequest):
    """The request is over a size limit; the message names the limit."""


class UnsupportedMediaType(InvalidRequest):
    """The body's type is not one the operation takes; the message names the one it does."""


class Conflict(InvalidRequest):
    """The state is not what the caller assumed, as in a failed check-and-set."""


class PermissionDenied(BrokerError):
    """The caller may not do this. Terse on purpose: the denial is explained by ``sys/policies/explain``."""

    def __init__(self, message: str = "permission denied") -> None:
        super().__init__(message)


class NotFound(BrokerError):
    """Nothing is stored here. Without a message the answer is an empty error list, as clients expect."""


class QuotaExceeded(BrokerError):
    """A rate, count or size quota is used up; the message says which and when to come back."""


class Sealed(BrokerError):
    """The node holds no keys; only health, seal status, init and unseal are served."""

    def __init__(self, message: str = "Vault is sealed") -> None:
        super().__init__(message)


class NotInitialized(Sealed):
    """The store has never been initialised."""

    def __init__(self, message: str = "server is not yet initialized") -> None:
        super().__init__(message)


class Unavailable(BrokerError):
    """A part that is needed does not answer now; trying again later may work."""


class InsufficientStorage(Unavailable):
    """The storage backend has no room left; reads go on, writes fail until there is."""

    def __init__(self, message: str = "insufficient storage: the storage backend is full") -> None:
        super().__init__(message)


class AuditFailed(BrokerError):
    """No audit device accepted the record, so the request has no effect and shows nothing."""

    def __init__(self, message: str = "no audit device accepted the record") -> None:
        super().__init__(message)


class Tampered(BrokerError):
    """A stored entry does not open: changed, moved, or written under another key. Names the path only."""


class ConfigError(BrokerError):
    """A configuration mistake: one line with file, line number and what was expected."""


class WrongSetting(ConfigError):
    """A mistake in one setting of a plugin's stanza. The server puts the setting's file and line before it."""

    def __init__(self, setting: str, message: str) -> None:
        super().__init__(message)
        self.setting = setting
