"""``auth/jwt/*`` and ``auth/oidc/*``: tokens of other issuers, and people who log in at a provider's page."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from broker.plugin import (
    Auth,
    AuthMethod,
    Context,
    InvalidRequest,
    Login,
    Mount,
    NotFound,
    Nothing,
    Operation,
    Page,
    Path,
    PermissionDenied,
    Response,
    UnsupportedPath,
)

from . import paths as p
from . import roles, settings
from .keys import ALGORITHMS
from .logins import approve, auth_of
from .records import CONFIG, ROLE, Config, Role
from .remote import Source
from .token import Expected, audiences, check_claims

NOT_CONFIGURED = "could not load configuration"
_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?", re.ASCII)


class JwtMethod(AuthMethod):
    """Signed tokens of other issuers. What is kept on the instance is only what the provider publishes."""

    def __init__(self, mount: Mount) -> None:
        super().__init__(mount)
        self._source: Source | None = None

    # Configuration

    async def write_config(self, ctx: Context, args: p.WriteConfig) -> Response:
        """Say where keys come from. What is left out takes its default."""
        config = settings.read(ctx, args, await ctx.storage.load(CONFIG, Config))
        warnings = await settings.checked(config, skip=args.skip_jwks_validation)
        ctx.storage.save(CONFIG, config)
        return Response(empty=not warnings, warnings=warnings)

    async def read_config(self, ctx: Context, args: Nothing) -> Response:
        """Return the configuration, without the client's secret."""
        config = await ctx.storage.load(CONFIG, Config)
        if config is None:
            raise NotFound
        data, warnings = await settings.shown(config, self.source(config))
        return Response(data=data, warnings=warnings)

    async def config(self, ctx: Context) -> Config:
        """Return the configuration. Raises: InvalidRequest if there is none."""
        config = await ctx.storage.load(CONFIG, Config)
        if config is None:
            raise InvalidRequest(NOT_CONFIGURED)
        return config

    def source(self, config: Config) -> Source:
        """Return where a configuration's keys come from; what was kept for an earlier one is dropped."""
        if self._source is None or self._source.config.stamp != config.stamp:
            self._source = Source(config)
        return self._source

    # Roles

    async def role_exists(self, ctx: Context, params: Mapping[str, str]) -> bool:
        name = folded(params["name"])
        return _NAME.fullmatch(name) is not None and await self.role(ctx, name) is not None

    async def write_role(self, ctx: Context, args: p.WriteRole) -> Response:
        """Make a role, or change what is given of one."""
        name = _name(args.name)
        ctx.storage.save(ROLE + name, roles.changed(ctx, await self.role(ctx, name), args))
        return Response(empty=True)

    async def read_role(self, ctx: Context, args: p.OneRole) -> Mapping[str, Any]:
        """Return a role."""
        role = await self.role(ctx, _name(args.name))
        if role is None:
            raise NotFound
        return roles.shown(role)

    async def delete_role(self, ctx: Context, args: p.OneRole) -> None:
        """Remove a role. Its tokens live on until they are to be renewed."""
        ctx.storage.delete(ROLE + _name(args.name))

    async def list_roles(self, ctx: Context, args: Page) -> dict[str, Any]:
        """Return the names of all roles."""
        names = list(await ctx.storage.list(ROLE, after=folded(args.after), limit=args.size))
        if not names and not args.after:
            raise NotFound
        return {"keys": names}

    async def role(self, ctx: Context, name: str) -> Role | None:
        """Return a role by its name in lower case, if there is one."""
        return await ctx.storage.load(ROLE + name, Role) if _NAME.fullmatch(name) else None

    # Logins

    async def login(self, ctx: Context, args: p.LogIn) -> Auth:
        """Return a token for a signed token.

        The signature comes first: without a good one nobody learns which roles there are, or what they ask for.
        """
        config = await self.config(ctx)
        name = named_role(args.role, config)
        if not args.jwt:
            raise InvalidRequest("missing token")
        allowed = config.jwt_supported_algs or ALGORITHMS
        claims = await self.source(config).claims(args.jwt.reveal(), allowed)
        role = await self.role(ctx, name)
        if role is None:
            raise InvalidRequest(f'role "{name}" could not be found')
        if role.role_type == "oidc":
            raise InvalidRequest("role with oidc role_type is not allowed")
        role.tokens.check_source(ctx.connection.remote_address)
        check_claims(claims, _expected(config, role), ctx.now)
        if audiences(claims) and not role.bound_audiences:
            raise InvalidRequest("audience claim found in JWT but no audiences bound to the role")
        return auth_of(name, role, approve(name, role, claims))

    async def renew_login(self, ctx: Context, login: Login) -> Auth:
        """Let a token live on while its role is there, with the role's times of now."""
        role = await self.role(ctx, str(login.internal.get("role", "")))
        if role is None:
            raise PermissionDenied("the role of this login does not exist any more")
        return role.tokens.auth()

    def role_of(self, path: str, data: Mapping[str, Any]) -> str:
        """Return the role that a login names."""
        name = data.get("role")
        return folded(name) if path == "login" and isinstance(name, str) else ""

    PATHS: ClassVar[Sequence[Path]] = (
        Path(
            "config",
            "Where keys come from, and this mount's client at an identity provider.",
            read=Operation(Nothing, dict, calls=read_config),
            update=Operation(p.WriteConfig, None, calls=write_config),
        ),
        Path("role", "The names of all roles.", list=Operation(Page, dict, calls=list_roles)),
        Path(
            "role/{name}",
            "One role: which tokens it takes, and what its logins get.",
            read=Operation(p.OneRole, dict, calls=read_role),
            create=Operation(p.WriteRole, None, calls=write_role),
            update=Operation(p.WriteRole, None, calls=write_role),
            delete=Operation(p.OneRole, None, calls=delete_role),
            exists=role_exists,
        ),
        Path(
            "login",
            "Log in with a signed token.",
            update=Operation(p.LogIn, Auth, calls=login, authenticated=False),
        ),
    )


def folded(name: str) -> str:
    """Return a role's name in lower case. ASCII only: no other letter may become one of a name's."""
    return name.lower() if name.isascii() else name


def named_role(given: str, config: Config) -> str:
    """Return the name of the role that a login is for. Raises: InvalidRequest if there is none, or it can be none's."""
    name = folded(given) or config.default_role
    if not name:
        raise InvalidRequest("missing role")
    if len(name) > 256 or not _NAME.fullmatch(name):
        raise InvalidRequest("the role could not be found")
    return name


def _expected(config: Config, role: Role) -> Expected:
    return Expected(
        issuer=config.bound_issuer,
        subject=role.bound_subject,
        audiences=role.bound_audiences or (),
        expiration_leeway=role.expiration_leeway,
        not_before_leeway=role.not_before_leeway,
        clock_skew_leeway=role.clock_skew_leeway,
    )


def _name(given: str) -> str:
    """Return the one spelling of a role's name. Raises: UnsupportedPath for one that no role can have."""
    name = folded(given)
    if not _NAME.fullmatch(name):
        raise UnsupportedPath
    return name
