"""Whether each device takes its records, for logs, ``sys/health`` and metrics. No values, only kinds of trouble."""

import logging
from dataclasses import dataclass

log = logging.getLogger("broker.audit")


@dataclass(slots=True)
class DeviceHealth:
    """One device. ``last_error`` is the device's own word (``ENOSPC: ...``); ``replaced`` counts files found deleted or moved away."""

    path: str
    type: str
    healthy: bool = True
    failures: int = 0
    replaced: int = 0
    last_error: str = ""

    def succeeded(self) -> None:
        """The device took a line."""
        if not self.healthy:
            self.healthy = True
            log.warning("audit_device_recovered", extra={"device": self.path, "failures": self.failures})

    def failed(self, error: str) -> None:
        """The device refused a line, or was too slow. Logged when trouble begins or changes, not at every line."""
        self.failures += 1
        if self.healthy or error != self.last_error:
            log.error("audit_device_failed", extra={"device": self.path, "error": error})
        self.healthy = False
        self.last_error = error

    def began_chain(self, writer: str) -> None:
        """A chain begins. The operational log thus knows every writer, should all its lines vanish from the file."""
        log.info("audit_chain_started", extra={"device": self.path, "writer": writer})

    def found_replaced(self) -> None:
        """The file was deleted or moved away, and a new one begun."""
        self.replaced += 1
        log.warning("audit_file_replaced", extra={"device": self.path})
