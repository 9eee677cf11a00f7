"""The contract of an audit device: it takes finished lines and says whether it has them.

The core builds, hashes and chains each record; a device only moves bytes. It never sees a token or key in clear
unless the operator set ``log_raw``.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from broker.plugin.errors import BrokerError


class DeviceError(BrokerError):
    """The device did not take the line. Names the device's own trouble (an errno name), never the line."""


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """What a device is built from: its own options (those common to all devices are already taken out).

    ``from_config`` is true for devices of the server's configuration file, which may do more than those enabled
    over the API. ``beneath`` is the audit directory below which every file must lie, or ``None`` for anywhere.
    """

    path: str
    options: Mapping[str, str] = field(default_factory=dict)
    from_config: bool = False
    beneath: str | None = None


class AuditDevice(ABC):
    """A place that audit lines go to, owned by one worker process; several workers may share one target."""

    @abstractmethod
    def write(self, line: bytes) -> Awaitable[None] | None:
        """Take one line, newline included.

        ``None`` means accepted now (local devices: no suspension on the request's way). A device that must wait
        returns an awaitable that ends when the line is accepted; the core cuts it off at a deadline.
        Raises: DeviceError if the line is not, or not wholly, written.
        """

    def check(self) -> None:  # noqa: B027 - some have nothing to look at
        """Look whether the target can be there, writing nothing. Asked once, when a server starts whose configuration
        file has the device. Raises: WrongOption.
        """

    def target(self) -> str:
        """Tell two targets apart, such as a file from the one before its rotation; the same in all processes.

        Only devices whose ``write`` returns ``None`` are asked. Not on a request's way.
        """
        return ""

    def stale(self) -> bool:
        """Whether the target was replaced underneath us (rotated, deleted), so that ``reopen`` is due.

        Asked before every line, so it must cost next to nothing.
        """
        return False

    def reopen(self) -> None:  # noqa: B027 - most devices have nothing to reopen
        """Let go of the target and take the one now at the same place (SIGHUP). Raises: DeviceError."""

    def close(self) -> None:  # noqa: B027 - most devices have nothing to close
        """Let go of the target for good. Never raises; may be called twice."""


@dataclass(frozen=True, slots=True)
class AuditDeviceType:
    """A kind of device that an operator may enable.

    ``build`` makes one from its options without touching the target (no I/O); it raises InvalidRequest, best WrongOption,
    for an option it cannot use. ``options`` are the names it knows, ``path_options`` those of them that name a file:
    the core guards these on devices enabled over the API.
    """

    name: str
    build: Callable[[DeviceConfig], AuditDevice]
    summary: str
    options: tuple[str, ...] = ()
    path_options: tuple[str, ...] = ()
