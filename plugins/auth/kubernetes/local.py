"""The CA and the token that Kubernetes puts into every pod: used where none are configured and Broker runs in one."""

from pathlib import Path

FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
MAX_BYTES = 1 << 18


def read(name: str, folder: Path | None = None) -> str:
    """Return ``ca.crt`` or ``token``, empty if it is not there. Read anew each time: Kubernetes replaces them."""
    try:
        with ((folder or FOLDER) / name).open(encoding="utf-8") as file:
            return file.read(MAX_BYTES).strip()
    except (OSError, ValueError):
        return ""
