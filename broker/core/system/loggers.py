"""``sys/loggers``: log levels while the server runs, in all workers of the node. Source: Vault's API documentation.

Nothing is stored: a restart brings the configured levels back.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from broker.core.attendance import LEVELS, Attendant
from broker.core.system.parts import SystemBase
from broker.plugin.context import Context
from broker.plugin.errors import InvalidRequest
from broker.plugin.fields import Field, Nothing
from broker.plugin.paths import Operation, Path

Name = Annotated[str, Field("Name of the logger.", max_length=256)]
Level = Annotated[str, Field("trace, debug, info, warn or error.", max_length=64)]


@dataclass(frozen=True, slots=True)
class Named:
    name: Name


@dataclass(frozen=True, slots=True)
class SetAll:
    level: Level = ""


@dataclass(frozen=True, slots=True)
class SetOne:
    name: Name
    level: Level = ""


def _attendant(system: SystemBase) -> Attendant:
    return system.parts.attendant


def _checked(level: str) -> str:
    if not level:
        raise InvalidRequest("level is required")
    if level.lower() not in LEVELS:
        raise InvalidRequest(f"invalid level provided: unknown log level: {level}")
    return level.lower()


def _known(system: SystemBase, name: str) -> None:
    if name not in _attendant(system).levels():
        raise InvalidRequest(f'logger "{name}" not found')


async def read_all(system: SystemBase, ctx: Context, args: Nothing) -> dict[str, Any]:
    return dict(_attendant(system).levels())


async def read_one(system: SystemBase, ctx: Context, args: Named) -> dict[str, Any]:
    return {name: level for name, level in _attendant(system).levels().items() if name == args.name}


async def set_all(system: SystemBase, ctx: Context, args: SetAll) -> None:
    level = _checked(args.level)
    _attendant(system).set_levels(None, level)


async def set_one(system: SystemBase, ctx: Context, args: SetOne) -> None:
    level = _checked(args.level)
    _known(system, args.name)
    _attendant(system).set_levels((args.name,), level)


async def reset_all(system: SystemBase, ctx: Context, args: Nothing) -> None:
    _attendant(system).set_levels(None, None)


async def reset_one(system: SystemBase, ctx: Context, args: Named) -> None:
    _known(system, args.name)
    _attendant(system).set_levels((args.name,), None)


PATHS = (
    Path(
        "loggers",
        "The level of every logger.",
        read=Operation(Nothing, dict, calls=read_all, root_only=True),
        update=Operation(SetAll, None, calls=set_all, root_only=True),
        delete=Operation(Nothing, None, calls=reset_all, root_only=True),
    ),
    Path(
        "loggers/{name:path}",
        "The level of one logger.",
        read=Operation(Named, dict, calls=read_one, root_only=True),
        update=Operation(SetOne, None, calls=set_one, root_only=True),
        delete=Operation(Named, None, calls=reset_one, root_only=True),
    ),
)
