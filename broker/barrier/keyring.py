"""The keyring: the numbered keys ("terms") that tenant keys are derived from.

The newest term encrypts, every term decrypts, so rotation costs one record and interrupts nobody. A ``Keyring``
is a value: each change makes a new one, which is stored (wrapped by the root key) before anybody uses it.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from msgspec.structs import replace

from broker.barrier import encoding, envelope
from broker.plugin.errors import InvalidRequest, Tampered

Random = Callable[[int], bytes]
"""Returns that many bytes from a cryptographic source, as ``os.urandom`` does."""

PURPOSE: Final = "core/keyring"
MIN_OPERATIONS: Final = 1_000_000
MAX_OPERATIONS: Final = 3_865_470_566
"""As in Vault: 90% of 2**32, the bound of NIST SP 800-38D section 8.3 for random nonces."""
DEFAULT_OPERATIONS: Final = 2**31
DEFAULT_INTERVAL: Final = timedelta(days=90)
MIN_INTERVAL: Final = timedelta(hours=24)


class RotateConfig(msgspec.Struct, frozen=True):
    """When the keyring rotates on its own: after so many encryptions or so many seconds (0: never by age)."""

    enabled: bool = True
    max_operations: int = DEFAULT_OPERATIONS
    interval_seconds: int = int(DEFAULT_INTERVAL.total_seconds())

    def checked(self) -> "RotateConfig":
        """Return itself. Raises: InvalidRequest naming the limit."""
        if not MIN_OPERATIONS <= self.max_operations <= MAX_OPERATIONS:
            raise InvalidRequest(f"max_operations must be in the range [{MIN_OPERATIONS},{MAX_OPERATIONS}]")
        if self.interval_seconds and self.interval_seconds < MIN_INTERVAL.total_seconds():
            raise InvalidRequest("interval must be greater or equal to 24h0m0s")
        return self


class TermInfo(msgspec.Struct, frozen=True):
    """What ``sys/key-status`` tells about the active term; ``encryptions`` is an upper bound."""

    term: int
    install_time: datetime
    encryptions: int


class _Term(msgspec.Struct, frozen=True):
    term: int
    key: bytes
    install_time: datetime
    encryptions: int = 0

    def __repr__(self) -> str:
        return f"<term {self.term}>"


class Keyring(msgspec.Struct, frozen=True):
    """Terms 1..n, the last one active; the root tenant's secret; and the rotation settings.

    Stored as JSON inside an envelope under the root key, so whoever lacks that key learns nothing but its size.
    """

    v: int
    terms: tuple[_Term, ...]
    root_secret: bytes
    rotation: RotateConfig = RotateConfig()

    def __repr__(self) -> str:
        return f"<keyring, active term {self.active}>"

    @classmethod
    def create(cls, now: datetime, random: Random) -> "Keyring":
        """Make the first keyring, with term 1."""
        first = _Term(1, random(envelope.KEY_BYTES), now)
        return cls(1, (first,), random(envelope.KEY_BYTES))

    @property
    def active(self) -> int:
        """The term that encrypts."""
        return self.terms[-1].term

    def info(self) -> TermInfo:
        """Describe the active term."""
        last = self.terms[-1]
        return TermInfo(last.term, last.install_time, last.encryptions)

    def key(self, term: int) -> bytes | None:
        """Return the key of ``term``, or ``None`` if this keyring lacks it."""
        return self.terms[term - 1].key if 0 < term <= len(self.terms) else None

    def add_term(self, now: datetime, random: Random) -> "Keyring":
        """Return a keyring with one more term, now the active one."""
        new = _Term(self.active + 1, random(envelope.KEY_BYTES), now)
        return replace(self, terms=(*self.terms, new))

    def reserve(self, count: int) -> "Keyring":
        """Count ``count`` encryptions under the active term before they happen.

        A crash then loses part of a reservation; the count never falls behind what was really done.
        """
        last = self.terms[-1]
        counted = replace(last, encryptions=last.encryptions + count)
        return replace(self, terms=(*self.terms[:-1], counted))

    def with_rotation(self, config: RotateConfig) -> "Keyring":
        """Return a keyring that rotates as ``config`` says. Raises: InvalidRequest."""
        return replace(self, rotation=config.checked())

    def due(self, now: datetime) -> str | None:
        """Return why it is time to rotate, or ``None``.

        The operations limit holds even where automatic rotation is disabled: past it, AES-GCM is no longer safe.
        """
        last, config = self.terms[-1], self.rotation
        limit = config.max_operations if config.enabled else MAX_OPERATIONS
        if last.encryptions >= limit:
            return "operations"
        age = now - last.install_time
        if config.enabled and config.interval_seconds and age >= timedelta(seconds=config.interval_seconds):
            return "interval"
        return None

    def encode(self) -> bytes:
        """Return the keyring in clear, as JSON: only ever on its way into ``wrap``."""
        return encoding.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> "Keyring":
        """Read ``encode``'s bytes. Raises: ConfigError for a newer format; Tampered for anything else."""
        keyring = encoding.decode(cls, data, PURPOSE)
        if not keyring.terms or [t.term for t in keyring.terms] != list(range(1, len(keyring.terms) + 1)):
            raise Tampered(f"stored entry at {PURPOSE!r} is malformed")
        return keyring

    def wrap(self, root_key: bytes) -> bytes:
        """Encrypt under the root key."""
        return envelope.wrap(root_key, self.encode(), PURPOSE)

    @classmethod
    def unwrap(cls, root_key: bytes, sealed: bytes) -> "Keyring":
        """Undo ``wrap``. Raises: Tampered if the root key is another one or a bit has changed."""
        return cls.decode(envelope.unwrap(root_key, sealed, PURPOSE))


def utc_now() -> datetime:
    """Return the time as the keyring stores it."""
    return datetime.now(UTC)
