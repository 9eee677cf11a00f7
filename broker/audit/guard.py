"""Which files a device enabled over the API may write to: an audit log is a way to write to the server's disk."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from broker.plugin.audit import AuditDeviceType
from broker.plugin.errors import InvalidRequest

NOT_OVER_API = (
    "cannot enable audit device via API; use declarative, config-based audit device management instead"
)


@dataclass(frozen=True, slots=True)
class AuditGuard:
    """``directory`` is the server's ``audit_directory``; ``unsafe`` its ``unsafe_allow_api_audit_creation``."""

    directory: str | None = None
    unsafe: bool = False

    def check(self, kind: AuditDeviceType, options: Mapping[str, str]) -> str | None:
        """Approve a device enabled over the API. Returns the directory it must stay below, ``None`` for anywhere.

        The device opens its file below that directory without following links, so that nothing changed
        after this check leads out.
        Raises: InvalidRequest.
        """
        if self.unsafe:
            return None
        named = [options[name] for name in kind.path_options if options.get(name)]
        if self.directory is None or not named:
            # A device without a file (a socket, say) would let the caller reach the server's network.
            raise InvalidRequest(NOT_OVER_API)
        for path in named:
            self._check_path(path, self.directory)
        return self.directory

    def beneath(self, *, from_config: bool) -> str | None:
        """The directory that bounds a device already in the table. Raises: InvalidRequest if it may run no more."""
        if from_config or self.unsafe:
            return None
        if self.directory is None:
            raise InvalidRequest(NOT_OVER_API)
        return self.directory

    def _check_path(self, path: str, directory: str) -> None:
        """Below the directory as written, and still so once every link is followed."""
        refused = InvalidRequest(f"audit file must lie below the audit_directory {directory}")
        if not path.startswith("/") or "\0" in path or any(part in (".", "..") for part in path.split("/")):
            raise refused
        root, written = Path(directory), Path(path)
        if written == root or not written.is_relative_to(root):
            raise refused
        try:
            inside = written.resolve().is_relative_to(root.resolve())
        except (OSError, RuntimeError):
            inside = False
        if not inside:
            raise refused
