"""``sys/plugins/catalog``: what is installed. Plugins come by ``pip`` and are never registered over the API.

Source: Vault's ``sys/plugins/catalog`` API documentation; ``storage``, ``seal`` and ``audit`` are kinds of ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from broker.core.plugins import Plugin
from broker.core.system.parts import SystemBase
from broker.plugin.context import Context
from broker.plugin.errors import NotFound
from broker.plugin.fields import Field, Nothing
from broker.plugin.listings import listing
from broker.plugin.paths import Operation, Path

KINDS = ("auth", "secret", "database", "storage", "seal", "audit")
Kind = Annotated[str, Field("Kind of plugin.", choices=KINDS)]


@dataclass(frozen=True, slots=True)
class OfKind:
    type: Kind


@dataclass(frozen=True, slots=True)
class Named:
    type: Kind
    name: Annotated[str, Field("Name of the plugin.", max_length=256)]
    version: Annotated[str, Field("Its version.", max_length=64)] = ""


def _names(plugins: Sequence[Plugin], kind: str) -> list[str]:
    # One name may be on offer in several versions (KV 1 and 2).
    return sorted({plugin.name for plugin in plugins if plugin.kind == kind})


def _brief(plugin: Plugin) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "builtin": plugin.builtin,
        "name": plugin.name,
        "package": plugin.package,
        "summary": plugin.summary,
        "type": plugin.kind,
        "version": plugin.label,
    }
    return {**shown, "deprecation_status": "supported"} if plugin.builtin else shown


def _distinct(plugins: Sequence[Plugin]) -> list[Plugin]:
    found = {(plugin.kind, plugin.name): plugin for plugin in reversed(plugins)}
    return [found[key] for key in sorted(found)]


async def catalog(system: SystemBase, ctx: Context, args: Nothing) -> dict[str, Any]:
    plugins = system.parts.catalog.plugins
    data: dict[str, Any] = {kind: _names(plugins, kind) for kind in KINDS}
    data["detailed"] = [_brief(plugin) for plugin in _distinct(plugins)]
    return data


async def listed(system: SystemBase, ctx: Context, args: OfKind) -> dict[str, Any]:
    return listing(_names(system.parts.catalog.plugins, args.type))


async def read(system: SystemBase, ctx: Context, args: Named) -> dict[str, Any]:
    for plugin in system.parts.catalog.plugins:
        if (plugin.kind, plugin.name) == (args.type, args.name):
            return {"args": None, "command": "", "sha256": "", **_brief(plugin)}
    raise NotFound


PATHS = (
    Path(
        "plugins/catalog",
        "All plugins, by kind.",
        read=Operation(Nothing, dict, calls=catalog),
    ),
    Path(
        "plugins/catalog/{type}",
        "The names of the plugins of one kind: auth, secret, database, storage, seal or audit.",
        list=Operation(OfKind, dict, calls=listed, sudo=True, raises=(NotFound,)),
    ),
    Path(
        "plugins/catalog/{type}/{name}",
        "One plugin: its version and the package it came with.",
        read=Operation(Named, dict, calls=read, sudo=True, raises=(NotFound,)),
    ),
)
