"""What the ``userpass`` method stores, below its mount.

``user/<name>`` UserRecord and ``kinds`` KindsRecord.
"""

import msgspec

from broker.plugin import TokenSettings

USER = "user/"
KINDS = "kinds"


class UserRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A user. ``hash`` tells its own algorithm and cost."""

    hash: str
    v: int = 1
    tokens: TokenSettings = TokenSettings()


class KindsRecord(msgspec.Struct, frozen=True):
    """The kinds of hashes that users here have, or had: a login with a name that is unknown costs what one of them does.

    ``key`` (hex) picks the kind for a name, so that the same name always takes the same time.
    """

    key: str
    kinds: tuple[str, ...]
    v: int = 1
