"""Roles: written whole at ``role/{role_name}``, or one setting at a time below it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, make_dataclass
from ipaddress import ip_interface
from typing import Any, get_type_hints

import msgspec

from broker.plugin import (
    AuthMethod,
    Context,
    InvalidRequest,
    NotFound,
    Operation,
    Page,
    Path,
    Response,
    Tampered,
    TokenSettings,
    UnsupportedPath,
    listing,
)

from . import paths as p
from . import store
from .names import role_name
from .records import ROLE, RoleRecord

OLD_LIST = 'The "bound_cidr_list" field is deprecated and will be removed. Please use "secret_id_bound_cidrs" instead.'


async def load(ctx: Context, name: str) -> tuple[str, RoleRecord | None]:
    """Return a role's one name, and the role if it is there."""
    canonical = role_name(name)
    return canonical, await ctx.storage.load(ROLE + canonical, RoleRecord)


async def needed(ctx: Context, name: str) -> RoleRecord:
    """Return a role. Raises: InvalidRequest."""
    canonical, role = await load(ctx, name)
    if role is None:
        raise InvalidRequest(f'role "{canonical}" does not exist')
    return role


def networks(texts: Sequence[str], what: str = "CIDR blocks") -> tuple[str, ...]:
    """Return networks as given. Raises: InvalidRequest for what is none, a bare address included."""
    for text in texts:
        try:
            ip_interface(text)
        except ValueError:
            good = False
        else:
            good = "/" in text and "%" not in text
        if not good:
            raise InvalidRequest(f'failed to validate {what}: invalid CIDR address: "{text[:64]}"')
    return tuple(texts)


def changed(role: RoleRecord, args: p.WriteRole) -> RoleRecord:
    """Return a role with what ``args`` gives put in. Raises: InvalidRequest."""
    if args.secret_id_num_uses is not None and args.secret_id_num_uses < 0:
        raise InvalidRequest("secret_id_num_uses cannot be negative")
    if args.role_id == "":
        raise InvalidRequest("invalid role_id supplied, or failed to generate a role_id")
    given = args.secret_id_bound_cidrs if args.secret_id_bound_cidrs is not None else args.bound_cidr_list
    new = {
        "role_id": args.role_id,
        "bind_secret_id": args.bind_secret_id,
        "secret_id_bound_cidrs": None if given is None else networks(given),
        "secret_id_num_uses": args.secret_id_num_uses,
        "secret_id_ttl": None if args.secret_id_ttl is None else args.secret_id_ttl.total_seconds(),
        "local_secret_ids": args.local_secret_ids,
        "tokens": role.tokens.changed(args),
    }
    return checked(
        msgspec.structs.replace(role, **{name: value for name, value in new.items() if value is not None})
    )


def checked(role: RoleRecord) -> RoleRecord:
    """Return the role, if something ties a login to it. Raises: InvalidRequest."""
    if not (role.bind_secret_id or role.secret_id_bound_cidrs or role.tokens.bound_cidrs):
        raise InvalidRequest("at least one constraint should be enabled on the role")
    return role


async def keep(ctx: Context, name: str, role: RoleRecord, before: RoleRecord | None) -> None:
    if not await store.name_role(ctx, name, role, before):
        raise InvalidRequest("role_id already in use")


async def write_role(method: AuthMethod, ctx: Context, args: p.WriteRole) -> None:
    """Make a role, or change what is given of one."""
    name, known = await load(ctx, args.role_name)
    if known is not None and args.local_secret_ids is not None:
        raise InvalidRequest("local_secret_ids can only be modified during role creation")
    role = known or RoleRecord(store.new_id(ctx), ctx.random(12).hex())
    await keep(ctx, name, changed(role, args), known)


async def role_exists(method: AuthMethod, ctx: Context, params: Mapping[str, str]) -> bool:
    return (await load(ctx, params["role_name"]))[1] is not None


async def read_role(method: AuthMethod, ctx: Context, args: p.OneRole) -> dict[str, Any]:
    """Return a role."""
    _, role = await load(ctx, args.role_name)
    if role is None:
        raise NotFound
    return role.shown()


async def delete_role(method: AuthMethod, ctx: Context, args: p.OneRole) -> None:
    """Remove a role and its secret ids. Tokens it gave live on until they are to be renewed."""
    try:
        name, role = await load(ctx, args.role_name)
    except Tampered:
        # Its id and its secret ids, which only the role tells, stay behind and lead nowhere.
        await ctx.storage.discard(ROLE + role_name(args.role_name))
        return
    if role is not None:
        await store.drop_role(ctx, name, role)


async def list_roles(method: AuthMethod, ctx: Context, args: Page) -> dict[str, Any]:
    """Return the names of all roles."""
    return listing(await ctx.storage.list(ROLE, after=args.after.lower(), limit=args.size))


async def read_role_id(method: AuthMethod, ctx: Context, args: p.OneRole) -> dict[str, Any]:
    """Return what logins name the role by."""
    _, role = await load(ctx, args.role_name)
    if role is None:
        raise NotFound
    return {"role_id": role.role_id}


async def read_local_secret_ids(method: AuthMethod, ctx: Context, args: p.OneRole) -> dict[str, Any]:
    """Return whether the role's secret ids are kept off replicas; that is settled when it is made."""
    _, role = await load(ctx, args.role_name)
    if role is None:
        raise NotFound
    return {"local_secret_ids": role.local_secret_ids}


async def set_role_id(method: AuthMethod, ctx: Context, args: p.SetRoleId) -> None:
    """Name the role by another id."""
    name, role = await load(ctx, args.role_name)
    if role is None:
        raise UnsupportedPath
    if not args.role_id:
        raise InvalidRequest("missing role_id")
    await keep(ctx, name, msgspec.structs.replace(role, role_id=args.role_id), role)


@dataclass(frozen=True, slots=True)
class Setting:
    """A role's setting with a path of its own: the fields it takes and shows, the main one first."""

    template: str
    names: tuple[str, ...]
    about: str
    optional: bool = False


SETTINGS = (
    Setting("policies", ("token_policies", "policies"), "Policies of the role's tokens."),
    Setting("bind-secret-id", ("bind_secret_id",), "Whether a login needs a secret id."),
    Setting("secret-id-bound-cidrs", ("secret_id_bound_cidrs",), "Networks that may log in.", optional=True),
    Setting("bound-cidr-list", ("bound_cidr_list",), "Old name of secret-id-bound-cidrs.", optional=True),
    Setting("token-bound-cidrs", ("token_bound_cidrs",), "Networks that may use the tokens.", optional=True),
    Setting("secret-id-num-uses", ("secret_id_num_uses",), "Logins that a secret id is good for."),
    Setting("secret-id-ttl", ("secret_id_ttl",), "How long a secret id is good."),
    Setting("period", ("token_period", "period"), "How often the tokens are to be renewed."),
    Setting("token-num-uses", ("token_num_uses",), "Requests that a token is good for."),
    Setting("token-ttl", ("token_ttl",), "Lifetime of the tokens at first."),
    Setting("token-max-ttl", ("token_max_ttl",), "The end of the tokens' life."),
)
_DEFAULTS = RoleRecord("", "")


def setting_path(setting: Setting) -> Path:
    """Return the row of one setting: read it, set it, or set it back."""
    hints = get_type_hints(p.WriteRole, include_extras=True)
    types = {spec.name: spec for spec in fields(p.WriteRole)}
    takes = make_dataclass(
        "Set" + setting.template.title().replace("-", ""),
        [
            ("role_name", p.RoleName),
            *((name, hints[name], types[name].default) for name in setting.names),
        ],
        frozen=True,
        slots=True,
    )

    async def read(method: AuthMethod, ctx: Context, args: p.OneRole) -> dict[str, Any] | Response:
        """Return the setting."""
        _, role = await load(ctx, args.role_name)
        if role is None:
            raise NotFound
        if setting.template == "bound-cidr-list":
            return Response(data={"bound_cidr_list": None}, warnings=[OLD_LIST])
        shown = role.shown()
        kept = {name: shown[name] for name in setting.names if name in shown}
        if setting.template == "token-bound-cidrs":
            kept["token_bound_cidrs"] = kept["token_bound_cidrs"] or None
        return kept

    async def write(method: AuthMethod, ctx: Context, args: Any) -> None:
        """Change the setting."""
        name, role = await load(ctx, args.role_name)
        if role is None:
            raise UnsupportedPath
        given = {name: getattr(args, name) for name in setting.names}
        if not setting.optional and all(value is None for value in given.values()):
            raise InvalidRequest(f"missing {setting.template.replace('-', '_')}")
        await keep(ctx, name, changed(role, p.WriteRole(role_name=name, **given)), role)

    async def reset(method: AuthMethod, ctx: Context, args: p.OneRole) -> None:
        """Set it back to what a new role has."""
        name, role = await load(ctx, args.role_name)
        if role is not None:
            await keep(ctx, name, checked(_reset(role, setting)), role)

    return Path(
        f"role/{{role_name}}/{setting.template}",
        setting.about,
        read=Operation(p.OneRole, dict, calls=read),
        update=Operation(takes, None, calls=write),
        delete=Operation(p.OneRole, None, calls=reset),
    )


def _reset(role: RoleRecord, setting: Setting) -> RoleRecord:
    name = "secret_id_bound_cidrs" if setting.template == "bound-cidr-list" else setting.names[0]
    if not name.startswith("token_"):
        return msgspec.structs.replace(role, **{name: getattr(_DEFAULTS, name)})
    field = name.removeprefix("token_")
    plain = {field: getattr(TokenSettings(), field)}
    old = tuple(known for known in role.tokens.old_names if known != field)
    return msgspec.structs.replace(role, tokens=msgspec.structs.replace(role.tokens, **plain, old_names=old))


PATHS = (
    Path("role", "The names of all roles.", list=Operation(Page, dict, calls=list_roles)),
    Path(
        "role/{role_name}",
        "One role: what a login needs, and what it gets.",
        read=Operation(p.OneRole, dict, calls=read_role),
        create=Operation(p.WriteRole, None, calls=write_role),
        update=Operation(p.WriteRole, None, calls=write_role),
        delete=Operation(p.OneRole, None, calls=delete_role),
        exists=role_exists,
    ),
    Path(
        "role/{role_name}/role-id",
        "What logins name the role by.",
        read=Operation(p.OneRole, dict, calls=read_role_id),
        update=Operation(p.SetRoleId, None, calls=set_role_id),
    ),
    Path(
        "role/{role_name}/local-secret-ids",
        "Whether secret ids are kept off replicas.",
        read=Operation(p.OneRole, dict, calls=read_local_secret_ids),
    ),
    *(setting_path(setting) for setting in SETTINGS),
)
