"""``sys/rotate*`` and ``sys/key-status``: new keys while the node serves.

Source: Vault's ``sys/rotate`` and ``sys/key-status`` API documentation; ``sys/rotate/progress`` is ours.
"""

from dataclasses import dataclass
from datetime import timedelta
from os import urandom
from typing import Annotated, Any

from msgspec.structs import replace

from broker.barrier.authority import KeyRefused
from broker.barrier.keyring import PURPOSE as KEYRING
from broker.barrier.keyring import Keyring
from broker.barrier.records import ROOT_KEY, SEAL_CONFIG
from broker.barrier.rotate import rotate_root
from broker.core import reencrypt
from broker.core.system.ceremony import NEXT_ROOT_KEY, SEAL_KEY, at_root, authority_of, settle_root_key
from broker.core.system.parts import SystemBase
from broker.plugin.context import Context
from broker.plugin.errors import Conflict, InvalidRequest, Sealed
from broker.plugin.fields import Field, Nothing
from broker.plugin.paths import Operation, Path
from broker.plugin.secret import Secret

ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Rotation:
    enabled: Annotated[bool | None, Field("Rotate without being told to.")] = None
    max_operations: Annotated[int | None, Field("Encryptions under one key before the next.")] = None
    interval: Annotated[timedelta | None, Field("Age of a key before the next; 0: any age.", minimum=0)] = (
        None
    )


async def _keyring(system: SystemBase) -> Keyring:
    """Return the keyring in force, another worker's rotation included. Raises: Sealed."""
    await system.parts.seal_state.reload_keyring()
    keyring = system.parts.seal_state.keyring()
    if keyring is None:
        raise Sealed
    return keyring


async def read_key_status(system: SystemBase, ctx: Context, args: Nothing) -> dict[str, Any]:
    info = (await _keyring(system)).info()
    return {"term": info.term, "install_time": info.install_time, "encryptions": info.encryptions}


async def rotate(system: SystemBase, ctx: Context, args: Nothing) -> None:
    """Add a key. Everything written from now on is under it; what is there is rewritten in the background."""
    await system.parts.seal_state.rotate()


async def read_config(system: SystemBase, ctx: Context, args: Nothing) -> dict[str, Any]:
    config = (await _keyring(system)).rotation
    return {
        "enabled": config.enabled,
        "max_operations": config.max_operations,
        "interval": go_duration(config.interval_seconds) if config.interval_seconds else 0,
    }


async def write_config(system: SystemBase, ctx: Context, args: Rotation) -> None:
    changes: dict[str, Any] = {
        name: value
        for name, value in (("enabled", args.enabled), ("max_operations", args.max_operations))
        if value is not None
    }
    if args.interval is not None:
        changes["interval_seconds"] = int(args.interval.total_seconds())
    await system.parts.seal_state.change_keyring(
        lambda ring: ring.with_rotation(replace(ring.rotation, **changes))
    )


def go_duration(seconds: int) -> str:
    """Return a duration as Go writes it.

    >>> go_duration(90 * 86400)
    '2160h0m0s'
    """
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s" if minutes else f"{rest}s"


async def read_progress(system: SystemBase, ctx: Context, args: Nothing) -> dict[str, Any]:
    """Tell how far the rewriting under the newest key has come, over all namespaces."""
    keyring = await _keyring(system)
    passes = [
        (tenant, await reencrypt.progress(tenant, keyring))
        async for tenant in system.parts.runtime().tenants.walk()
    ]
    return {
        "term": keyring.active,
        "install_time": keyring.info().install_time,
        "finished": all(one.finished for _, one in passes),
        "entries_checked": sum(one.checked for _, one in passes),
        "entries_rewritten": sum(one.rewritten for _, one in passes),
        "entries_refused": sum(one.refused for _, one in passes),
        "namespaces": len(passes),
        "namespaces_finished": sum(one.finished for _, one in passes),
        "unfinished": [tenant.info.path for tenant, one in passes if not one.finished][:100],
    }


async def rotate_root_key(system: SystemBase, ctx: Context, args: Nothing) -> None:
    """Make a new root key. The shares stay valid: they wrap the new one. Nothing served is interrupted."""
    at_root(ctx)
    state = system.parts.seal_state
    for _ in range(ATTEMPTS):
        authority, revisions = await authority_of(system.parts)
        keyring = Keyring.unwrap(authority.root_key.reveal(), authority.records.keyring.wrapped)
        held = state.node.read_ceremony(SEAL_KEY)
        try:
            rotated = await rotate_root(
                authority, keyring, None if held is None else Secret(held), random=urandom
            )
        except KeyRefused:
            state.node.write_ceremony(SEAL_KEY, None)
            raise InvalidRequest("this node does not hold the seal key in force; rekey instead") from None
        expects = {path: revisions[path] for path in (SEAL_CONFIG, ROOT_KEY, KEYRING)}
        # A worker that dies after the commit leaves the key here, and the others take it over.
        state.node.write_ceremony(NEXT_ROOT_KEY, rotated.root_key.reveal())
        if await state.write_raw(rotated.writes, expects=expects):
            await settle_root_key(state)
            return
    raise Conflict("the keyring was being changed all the time; try again")


_ROTATE = Operation(Nothing, None, calls=rotate, sudo=True, root_only=True)
_READ_CONFIG = Operation(Nothing, dict, calls=read_config, root_only=True)
_WRITE_CONFIG = Operation(Rotation, None, calls=write_config, root_only=True)
_CONFIG = "When the keyring rotates on its own."

PATHS = (
    Path(
        "key-status",
        "The key that encrypts now.",
        read=Operation(Nothing, dict, calls=read_key_status, root_only=True, mirror=True),
    ),
    Path("rotate", "Add a key to the keyring.", update=_ROTATE),
    Path("rotate/keyring", "Add a key to the keyring.", update=_ROTATE),
    Path("rotate/config", _CONFIG, read=_READ_CONFIG, update=_WRITE_CONFIG),
    Path("rotate/keyring/config", _CONFIG, read=_READ_CONFIG, update=_WRITE_CONFIG),
    Path(
        "rotate/progress",
        "How far the rewriting of older entries under the newest key has come.",
        read=Operation(Nothing, dict, calls=read_progress, root_only=True),
    ),
    Path(
        "rotate/root",
        "Make a new root key; the shares stay valid.",
        update=Operation(Nothing, None, calls=rotate_root_key, sudo=True, root_only=True),
    ),
)
