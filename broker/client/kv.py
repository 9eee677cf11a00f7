"""Finding a KV engine's mount and version, so that callers need not know where ``data/`` goes."""

from dataclasses import dataclass
from typing import Any

from broker.client.client import Client
from broker.client.errors import ApiError


@dataclass(frozen=True, slots=True)
class KvMount:
    """A KV engine: ``path`` is its mount with a trailing slash, ``version`` is 1 or 2."""

    path: str
    version: int

    def join(self, kind: str, path: str) -> str:
        """Where ``path`` lives for one kind of record.

        >>> KvMount("secret/", 2).join("data", "secret/app/db")
        'secret/data/app/db'
        >>> KvMount("kv/", 1).join("data", "kv/app/db")
        'kv/app/db'
        """
        rest = self.below(path)
        return f"{self.path}{rest}" if self.version == 1 else f"{self.path}{kind}/{rest}".rstrip("/")

    def below(self, path: str) -> str:
        """The part of ``path`` below the mount; the mount may be spelled with its namespace in front."""
        if path.rstrip("/") == self.path.rstrip("/"):
            return ""
        mount = self.path
        while mount and not path.startswith(mount):
            mount = mount.partition("/")[2]
        return path.removeprefix(mount)


def find_mount(client: Client, path: str) -> KvMount:
    """Ask which mount serves ``path``.

    Servers too old to know the question hold version 1 only. Raises: ApiError, among them 403 where the token may
    use nothing below the mount.
    """
    try:
        with client.unwrapped():
            data: dict[str, Any] = client.request("GET", f"sys/internal/ui/mounts/{path}").data
    except ApiError as error:
        if error.status == 404:
            return KvMount("", 1)
        raise
    options = data.get("options") or {}
    return KvMount(str(data.get("path") or ""), 2 if str(options.get("version")) == "2" else 1)
