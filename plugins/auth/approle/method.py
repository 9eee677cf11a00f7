"""``auth/approle/*``: machines that log in with a role id and a secret id.

A secret id that the server made cannot be guessed. Its holder is let in even while the role is locked out for the
source it calls from, so that nobody who merely knows a role id can keep the machine out.
"""

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
    Operation,
    Path,
    Secret,
    View,
)
from broker.plugin.services import Lockout, Once
from broker.plugin.tokenparams import cidrs, within

from . import paths as p
from . import roles, secrets, store
from .records import ROLE, RoleRecord, SecretRecord

BAD_LOGIN = "invalid role or secret ID"


class ApproleMethod(AuthMethod):
    """Roles and their secret ids."""

    def __init__(self, mount: Mount, *, lockout: Lockout, once: Once) -> None:
        super().__init__(mount)
        self._lockout = lockout
        self._once = once

    async def login(self, ctx: Context, args: p.LogIn) -> Auth:
        """Return a token for a role id and a secret id."""
        if not args.role_id:
            raise InvalidRequest("missing role_id")
        found = await store.role_by_id(ctx.storage, args.role_id)
        if found is not None and not found[1].bind_secret_id:
            name, role = found
            _check_source(ctx, role.secret_id_bound_cidrs, "the role")
            role.tokens.check_source(ctx.connection.remote_address)
            return _auth(name, role, None)
        if not args.secret_id:
            raise InvalidRequest("missing secret_id")
        name, role, known = await self._proved(ctx, found, args.role_id, args.secret_id)
        _check_source(ctx, known.record.cidrs, "the secret ID")
        _check_source(ctx, role.secret_id_bound_cidrs, "the role")
        _use(ctx, role, known)
        return _auth(name, role, known.record)

    async def _proved(
        self, ctx: Context, found: tuple[str, RoleRecord] | None, role_id: str, secret_id: Secret[str]
    ) -> tuple[str, RoleRecord, store.Known]:
        """Return the role and the secret id if they belong together. Raises: InvalidRequest, all alike."""
        known = None if found is None else await store.find_secret(ctx, found[1], secret_id.reveal())
        if known is not None and known.record.uses_left and not self._once.counts(known.record.created_at):
            known = None
        source = ctx.connection.remote_address
        if known is None or known.record.custom:
            await self._lockout.guard(ctx, role_id, source)
        if found is None or known is None:
            await self._lockout.failed(ctx, role_id, source)
            raise InvalidRequest(BAD_LOGIN)
        if known.record.custom:
            await self._lockout.succeeded(ctx, role_id, source)
        return *found, known

    async def renew_login(self, ctx: Context, login: Login) -> Auth:
        """Let a token live on while its role is there, by the role's lifetimes as they are now."""
        name = login.metadata.get("role_name", "")
        role = await ctx.storage.load(ROLE + name, RoleRecord)
        if role is None:
            raise InvalidRequest(f'role "{name}" does not exist during renewal')
        return role.tokens.auth()

    async def wake(self, ctx: Context, name: str) -> None:
        """Expire a secret id, or take a step in clearing up."""
        what, _, rest = name.partition(" ")
        again = ""
        if what == "expire":
            await store.expire(ctx, rest)
        elif what == "erase":
            again = "" if await store.erase(ctx, rest) else name
        elif what == "tidy":
            after = await store.tidy(ctx, rest)
            again = "" if after is None else f"tidy {after}"
        if again:
            ctx.schedule(ctx.now + 0.01, again)

    async def find_role(self, storage: View, path: str, data: Mapping[str, Any]) -> str:
        """Return the name of the role whose id a login gives: a quota is set by the name, which nobody keeps to himself."""
        role_id = data.get("role_id")
        return await store.role_name(storage, role_id) if path == "login" and isinstance(role_id, str) else ""

    PATHS = (
        *roles.PATHS,
        *secrets.PATHS,
        Path(
            "login",
            "Log in with a role id and a secret id.",
            update=Operation(p.LogIn, Auth, calls=login, authenticated=False),
        ),
    )


def _check_source(ctx: Context, networks: tuple[str, ...], where: str) -> None:
    address = ctx.connection.remote_address
    if networks and not within(address, networks):
        raise InvalidRequest(f'source address "{address}" unauthorized through CIDR restrictions on {where}')


def _use(ctx: Context, role: RoleRecord, known: store.Known) -> None:
    """Take a use off a secret id that is good for a number of logins. It was read: of two logins at once, one runs again."""
    record = known.record
    if record.uses_left == 1:
        store.drop_secret(ctx.storage, role.uid, known.name, record)
    elif record.uses_left:
        left = msgspec.structs.replace(record, uses_left=record.uses_left - 1, updated_at=ctx.now)
        store.change_secret(ctx, role, known.name, left)


def _auth(name: str, role: RoleRecord, secret: SecretRecord | None) -> Auth:
    metadata = {**((secret.metadata if secret is not None else None) or {}), "role_name": name}
    auth = role.tokens.auth(alias=role.role_id, metadata=metadata, alias_metadata=metadata)
    if secret is not None and secret.token_bound_cidrs:
        auth.bound_cidrs = cidrs(secret.token_bound_cidrs)
    return auth
