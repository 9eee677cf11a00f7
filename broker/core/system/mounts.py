"""``sys/mounts`` and ``sys/auth``: enable, tune, list and disable engines and auth methods.

Source: Vault's ``sys/mounts`` and ``sys/auth`` API documentation.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from broker.core.ending import end_mount
from broker.core.routing import ALIASES, storage_prefix
from broker.core.system import mount_table as t
from broker.core.system.parts import SystemBase
from broker.core.tenants import new_mount
from broker.plugin.context import Context, Mount, MountConfig
from broker.plugin.errors import InvalidRequest
from broker.plugin.fields import Field, Json, Nothing
from broker.plugin.messages import Response
from broker.plugin.paths import Operation, Path
from broker.storage.due import mark_due

MountPath = Annotated[str, Field("Path of the mount.", max_length=t.MAX_PATH)]


@dataclass(frozen=True, slots=True)
class AtPath:
    path: MountPath


@dataclass(frozen=True, slots=True)
class Enable:
    path: MountPath
    type: Annotated[str, Field("Type of engine or auth method.", max_length=128)] = ""
    description: Annotated[str, Field("For people.", max_length=4096)] = ""
    config: Annotated[dict[str, Json] | None, Field("Settings, as for tune.")] = None
    options: Annotated[dict[str, str] | None, Field("Options of the type, such as version.")] = None
    local: Annotated[bool, Field("Not replicated.")] = False
    seal_wrap: Annotated[bool, Field("Wrap stored entries with the seal too.")] = False
    external_entropy_access: Annotated[bool, Field("Use the seal's randomness.")] = False
    plugin_name: Annotated[str, Field("Old name of type.", deprecated=True)] = ""
    plugin_version: Annotated[str, Field("Version of the plugin.")] = ""


@dataclass(frozen=True, slots=True)
class Tune:
    path: MountPath
    default_lease_ttl: Annotated[Json | None, Field("Default TTL of leases and tokens, or system.")] = None
    max_lease_ttl: Annotated[Json | None, Field("Longest TTL, or system.")] = None
    description: Annotated[str | None, Field("For people.", max_length=4096)] = None
    audit_non_hmac_request_keys: Annotated[list[str] | None, Field("Keys audited in clear.")] = None
    audit_non_hmac_response_keys: Annotated[list[str] | None, Field("Keys audited in clear.")] = None
    listing_visibility: Annotated[str | None, Field("hidden or unauth.")] = None
    passthrough_request_headers: Annotated[list[str] | None, Field("Headers the engine sees.")] = None
    allowed_response_headers: Annotated[list[str] | None, Field("Headers the engine may set.")] = None
    token_type: Annotated[str | None, Field("Type of tokens that logins make.")] = None
    options: Annotated[dict[str, str] | None, Field("Options of the type, such as version.")] = None
    user_lockout_config: Annotated[dict[str, Json] | None, Field("Lockout after failed logins.")] = None
    plugin_version: Annotated[str | None, Field("Version of the plugin.")] = None
    force_no_cache: Annotated[bool | None, Field("Accepted; caches here are exact.")] = None


_SETTINGS = frozenset(Tune.__slots__) - {"path", "options", "description"}


def _settings(config: dict[str, Any] | None) -> dict[str, Any]:
    """Read the ``config`` of an enable by the rules of tune."""
    if not config:
        return {}
    known = {name: value for name, value in config.items() if name in _SETTINGS}
    for name in config:
        if name not in _SETTINGS and name not in ("plugin_name", "options"):
            raise InvalidRequest(f'unknown field "config.{name[:64]}"')
    return _changes(TUNE_BIND({"path": ""}, known))


def _given(args: Tune) -> set[str]:
    return {name for name in Tune.__slots__ if name != "path" and getattr(args, name) is not None}


def _changes(args: Tune) -> dict[str, Any]:
    changes: dict[str, Any] = {name: getattr(args, name) for name in _SETTINGS}
    for name in ("default_lease_ttl", "max_lease_ttl"):
        changes[name] = t.lifetime(name, changes[name])
    return {name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()}


def _make(kind: str) -> tuple[Any, ...]:
    """Return the handlers of one table: ``secret`` below ``mounts/``, ``auth`` below ``auth/``."""
    noun = "secret engine mount" if kind == "secret" else "auth engine"

    async def listed(system: SystemBase, ctx: Context, args: Nothing) -> Response:
        table = await t.load_table(ctx.transaction)
        shown = {mount.path: t.describe(mount) for mount in table.mounts if mount.table == kind}
        return Response(data=dict(sorted(shown.items())), mirror=True)

    async def read(system: SystemBase, ctx: Context, args: AtPath) -> Response:
        table = await t.load_table(ctx.transaction)
        mount = t.find(table, kind, args.path)
        if mount is None and kind == "secret" and args.path.startswith("auth/"):
            mount = t.find(table, "auth", args.path.removeprefix("auth/"))
        if mount is None:
            raise InvalidRequest(f"No {noun} at {t.normal(args.path)}")
        return Response(data=t.describe(mount), mirror=True)

    async def enable(system: SystemBase, ctx: Context, args: Enable) -> None:
        name = args.type or args.plugin_name
        if not name:
            raise InvalidRequest("backend type must be specified as a string")
        table = await t.load_table(ctx.transaction)
        options = dict(args.options or {})
        if name in ALIASES:
            name, options["version"] = ALIASES[name]
        await t.check_free(ctx.transaction, table, kind, args.path)
        offered = system.parts.registry.find(kind, name, options)
        if offered.singleton:
            raise InvalidRequest(f'mount type of "{name}" is not mountable')
        config = t.tuned(MountConfig(), _settings(args.config), system.parts.settings, table=kind)
        mount = new_mount(
            t.normal(args.path),
            name,
            table=kind,
            description=args.description,
            options=options,
            config=config,
            local=args.local,
            seal_wrap=args.seal_wrap,
            external_entropy_access=args.external_entropy_access,
        )
        t.save_table(ctx.transaction, (*table.mounts, mount))

    async def disable(system: SystemBase, ctx: Context, args: AtPath) -> None:
        table = await t.load_table(ctx.transaction)
        wanted = t.normal(args.path)
        if kind == "secret" and any(wanted.startswith(path) for path in t.PROTECTED):
            raise InvalidRequest(f'cannot unmount "{wanted}"')
        if kind == "auth" and wanted == "token/":
            raise InvalidRequest("token credential backend cannot be disabled")
        mount = t.find(table, kind, args.path)
        if mount is None:
            return
        t.save_table(ctx.transaction, t.replaced(table, mount, None))
        # The path is free at once. What was handed out there is revoked, then what it stored is cleared, in steps.
        await end_mount(system.parts.tenant(ctx), ctx.transaction, mount, ctx.now)

    async def read_tune(system: SystemBase, ctx: Context, args: AtPath) -> Response:
        mount = t.find(await t.load_table(ctx.transaction), kind, args.path)
        if mount is None:
            raise InvalidRequest(f'cannot fetch sysview for path "{_shown(kind, args.path)}"')
        shown = t.describe_config(mount)
        shown["default_lease_ttl"] = mount.config.default_lease_ttl or system.parts.settings.default_lease_ttl
        shown["max_lease_ttl"] = mount.config.max_lease_ttl or system.parts.settings.max_lease_ttl
        shown["description"] = mount.description
        shown.update(shown.pop("user_lockout_config", {}))
        if mount.options:
            shown["options"] = mount.options
        return Response(data=shown, mirror=True)

    async def tune(system: SystemBase, ctx: Context, args: Tune) -> Response | None:
        table = await t.load_table(ctx.transaction)
        mount = t.find(table, kind, args.path)
        if mount is None:
            raise InvalidRequest(f'no mount entry found for path "{_shown(kind, args.path)}"')
        t.check_tunable(mount, _given(args))
        new = msgspec.structs.replace(
            mount,
            config=t.tuned(
                mount.config, {**_changes(args), "force_no_cache": None}, system.parts.settings, table=kind
            ),
            description=mount.description if args.description is None else args.description,
            options={**(mount.options or {}), **args.options} if args.options else mount.options,
        )
        upgraded = await _upgrade(system, ctx, mount, new)
        t.save_table(ctx.transaction, t.replaced(table, mount, new))
        return upgraded

    return listed, read, enable, disable, read_tune, tune


def _shown(kind: str, path: str) -> str:
    return t.normal(path) if kind == "secret" else "auth/" + t.normal(path)


async def _upgrade(system: SystemBase, ctx: Context, old: Mount, new: Mount) -> Response | None:
    """Turn a KV mount of version 1 into version 2, as tuning ``options.version`` asks. There is no way back."""
    before, after = ((mount.options or {}).get("version", "") for mount in (old, new))
    if before == after or (before in ("", "1") and after in ("", "1")):
        return None
    if old.type != "kv":
        return None
    if before == "2":
        raise InvalidRequest("cannot downgrade mount from version 2")
    engine = system.parts.registry.find(new.table, new.type, new.options).build(new)
    view = ctx.transaction.view(storage_prefix(new))
    if await engine.adopt(view, now=ctx.now):
        mark_due(ctx.transaction, ctx.now, "adopt", new.uuid)
    return Response(
        warnings=[
            "Upgrading mount from version 1 to version 2. This mount will be unavailable for a brief period and will resume service shortly."
        ]
    )


def _rows(kind: str, root: str, what: str) -> tuple[Path, ...]:
    listed, read, enable, disable, read_tune, tune = _make(kind)
    sudo = kind == "auth"
    return (
        Path(root, f"List {what}.", read=Operation(Nothing, dict, calls=listed)),
        Path(
            root + "/{path:path}",
            f"Enable, read or disable one of the {what}.",
            read=Operation(AtPath, dict, calls=read, sudo=sudo),
            update=Operation(Enable, None, calls=enable, sudo=sudo),
            delete=Operation(AtPath, None, calls=disable, sudo=sudo),
        ),
        Path(
            root + "/{path:path}/tune",
            f"Read or change settings of one of the {what}.",
            read=Operation(AtPath, dict, calls=read_tune, sudo=sudo),
            update=Operation(Tune, None, calls=tune, sudo=sudo),
        ),
    )


def _auth_tune_through_mounts() -> Path:
    """``sys/mounts/auth/PATH/tune``: another spelling that the ``bao`` CLI uses."""
    _, _, _, _, read_tune, tune = _make("auth")
    return Path(
        "mounts/auth/{path:path}/tune",
        "Read or change settings of an auth method.",
        read=Operation(AtPath, dict, calls=read_tune),
        update=Operation(Tune, None, calls=tune),
    )


TUNE_BIND = Operation(Tune, None, calls=_make("secret")[-1]).bind

PATHS = (
    *_rows("secret", "mounts", "secrets engines"),
    *_rows("auth", "auth", "auth methods"),
    _auth_tune_through_mounts(),
)
