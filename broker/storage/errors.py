"""What can go wrong between a request and the store."""

from broker.plugin.errors import BrokerError, Unavailable


class TransactionConflict(Unavailable):
    """Something the transaction read was changed by another before it committed; nothing was applied.

    The handler may be run again on a fresh transaction. ``paths`` names what moved; the message does not,
    because storage paths are not the caller's paths.
    """

    def __init__(self, paths: tuple[str, ...] = ()) -> None:
        super().__init__("the request lost a race with another and was not applied; try again")
        self.paths = paths


class Undecodable(BrokerError):
    """A record is authentic but not of the expected shape, such as one written by a newer version."""

    def __init__(self, path: str, expected: str) -> None:
        super().__init__(f"the record stored at {path} is not a readable {expected}")
        self.path = path
