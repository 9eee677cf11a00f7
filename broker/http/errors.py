"""The only module that knows both worlds: which HTTP status each of our errors becomes."""

from broker.plugin.errors import (
    AuditFailed,
    BrokerError,
    InsufficientStorage,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    Sealed,
    Tampered,
    TooLarge,
    Unavailable,
    UnsupportedMediaType,
    UnsupportedOperation,
    UnsupportedPath,
)


class PreconditionFailed(BrokerError):
    """The request lacks what this listener asks of every request; the message names it."""


class TookTooLong(Unavailable):
    """The request was cancelled at the listener's ``max_request_duration``."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"the request took longer than max_request_duration ({seconds:g}s) and was cancelled; "
            "a write already handed to the storage may have taken effect"
        )


STATUS_BY_ERROR: dict[type[BrokerError], int] = {
    InvalidRequest: 400,  # Conflict too: the field's clients expect 400 for a failed check-and-set, not 409.
    PermissionDenied: 403,
    NotFound: 404,
    UnsupportedPath: 404,
    UnsupportedOperation: 405,
    PreconditionFailed: 412,
    TooLarge: 413,
    UnsupportedMediaType: 415,
    QuotaExceeded: 429,
    AuditFailed: 500,
    Tampered: 500,
    BrokerError: 500,
    Sealed: 503,
    Unavailable: 503,
    InsufficientStorage: 507,
}


def status_of(error: BrokerError) -> int:
    """Return the status of an error: its own class's, or its nearest ancestor's."""
    return next(STATUS_BY_ERROR[kind] for kind in type(error).__mro__ if kind in STATUS_BY_ERROR)
