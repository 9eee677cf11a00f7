"""``auth/cert/*``: roles, revocation lists, settings and logins."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import msgspec

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
    Tampered,
    listing,
)
from broker.plugin.outbound import split_url

from . import crls, roles
from . import paths as p
from .judge import NO_CERTIFICATE, judge
from .ocsp import Responders
from .records import CONFIG, Config, Crl, crl_path

CACHE_SIZES = range(2, 100_001)


class CertMethod(AuthMethod):
    """Logins with the certificate of the TLS connection. A certificate in a header or a body counts for nothing."""

    def __init__(self, mount: Mount) -> None:
        super().__init__(mount)
        self._responders = Responders()  # remembers for a few minutes what is public anyway

    async def read_config(self, ctx: Context, args: Nothing) -> Mapping[str, Any]:
        """Return the settings of the mount."""
        config = await self._config(ctx)
        shown = {
            "disable_binding": config.disable_binding,
            "enable_identity_alias_metadata": config.enable_identity_alias_metadata,
            "ocsp_cache_size": config.ocsp_cache_size,
        }
        return shown | ({"role_cache_size": config.role_cache_size} if config.role_cache_size else {})

    async def write_config(self, ctx: Context, args: p.WriteConfig) -> None:
        """Change the settings of the mount."""
        if args.ocsp_cache_size is not None and args.ocsp_cache_size not in CACHE_SIZES:
            raise InvalidRequest("invalid cache size, must be >= 2 and <= 100000")
        if args.role_cache_size is not None and not -1 <= args.role_cache_size <= CACHE_SIZES[-1]:
            raise InvalidRequest("invalid role cache size, must be >= -1 and <= 100000")
        if args.enable_metadata_on_failures:
            raise InvalidRequest(
                "enable_metadata_on_failures is not supported: a failed login tells nothing of the certificate"
            )
        names = ("disable_binding", "enable_identity_alias_metadata", "ocsp_cache_size", "role_cache_size")
        given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
        ctx.storage.save(CONFIG, msgspec.structs.replace(await self._config(ctx), **given))

    async def _config(self, ctx: Context) -> Config:
        return await ctx.storage.load(CONFIG, Config) or Config()

    # Roles

    async def read_role(self, ctx: Context, args: p.NamedRole) -> Mapping[str, Any]:
        """Return a role."""
        role = await roles.load(ctx.storage, roles.canonical(args.name))
        if role is None:
            raise NotFound
        return roles.shown(role)

    async def write_role(self, ctx: Context, args: p.WriteRole) -> None:
        """Make a role or change it."""
        name = roles.canonical(args.name)
        known = await roles.load(ctx.storage, name)
        role = roles.changed(known, name, args)
        for sentence in roles.beyond(role.tokens, default=ctx.default_ttl, longest=ctx.max_ttl):
            ctx.warn(sentence)
        roles.save(ctx.storage, known, role)

    async def delete_role(self, ctx: Context, args: p.NamedRole) -> None:
        """Delete a role. Tokens it gave live on and cannot be renewed."""
        name = roles.canonical(args.name)
        try:
            role = await roles.load(ctx.storage, name)
        except Tampered:
            await roles.discard(ctx.storage, name)
            return
        if role is not None:
            roles.forget(ctx.storage, role)

    async def list_roles(self, ctx: Context, args: Page) -> Mapping[str, Any]:
        """List the roles."""
        return await _page(ctx, "role/", args)

    # Revocation lists

    async def read_crl(self, ctx: Context, args: p.NamedCrl) -> Mapping[str, Any]:
        """Return the serial numbers that a list revokes."""
        return crls.shown(await self._crl(ctx, roles.canonical(args.name)))

    async def write_crl(self, ctx: Context, args: p.WriteCrl) -> None:
        """Store a list as given, or fetch it and go on fetching it."""
        name = roles.canonical(args.name)
        if args.crl is not None:
            crl = await ctx.blocking(crls.from_text, args.crl.encode())
        elif args.url is not None:
            if args.url == "":
                raise InvalidRequest("empty CRL url")
            split_url(args.url)
            crl = await crls.download(ctx, args.url)
        else:
            raise InvalidRequest("one of 'crl' or 'url' must be provided")
        if crl.valid_until and crl.valid_until < ctx.now:
            ctx.warn("the list has run out: until there is a newer one, nobody of its issuer can log in")
        self._keep(ctx, name, await ctx.storage.load(crl_path(name), Crl), crl)

    def _keep(self, ctx: Context, name: str, before: Crl | None, crl: Crl) -> None:
        if crl.url:
            crl = self._visit_at(ctx, name, crl, crls.next_visit(crl, ctx.now))
        crls.save(ctx.storage, name, before, crl)

    def _visit_at(self, ctx: Context, name: str, crl: Crl, when: float) -> Crl:
        ctx.schedule(when, f"crl/{name}")
        return msgspec.structs.replace(crl, fetch_at=when)

    async def delete_crl(self, ctx: Context, args: p.NamedCrl) -> None:
        """Delete a list: what it revoked is good again."""
        name = roles.canonical(args.name)
        try:
            crls.forget(ctx.storage, name, await self._crl(ctx, name))
        except Tampered:
            await crls.discard(ctx.storage, name)

    async def list_crls(self, ctx: Context, args: Page) -> Mapping[str, Any]:
        """List the revocation lists."""
        return await _page(ctx, "crl/", args)

    async def _crl(self, ctx: Context, name: str) -> Crl:
        crl = await ctx.storage.load(crl_path(name), Crl)
        if crl is None:
            raise InvalidRequest(f"no such CRL {name}")
        return crl

    async def wake(self, ctx: Context, name: str) -> None:
        """Fetch a list again. One that cannot be had leaves the old one until it runs out."""
        kind, _, named = name.partition("/")
        crl = await ctx.storage.load(crl_path(named), Crl)
        if kind != "crl" or crl is None or not crl.url or crl.fetch_at > ctx.now + 1:
            return  # deleted, replaced by one that was uploaded, or fetched again since this was asked for
        try:
            new = await crls.download(ctx, crl.url)
        except InvalidRequest:
            again = self._visit_at(ctx, named, crl, ctx.now + crls.PAUSE_SECONDS)
            crls.save(ctx.storage, named, crl, again)
            return
        self._keep(ctx, named, crl, new)

    # Logins

    async def log_in(self, ctx: Context, args: p.LogIn) -> Auth:
        """Give a token to the holder of the connection's client certificate."""
        config = await self._config(ctx)
        role, who = await judge(ctx, args.name.lower(), self._responders, config)
        role.tokens.check_source(ctx.connection.remote_address)
        alias = who.alias(role)
        if not alias:
            raise InvalidRequest("missing name in alias")
        metadata = who.metadata(role)
        return role.tokens.auth(
            alias=alias,
            alias_metadata=metadata if config.enable_identity_alias_metadata else {},
            display_name=f"{self.mount.path.rstrip('/').replace('/', '-')}-{role.display_name}",
            metadata=metadata,
            internal={"certificate": _digest(ctx.connection.client_cert_chain[0])},
        )

    async def renew_login(self, ctx: Context, login: Login) -> Auth | None:
        """Renew for the very certificate that logged in, while its role still takes it and gives the same policies."""
        name = login.metadata.get("cert_name", "")
        config = await self._config(ctx)
        if not config.disable_binding:
            await self._check_binding(ctx, login, name, config)
        role = await roles.load(ctx.storage, name)
        if role is None:
            raise InvalidRequest("the role that the token was given for is gone, not renewing")
        if {*role.tokens.policies} - {"default"} != {*login.policies} - {"default"}:
            raise InvalidRequest("policies have changed, not renewing")
        return role.tokens.auth()

    async def _check_binding(self, ctx: Context, login: Login, name: str, config: Config) -> None:
        chain = ctx.connection.client_cert_chain
        if not chain:
            raise InvalidRequest(NO_CERTIFICATE)
        await judge(ctx, name, self._responders, config)
        bound = str(login.internal.get("certificate", ""))
        if not hmac.compare_digest(_digest(chain[0]).encode(), bound.encode()):
            raise InvalidRequest(
                "client identity during renewal not matching client identity used during login"
            )

    def role_of(self, path: str, data: Mapping[str, Any]) -> str:
        """Return the role that a login names."""
        name = data.get("name") if path == "login" else None
        return name.lower() if isinstance(name, str) else ""

    PATHS = (
        Path(
            "login",
            "Log in with the TLS client certificate.",
            update=Operation(p.LogIn, Auth, calls=log_in, authenticated=False),
        ),
        Path(
            "certs",
            "The roles.",
            list=Operation(Page, dict, calls=list_roles),
        ),
        Path(
            "certs/{name}",
            "A role: whose certificates may log in, and what for.",
            read=Operation(p.NamedRole, dict, calls=read_role, raises=(NotFound,)),
            update=Operation(p.WriteRole, None, calls=write_role, raises=(InvalidRequest,)),
            delete=Operation(p.NamedRole, None, calls=delete_role),
        ),
        Path(
            "crls",
            "The revocation lists.",
            list=Operation(Page, dict, calls=list_crls),
        ),
        Path(
            "crls/{name}",
            "A revocation list, uploaded or fetched by URL.",
            read=Operation(p.NamedCrl, dict, calls=read_crl, raises=(InvalidRequest,)),
            update=Operation(p.WriteCrl, None, calls=write_crl, raises=(InvalidRequest,)),
            delete=Operation(p.NamedCrl, None, calls=delete_crl, raises=(InvalidRequest,)),
        ),
        Path(
            "config",
            "Settings of the mount.",
            read=Operation(Nothing, dict, calls=read_config),
            update=Operation(p.WriteConfig, None, calls=write_config, raises=(InvalidRequest,)),
        ),
    )


async def _page(ctx: Context, prefix: str, args: Page) -> Mapping[str, Any]:
    return listing(await ctx.storage.list(prefix, after=args.after, limit=args.size))


def _digest(der: bytes) -> str:
    return hashlib.sha256(der).hexdigest()
