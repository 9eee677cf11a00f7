"""``auth/ldap/*``: people of a directory log in with the password they have there."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from broker.plugin import (
    Auth,
    AuthMethod,
    Context,
    InvalidRequest,
    Login,
    Mount,
    NotFound,
    Page,
    PermissionDenied,
    Response,
    Secret,
    Unavailable,
    listing,
)
from broker.plugin.names import policy_names
from broker.plugin.services import Lockout

from . import arguments as take
from .directory import BadLogin, Directory, Misconfigured, Person
from .names import canonical, folded
from .records import CONFIG, GROUP, USER, GroupRecord, LdapConfig, UserRecord
from .settings import COLLIDING, changed, colliding, shown
from .tls import context_of
from .wire import DirectoryDown

REFUSED = "ldap operation failed: failed to bind as user"
"""The one text for whoever is not let in. Vault's, as are the next two."""

NO_PASSWORD = "password cannot be of zero length when passwordless binds are being denied"  # noqa: S105 - no password
CHANGED = "policies have changed, not renewing"
MAX_PASSWORD = 4096


class LdapMethod(AuthMethod):
    """Logins against a directory; what its groups are worth is said here."""

    def __init__(self, mount: Mount, *, lockout: Lockout) -> None:
        super().__init__(mount)
        self._lockout = lockout

    # Configuration

    async def read_config(self, ctx: Context, args: object) -> Mapping[str, Any]:
        """Return how the directory is asked, without passwords and keys."""
        config = await self._config(ctx)
        if colliding(config):
            ctx.warn(COLLIDING)
        return shown(config)

    async def write_config(self, ctx: Context, args: take.WriteConfig) -> Response | None:
        """Say how the directory is asked; what is left out stays."""
        config = changed(await self._config(ctx), args)
        ctx.storage.save(CONFIG, config)
        if args.deny_null_bind is False:
            ctx.warn("a login without a password is refused whatever deny_null_bind says")
        if colliding(config):
            ctx.warn(COLLIDING)
        return Response() if ctx.warnings else None

    # Groups and users

    async def write_group(self, ctx: Context, args: take.WriteGroup) -> None:
        """Say which policies the members of a group get."""
        ctx.storage.save(
            GROUP + await self._key(ctx, args.name), GroupRecord(policies=policy_names(args.policies or ()))
        )

    async def read_group(self, ctx: Context, args: take.OneName) -> Mapping[str, Any]:
        """Return which policies the members of a group get."""
        group = await ctx.storage.load(GROUP + await self._key(ctx, args.name), GroupRecord)
        if group is None:
            raise NotFound
        return {"policies": list(group.policies)}

    async def delete_group(self, ctx: Context, args: take.OneName) -> None:
        """Forget a group. Tokens it gave policies to are not renewed."""
        ctx.storage.delete(GROUP + await self._key(ctx, args.name))

    async def list_groups(self, ctx: Context, args: Page) -> Mapping[str, Any]:
        """List the groups that something was said of."""
        return await _listed(ctx, GROUP, args)

    async def write_user(self, ctx: Context, args: take.WriteUser) -> None:
        """Say what a person gets beyond what the directory says."""
        config = await self._config(ctx)
        groups = {_cased(group.strip(), config) for group in args.groups or ()} - {""}
        record = UserRecord(policies=policy_names(args.policies or ()), groups=tuple(sorted(groups)))
        ctx.storage.save(USER + await self._key(ctx, args.name), record)

    async def read_user(self, ctx: Context, args: take.OneName) -> Mapping[str, Any]:
        """Return what a person gets beyond what the directory says."""
        user = await ctx.storage.load(USER + await self._key(ctx, args.name), UserRecord)
        if user is None:
            raise NotFound
        return {"groups": ",".join(user.groups), "policies": list(user.policies)}

    async def delete_user(self, ctx: Context, args: take.OneName) -> None:
        """Forget a person. What the directory says of them stays."""
        ctx.storage.delete(USER + await self._key(ctx, args.name))

    async def list_users(self, ctx: Context, args: Page) -> Mapping[str, Any]:
        """List the people that something was said of."""
        return await _listed(ctx, USER, args)

    # Logins

    async def log_in(self, ctx: Context, args: take.LogIn) -> Response:
        """Return a token for a person's password in the directory."""
        config = await self._config(ctx)
        config.tokens.check_source(ctx.connection.remote_address)
        if not args.password:
            raise InvalidRequest(NO_PASSWORD)
        counted = folded(args.username)
        await self._lockout.guard(ctx, counted)
        name = canonical(args.username, keep_case=config.case_sensitive_names)
        try:
            person = await self._proved(ctx, config, name, args.password)
        except BadLogin:
            await self._lockout.failed(ctx, counted)
            raise InvalidRequest(REFUSED) from None
        await self._lockout.succeeded(ctx, counted)
        groups, policies = await self._worth(ctx, config, name, person)
        auth = config.tokens.auth(
            policies=policies,
            alias=person.alias,
            alias_metadata={"name": name},
            display_name=name,
            metadata={"username": name},
            group_aliases=groups,
            internal=self._kept(config, name, policies, args.password),
        )
        if not person.groups:
            ctx.warn(
                f"no LDAP groups found in groupDN {json.dumps(config.groupdn, ensure_ascii=False)}; "
                "only policies from locally-defined groups available"
            )
        return Response(data={}, auth=auth)

    def _kept(
        self, config: LdapConfig, name: str, policies: tuple[str, ...], password: Secret[str]
    ) -> Mapping[str, Any]:
        """Return what a renewal needs: the password only where nobody else may ask the directory."""
        kept: dict[str, Any] = {"name": name, "policies": sorted({*config.tokens.policies, *policies})}
        if not config.has_account:
            kept["password"] = password.reveal()
        return kept

    async def renew_login(self, ctx: Context, login: Login) -> Auth | None:
        """Ask the directory again. Raises: PermissionDenied if the person is gone; InvalidRequest for other policies."""
        config = await self._config(ctx)
        name, password = str(login.internal.get("name", "")), login.internal.get("password")
        try:
            if config.has_account:
                person = await self._asked(ctx, config, name)
            elif isinstance(password, str):
                person = await self._proved(ctx, config, name, Secret(password))
            else:
                raise BadLogin
        except BadLogin:
            raise PermissionDenied(REFUSED) from None
        groups, policies = await self._worth(ctx, config, name, person)
        if sorted({*config.tokens.policies, *policies}) != list(login.internal.get("policies", ())):
            raise InvalidRequest(CHANGED)
        settings = config.tokens
        return Auth(
            ttl=timedelta(seconds=settings.ttl),
            max_ttl=timedelta(seconds=settings.max_ttl),
            period=timedelta(seconds=settings.period),
            group_aliases=groups,
        )

    async def _proved(self, ctx: Context, config: LdapConfig, name: str, password: Secret[str]) -> Person:
        if len(password.reveal()) > MAX_PASSWORD:
            raise BadLogin
        decoy = ctx.random(12).hex()
        with _telling():
            return await (await _directory(ctx, config)).log_in(name, password, decoy)

    async def _asked(self, ctx: Context, config: LdapConfig, name: str) -> Person:
        with _telling():
            return await (await _directory(ctx, config)).look_up(name)

    async def _worth(
        self, ctx: Context, config: LdapConfig, name: str, person: Person
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return all groups of a person, and the policies that they and the person have here."""
        user = await ctx.storage.load(USER + name, UserRecord) if name else None
        groups = tuple(dict.fromkeys((*(() if user is None else user.groups), *person.groups)))
        policies = set(() if user is None else user.policies)
        for group in {_cased(group, config) for group in groups} - {""}:
            record = await ctx.storage.load(GROUP + group, GroupRecord)
            policies |= set(() if record is None else record.policies)
        return groups, tuple(sorted(policies))

    def role_of(self, path: str, data: Mapping[str, Any]) -> str:
        """Return the name that a login gives; quotas by role count by it."""
        return canonical(path.removeprefix("login/")) if path.startswith("login/") else ""

    # Helpers

    async def _config(self, ctx: Context) -> LdapConfig:
        return await ctx.storage.load(CONFIG, LdapConfig) or LdapConfig()

    async def _key(self, ctx: Context, name: str) -> str:
        return _cased(name, await self._config(ctx))


async def _directory(ctx: Context, config: LdapConfig) -> Directory:
    secure = config.starttls or "ldaps:" in config.url
    # Reading the system's CAs takes a while, and none of it is needed without TLS.
    tls = await ctx.blocking(context_of, config) if secure else None
    return Directory(config, tls)


@contextlib.contextmanager
def _telling() -> Iterator[None]:
    """Turn what is wrong with the directory into an answer that is nobody's failed login."""
    try:
        yield
    except (DirectoryDown, Misconfigured) as error:
        raise Unavailable(f"ldap operation failed: {error}") from None


def _cased(name: str, config: LdapConfig) -> str:
    return name if config.case_sensitive_names else name.lower()


async def _listed(ctx: Context, prefix: str, args: Page) -> Mapping[str, Any]:
    return listing(await ctx.storage.scan(prefix, after=args.after, limit=args.size))
