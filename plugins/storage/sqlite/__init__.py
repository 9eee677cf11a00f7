"""Storage in SQLite: one file per tenant, durable by write-ahead log, safe for many workers on one node."""

from collections.abc import Mapping, Sequence

from broker.plugin.errors import WrongSetting
from broker.plugin.hookspecs import hookimpl
from broker.plugin.storage import BackendType

from .backend import SqliteBackend

__all__ = ["SQLITE", "SqliteBackend", "register_storage"]

_SETTINGS = {"path", "migrate", "max_open", "ha_enabled"}


def build(settings: Mapping[str, object]) -> SqliteBackend:
    """Read ``storage "sqlite" { path = DIR }``; also ``migrate`` (false) and ``max_open`` tenants (64)."""
    unknown = sorted(set(settings) - _SETTINGS)
    if unknown:
        raise WrongSetting(
            unknown[0], f"storage sqlite: unknown setting {unknown[0]!r}; expected path, migrate or max_open"
        )
    path = settings.get("path", "")
    if path == "":
        raise WrongSetting(
            "path", "storage sqlite: path is missing; expected the folder to keep the tenants' files in"
        )
    if not isinstance(path, str) or "\0" in path:
        raise WrongSetting("path", "storage sqlite: expected path to be a string, the folder of the files")
    return SqliteBackend(path, migrate=_switch(settings.get("migrate", False)), max_open=_count(settings))


def _switch(value: object) -> bool:
    if value in (True, "true"):
        return True
    if value in (False, "false"):
        return False
    raise WrongSetting("migrate", "storage sqlite: migrate is true or false")


def _count(settings: Mapping[str, object]) -> int:
    text = str(settings.get("max_open", 64))
    if not (text.isascii() and text.isdigit() and 1 <= len(text) <= 6 and int(text) > 0):
        raise WrongSetting("max_open", "storage sqlite: max_open is a number of tenants, 1 or more")
    return int(text)


SQLITE = BackendType("sqlite", build, "One SQLite file per tenant in a folder on this node.")


@hookimpl
def register_storage() -> Sequence[BackendType]:
    return [SQLITE]
