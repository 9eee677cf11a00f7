"""Finding plugins: installed entry points of the group ``broker.plugins``, built-ins by the same door as everyone's."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points, version
from typing import Any

import pluggy

import broker
from broker.plugin import hookspecs
from broker.plugin.audit import AuditDeviceType
from broker.plugin.engine import AuthMethodType, EngineType
from broker.plugin.errors import ConfigError
from broker.plugin.seal import SealType
from broker.plugin.storage import BackendType


@dataclass(frozen=True, slots=True)
class Plugin:
    """One offer: its kind (``secret``, ``auth``, ``storage``, ``seal``, ``audit``), name, and the package it came from."""

    kind: str
    name: str
    package: str
    version: str
    builtin: bool
    summary: str

    @property
    def label(self) -> str:
        """Its version as clients are shown it: built-ins carry the marker that they look for."""
        return builtin_version() if self.builtin else f"v{self.version}"


def builtin_version() -> str:
    """Return the version of what the broker itself brings."""
    return f"v{broker.__version__}+builtin.broker"


@dataclass(frozen=True, slots=True)
class Catalog:
    """Everything on offer in this process."""

    engines: Sequence[EngineType]
    auth_methods: Sequence[AuthMethodType]
    storage: dict[str, BackendType]
    seals: dict[str, SealType]
    audit: dict[str, AuditDeviceType]
    plugins: tuple[Plugin, ...]


def load_catalog(points: Iterable[EntryPoint] | None = None) -> Catalog:
    """Load every plugin and collect what it registers; done once, before anything is opened.

    Raises: ConfigError naming the plugin that does not load, or both that offer the same name.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    origin: dict[Any, EntryPoint] = {}
    for point in points if points is not None else entry_points(group=hookspecs.ENTRY_POINT_GROUP):
        try:
            module = point.load()
        except Exception as error:
            raise ConfigError(f'plugin "{point.name}" ({point.value}) does not load: {error}') from error
        manager.register(module, name=point.name)
        origin[module] = point
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise ConfigError(f"a plugin implements a hook that does not exist: {error}") from None
    offers: dict[str, list[Any]] = {kind: [] for kind in _HOOKS}
    plugins: list[Plugin] = []
    taken: dict[tuple[str, str, str], str] = {}
    for module, point in origin.items():
        for kind, hook in _HOOKS.items():
            register = getattr(module, hook, None)
            for offer in register() if register is not None else ():
                _claim(taken, kind, offer, point)
                offers[kind].append(offer)
                plugins.append(_describe(kind, offer, point))
    return Catalog(
        engines=offers["secret"],
        auth_methods=offers["auth"],
        storage={offer.name: offer for offer in offers["storage"]},
        seals={offer.name: offer for offer in offers["seal"]},
        audit={offer.name: offer for offer in offers["audit"]},
        plugins=tuple(sorted(plugins, key=lambda plugin: (plugin.kind, plugin.name))),
    )


_HOOKS = {
    "secret": "register_engines",
    "auth": "register_auth_methods",
    "storage": "register_storage",
    "seal": "register_seals",
    "audit": "register_audit_devices",
}


RESERVED = frozenset({"system", "identity"})
"""Engine types that only the core has."""


def _claim(taken: dict[tuple[str, str, str], str], kind: str, offer: Any, point: EntryPoint) -> None:
    if kind in ("secret", "auth") and offer.name in RESERVED:
        raise ConfigError(f'plugin "{point.name}" offers the {kind} type "{offer.name}", which is reserved')
    key = (kind, offer.name, getattr(offer, "version", ""))
    if key in taken:
        raise ConfigError(
            f'plugins "{taken[key]}" and "{point.name}" both offer the {kind} type "{offer.name}"; remove one'
        )
    taken[key] = point.name


def _describe(kind: str, offer: Any, point: EntryPoint) -> Plugin:
    package = point.dist.name if point.dist is not None else point.value.partition(".")[0]
    number = point.dist.version if point.dist is not None else version("broker")
    return Plugin(kind, offer.name, package, number, package == "broker", offer.summary)
