"""``auth/kubernetes/*``: the cluster, roles and logins."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from broker.plugin import (
    Auth,
    AuthMethod,
    Context,
    InvalidRequest,
    Login,
    NotFound,
    Nothing,
    Operation,
    Page,
    Path,
    PermissionDenied,
    TokenSettings,
    UnsupportedPath,
    listing,
)
from broker.plugin.outbound import check_ca, split_url

from . import cluster, local
from . import paths as p
from .account import Account, read_keys, read_token
from .bounds import bound, check_names, read_selector, selects
from .records import CONFIG, DEFAULT_ISSUER, Config, Role, role_path

ALIAS_SOURCES = ("serviceaccount_uid", "serviceaccount_name")
_NAME = re.compile(r"\w(?:[\w.-]*\w)?", re.ASCII)


class KubernetesMethod(AuthMethod):
    """Logins with a service account's token, which the cluster reviews every time."""

    async def read_config(self, ctx: Context, args: Nothing) -> Mapping[str, Any]:
        """Return how the cluster is reached, without the reviewer's token."""
        config = await ctx.storage.load(CONFIG, Config)
        if config is None:
            raise NotFound
        return {
            "disable_iss_validation": config.disable_iss_validation,
            "disable_local_ca_jwt": config.disable_local_ca_jwt,
            "issuer": config.issuer,
            "kubernetes_ca_cert": config.ca_cert,
            "kubernetes_host": config.host,
            "pem_keys": list(config.pem_keys),
            "token_reviewer_jwt_set": bool(config.token_reviewer_jwt),
        }

    async def write_config(self, ctx: Context, args: p.WriteConfig) -> None:
        """Say how to reach the cluster. What is left out falls back to its default, as in Vault."""
        if not args.kubernetes_host:
            raise InvalidRequest("no host provided")
        split_url(cluster.address(args.kubernetes_host))
        if not args.kubernetes_ca_cert:
            if args.disable_local_ca_jwt:
                raise InvalidRequest("kubernetes_ca_cert must be given when disable_local_ca_jwt is true")
            if not await ctx.blocking(local.read, "ca.crt"):
                raise InvalidRequest(
                    "kubernetes_ca_cert must be given: Broker does not run in a pod that has one"
                )
        check_ca(args.kubernetes_ca_cert)
        keys = tuple(pem.strip() for pem in args.pem_keys or ())
        read_keys(keys)
        reviewer = args.token_reviewer_jwt.reveal().strip() if args.token_reviewer_jwt is not None else ""
        if not (reviewer.isascii() and (reviewer == "" or reviewer.isprintable())):
            raise InvalidRequest("token_reviewer_jwt: expected one line of ASCII text")
        config = Config(
            host=args.kubernetes_host,
            ca_cert=args.kubernetes_ca_cert,
            token_reviewer_jwt=reviewer,
            pem_keys=keys,
            issuer=args.issuer,
            disable_iss_validation=args.disable_iss_validation,
            disable_local_ca_jwt=args.disable_local_ca_jwt,
        )
        ctx.storage.save(CONFIG, config)

    # Roles

    async def role_exists(self, ctx: Context, params: Mapping[str, str]) -> bool:
        """Tell a write to a role that is there from one to a new one."""
        return await ctx.storage.load(role_path(params["name"]), Role) is not None

    async def read_role(self, ctx: Context, args: p.NamedRole) -> Mapping[str, Any]:
        """Return a role."""
        role = await ctx.storage.load(_path(args.name), Role)
        if role is None:
            raise NotFound
        return _shown(role)

    async def write_role(self, ctx: Context, args: p.WriteRole) -> None:
        """Make a role or change it."""
        known = await ctx.storage.load(_path(args.name), Role)
        role = _changed(known or Role(tokens=TokenSettings()), args)
        if ctx.max_ttl and role.tokens.period > ctx.max_ttl:
            raise InvalidRequest(
                f"token period is greater than the mount's maximum lease TTL of {ctx.max_ttl} seconds"
            )
        if ctx.max_ttl and role.tokens.max_ttl > ctx.max_ttl:
            ctx.warn(
                "max_ttl is greater than the system or backend mount's maximum TTL value; issued tokens' max TTL value "
                "will be truncated"
            )
        ctx.storage.save(_path(args.name), role)

    async def delete_role(self, ctx: Context, args: p.NamedRole) -> None:
        """Delete a role. Tokens it gave live on and cannot be renewed."""
        ctx.storage.delete(_path(args.name))

    async def list_roles(self, ctx: Context, args: Page) -> Mapping[str, Any]:
        """List the roles."""
        return listing(await ctx.storage.list("role/", after=args.after, limit=args.size))

    # Logins

    async def log_in(self, ctx: Context, args: p.LogIn) -> Auth:
        """Give a token to a service account."""
        if not args.role:
            raise InvalidRequest("missing role")
        if not args.jwt:
            raise InvalidRequest("missing jwt")
        if not _NAME.fullmatch(args.role):
            raise InvalidRequest("invalid role name")
        role = await ctx.storage.load(role_path(args.role), Role)
        if role is None:
            raise InvalidRequest(f'invalid role name "{args.role}"')
        role.tokens.check_source(ctx.connection.remote_address)
        config = await self._live_config(ctx)
        token = args.jwt.reveal()
        account = self._read(token, role, config, ctx.now)
        await cluster.review(config, token, account, role.audience)
        await _check_namespace(role, config, account)
        about = {
            "service_account_uid": account.uid,
            "service_account_name": account.name,
            "service_account_namespace": account.namespace,
            "service_account_secret_name": account.secret_name,
        }
        by_uid = role.alias_name_source == "serviceaccount_uid"
        prefix = self.mount.path.rstrip("/").replace("/", "-")
        return role.tokens.auth(
            alias=account.uid if by_uid else f"{account.namespace}/{account.name}",
            alias_metadata=about,
            display_name=f"{prefix}-{account.namespace}-{account.name}",
            metadata={**about, "role": args.role},
            internal={"role": args.role},
        )

    def _read(self, token: str, role: Role, config: Config, now: float) -> Account:
        """Return whom a token names, if the role takes that one as far as the token goes. Raises: PermissionDenied."""
        issuer = "" if config.disable_iss_validation else config.issuer or DEFAULT_ISSUER
        keys = read_keys(config.pem_keys)
        account = read_token(token, keys, issuer=issuer, audience=role.audience, now=now)
        if not bound(role.names, account.name):
            raise PermissionDenied("service account name not authorized")
        if not role.namespace_selector and not bound(role.namespaces or (), account.namespace):
            raise PermissionDenied("namespace not authorized")
        return account

    async def _live_config(self, ctx: Context) -> Config:
        """Return the settings, with the pod's CA and token where none are set. Raises: InvalidRequest."""
        config = await ctx.storage.load(CONFIG, Config)
        if config is None:
            raise InvalidRequest("could not load backend configuration")
        if config.disable_local_ca_jwt:
            return config
        found: dict[str, str] = {}
        if not config.token_reviewer_jwt:
            found["token_reviewer_jwt"] = await ctx.blocking(local.read, "token")
        if not config.ca_cert:
            found["ca_cert"] = await ctx.blocking(local.read, "ca.crt")
            if not found["ca_cert"]:
                raise PermissionDenied  # never the system's CAs: they vouch for anybody
        return msgspec.structs.replace(config, **found) if found else config

    async def renew_login(self, ctx: Context, login: Login) -> Auth | None:
        """Renew as the role says now, while it is there."""
        name = str(login.internal.get("role", ""))
        role = await ctx.storage.load(role_path(name), Role)
        if role is None:
            raise InvalidRequest(f"role {name} does not exist during renewal")
        return role.tokens.auth()

    def role_of(self, path: str, data: Mapping[str, Any]) -> str:
        """Return the role that a login names."""
        name = data.get("role") if path == "login" else None
        return name.lower() if isinstance(name, str) else ""

    PATHS = (
        Path(
            "login",
            "Log in with a service account's token.",
            update=Operation(p.LogIn, Auth, calls=log_in, authenticated=False),
        ),
        Path(
            "config",
            "How to reach the cluster.",
            read=Operation(Nothing, dict, calls=read_config, raises=(NotFound,)),
            update=Operation(p.WriteConfig, None, calls=write_config, raises=(InvalidRequest,)),
        ),
        Path("role", "The roles.", list=Operation(Page, dict, calls=list_roles)),
        Path(
            "role/{name}",
            "A role: which service accounts may log in, and what for.",
            read=Operation(p.NamedRole, dict, calls=read_role, raises=(NotFound,)),
            create=Operation(p.WriteRole, None, calls=write_role, raises=(InvalidRequest,)),
            update=Operation(p.WriteRole, None, calls=write_role, raises=(InvalidRequest,)),
            delete=Operation(p.NamedRole, None, calls=delete_role),
            exists=role_exists,
        ),
    )


async def _check_namespace(role: Role, config: Config, account: Account) -> None:
    """Let a namespace pass that the role names, or whose labels it asks for. Raises: PermissionDenied."""
    if not role.namespace_selector or bound(role.namespaces or (), account.namespace):
        return
    labels = await cluster.labels_of(config, account.namespace)
    if not selects(read_selector(role.namespace_selector), labels):
        raise PermissionDenied("namespace not authorized")


def _changed(before: Role, args: p.WriteRole) -> Role:
    """Return a role with what was given put in. Raises: InvalidRequest, in Vault's words."""
    names, namespaces = args.bound_service_account_names, args.bound_service_account_namespaces
    role = Role(
        tokens=before.tokens.changed(args),
        names=before.names if names is None else tuple(names),
        namespaces=before.namespaces if namespaces is None else tuple(namespaces),
        namespace_selector=args.bound_service_account_namespace_selector,
        audience=before.audience if args.audience is None else args.audience,
        alias_name_source=args.alias_name_source or before.alias_name_source,
    )
    if not role.names:
        raise InvalidRequest('"bound_service_account_names" can not be empty')
    if not role.namespaces and not role.namespace_selector:
        raise InvalidRequest(
            '"bound_service_account_namespaces" can not be empty if "bound_service_account_namespace_selector" is not set'
        )
    check_names(role.names)
    check_names(role.namespaces or ())
    if role.namespace_selector:
        read_selector(role.namespace_selector)
    if role.alias_name_source not in ALIAS_SOURCES:
        raise InvalidRequest(f"invalid alias_name_source, must be one of: {', '.join(ALIAS_SOURCES)}")
    return role


def _shown(role: Role) -> dict[str, Any]:
    about: dict[str, Any] = {
        "alias_name_source": role.alias_name_source,
        "bound_service_account_names": list(role.names),
        "bound_service_account_namespace_selector": role.namespace_selector,
        "bound_service_account_namespaces": None if role.namespaces is None else list(role.namespaces),
    }
    if role.audience:
        about["audience"] = role.audience
    tokens = role.tokens.shown()
    return about | {name: value for name, value in tokens.items() if name.startswith("token_") or value}


def _path(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UnsupportedPath
    return role_path(name)
