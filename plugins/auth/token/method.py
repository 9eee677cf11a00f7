"""``auth/token/*``: create, look up, renew and revoke tokens."""

from collections.abc import Mapping
from typing import Any

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
    Response,
    Secret,
    listing,
)
from broker.plugin.services import NewToken, RoleTerms, Tokens

from . import paths as p
from .roles import PREFIX, TokenRole, checked_name, doubled

TIDYING = "Tidy operation successfully started. Any information from the operation will be printed to Broker's server logs."


class TokenMethod(AuthMethod):
    """Tokens made from tokens. All rules live in the ``tokens`` service; here is what the caller sees."""

    def __init__(self, mount: Mount, *, tokens: Tokens) -> None:
        super().__init__(mount)
        self._tokens = tokens

    async def create(self, ctx: Context, args: p.Create) -> Auth:
        """Mint a child of the calling token."""
        return await self._tokens.create(ctx, _wanted(args))

    async def create_orphan(self, ctx: Context, args: p.Create) -> Auth:
        """Mint a token without a parent."""
        return await self._tokens.create(ctx, _wanted(args), orphan=True)

    async def create_by_role(self, ctx: Context, args: p.CreateByRole) -> Auth:
        """Mint a token on a role's terms."""
        role = await ctx.storage.load(PREFIX + args.role_name, TokenRole)
        if role is None:
            raise InvalidRequest(f"unknown role {args.role_name[:64]}")
        return await self._tokens.create(ctx, _wanted(args, role.terms(args.role_name)))

    async def read_role(self, ctx: Context, args: p.RoleName) -> Mapping[str, Any]:
        """Return a role."""
        role = await ctx.storage.load(PREFIX + checked_name(args.role_name), TokenRole)
        if role is None:
            raise NotFound
        return role.shown(args.role_name)

    async def write_role(self, ctx: Context, args: p.WriteRole) -> Response | None:
        """Make or change a role; what is left out stays as it is."""
        name = checked_name(args.role_name)
        known = await ctx.storage.load(PREFIX + name, TokenRole) or TokenRole()
        role = known.changed(args)
        ctx.storage.save(PREFIX + name, role)
        warnings = doubled(args)
        top = self._tokens.max_ttl(ctx)
        if role.explicit_max_ttl > top.total_seconds():
            warnings.append(
                f"Given explicit max TTL of {int(role.explicit_max_ttl)} is greater than system/mount allowed value of "
                f"{int(top.total_seconds())} seconds; tokens of this role live no longer than that"
            )
        return Response(warnings=warnings) if warnings else None

    async def delete_role(self, ctx: Context, args: p.RoleName) -> None:
        """Remove a role; its tokens live on, but cannot be renewed."""
        ctx.storage.delete(PREFIX + checked_name(args.role_name))

    async def role_exists(self, ctx: Context, params: Mapping[str, str]) -> bool:
        """Tell a write to a role from one that makes it."""
        return await ctx.storage.get(PREFIX + params["role_name"]) is not None

    async def list_roles(self, ctx: Context, args: Page) -> Mapping[str, Any]:
        """List the roles."""
        return listing(await ctx.storage.list(PREFIX, after=args.after, limit=args.size))

    async def renew_login(self, ctx: Context, login: Login) -> Auth | None:
        """Let a role judge the renewal of its tokens, as it is now."""
        name = login.internal.get("role", "")
        if not name:
            return None
        role = await ctx.storage.load(PREFIX + name, TokenRole)
        if role is None:
            raise InvalidRequest(f'original token role "{name}" could not be found, not renewing')
        terms = role.terms(name)
        return Auth(period=terms.period, explicit_max_ttl=terms.explicit_max_ttl)

    async def lookup(self, ctx: Context, args: p.TokenOnly) -> Mapping[str, Any]:
        """Describe a token."""
        return await self._tokens.lookup(ctx, args.token or None)

    async def lookup_self(self, ctx: Context, args: p.TokenOnly) -> Mapping[str, Any]:
        """Describe the calling token."""
        return await self._tokens.lookup(ctx, None)

    async def lookup_accessor(self, ctx: Context, args: p.AccessorOnly) -> Mapping[str, Any]:
        """Describe the token an accessor refers to."""
        return await self._tokens.lookup_accessor(ctx, _required(args.accessor))

    async def dies_with(self, ctx: Context, args: p.DiesWith) -> Mapping[str, Any]:
        """Tell what dies with a token."""
        return await self._tokens.dies_with(
            ctx, args.token or None, args.accessor, after=args.after, limit=args.limit
        )

    async def renew(self, ctx: Context, args: p.Renew) -> Auth:
        """Extend a token's life."""
        return await self._tokens.renew(ctx, _given(args.token), args.increment)

    async def renew_self(self, ctx: Context, args: p.RenewSelf) -> Auth:
        """Extend the calling token's life."""
        return await self._tokens.renew(ctx, None, args.increment)

    async def renew_accessor(self, ctx: Context, args: p.RenewAccessor) -> Auth:
        """Extend the life of the token an accessor refers to."""
        return await self._tokens.renew_accessor(ctx, _required(args.accessor), args.increment)

    async def revoke(self, ctx: Context, args: p.RequiredToken) -> None:
        """Revoke a token and all below it."""
        await self._tokens.revoke(ctx, _given(args.token))

    async def revoke_self(self, ctx: Context, args: Nothing) -> None:
        """Revoke the calling token and all below it."""
        await self._tokens.revoke(ctx, None)

    async def revoke_accessor(self, ctx: Context, args: p.AccessorOnly) -> Response | None:
        """Revoke the token an accessor refers to, and all below it."""
        if await self._tokens.revoke_accessor(ctx, _required(args.accessor)):
            return None
        return Response(warnings=["No token found with this accessor"])

    async def revoke_orphan(self, ctx: Context, args: p.RequiredToken) -> None:
        """Revoke a token alone; its children live on as orphans. The handler asks for sudo: clients match on the text."""
        token = _given(args.token)
        if not ctx.sudo:
            raise InvalidRequest("root or sudo privileges required to revoke and orphan")
        if not await self._tokens.revoke_orphan(ctx, token):
            raise InvalidRequest("token to revoke not found")

    async def tidy(self, ctx: Context, args: Nothing) -> Response:
        """Begin to clear away what dead tokens left behind."""
        await self._tokens.tidy(ctx)
        return Response(status=202, warnings=[TIDYING])

    async def list_accessors(self, ctx: Context, args: Page) -> Mapping[str, Any]:
        """List the accessors of all tokens."""
        return {"keys": await self._tokens.accessors(ctx, after=args.after, limit=args.size)}

    PATHS = (
        Path("create", "Create a child token.", update=Operation(p.Create, Auth, calls=create)),
        Path(
            "create-orphan",
            "Create a token without a parent.",
            update=Operation(p.Create, Auth, calls=create_orphan),
        ),
        Path(
            "create/{role_name}",
            "Create a token on a role's terms.",
            update=Operation(p.CreateByRole, Auth, calls=create_by_role),
        ),
        Path(
            "roles",
            "The roles.",
            list=Operation(Page, dict, calls=list_roles),
        ),
        Path(
            "roles/{role_name}",
            "Terms on which others may make tokens.",
            read=Operation(p.RoleName, dict, calls=read_role),
            create=Operation(p.WriteRole, None, calls=write_role),
            update=Operation(p.WriteRole, None, calls=write_role),
            delete=Operation(p.RoleName, None, calls=delete_role),
            exists=role_exists,
        ),
        Path(
            "lookup",
            "Describe a token.",
            read=Operation(p.TokenOnly, dict, calls=lookup),
            update=Operation(p.TokenOnly, dict, calls=lookup),
        ),
        Path(
            "lookup-self",
            "Describe the calling token.",
            read=Operation(p.TokenOnly, dict, calls=lookup_self),
            update=Operation(p.TokenOnly, dict, calls=lookup_self),
        ),
        Path(
            "lookup-accessor",
            "Describe a token by its accessor.",
            update=Operation(p.AccessorOnly, dict, calls=lookup_accessor, raises=(InvalidRequest,)),
        ),
        Path(
            "dies-with",
            "The tokens and leases that die with a token.",
            update=Operation(p.DiesWith, dict, calls=dies_with, raises=(InvalidRequest,)),
        ),
        Path("renew", "Renew a token.", update=Operation(p.Renew, Auth, calls=renew)),
        Path("renew-self", "Renew the calling token.", update=Operation(p.RenewSelf, Auth, calls=renew_self)),
        Path(
            "renew-accessor",
            "Renew a token by its accessor.",
            update=Operation(p.RenewAccessor, Auth, calls=renew_accessor),
        ),
        Path(
            "revoke",
            "Revoke a token and all below it.",
            update=Operation(p.RequiredToken, None, calls=revoke),
        ),
        Path("revoke-self", "Revoke the calling token.", update=Operation(Nothing, None, calls=revoke_self)),
        Path(
            "revoke-accessor",
            "Revoke a token by its accessor.",
            update=Operation(p.AccessorOnly, None, calls=revoke_accessor),
        ),
        Path(
            "revoke-orphan",
            "Revoke a token, leaving its children.",
            description="Takes sudo, like every act on what belongs to others.",
            update=Operation(p.RequiredToken, None, calls=revoke_orphan),
        ),
        Path(
            "tidy",
            "Clear away what dead tokens left behind.",
            update=Operation(Nothing, None, calls=tidy),
        ),
        Path(
            "accessors",
            "List accessors.",
            list=Operation(Page, dict, calls=list_accessors, sudo=True),
        ),
    )


def _given(token: Secret[str] | None) -> Secret[str]:
    if not token:
        raise InvalidRequest("missing token ID")
    return token


def _required(accessor: str) -> str:
    if not accessor:
        raise InvalidRequest("missing accessor")
    return accessor


def _wanted(args: p.Create, role: RoleTerms | None = None) -> NewToken:
    return NewToken(
        role=role,
        policies=tuple(args.policies or ()),
        id=args.id or None,
        meta=args.meta or {},
        no_parent=args.no_parent,
        no_default_policy=args.no_default_policy,
        renewable=args.renewable,
        ttl=args.ttl if args.ttl is not None else args.lease,
        explicit_max_ttl=args.explicit_max_ttl,
        period=args.period,
        display_name=args.display_name,
        num_uses=args.num_uses,
        type=args.type,
        entity_alias=args.entity_alias,
    )
