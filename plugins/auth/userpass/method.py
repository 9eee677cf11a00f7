"""``auth/userpass/*``: users with passwords.

A login with an unknown name does the work of one with a known name, counts as a failure as much, and is refused in the
same words; so does one with a name that nobody could have.
"""

import hmac
import re
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
    Operation,
    Page,
    Path,
    PermissionDenied,
    Secret,
    TokenSettings,
    UnsupportedPath,
    listing,
)
from broker.plugin.services import Lockout

from . import paths as p
from .hashing import Cost, dummy, fits, hashed, kind_of, turns
from .records import KINDS, USER, KindsRecord, UserRecord

BAD_LOGIN = "invalid username or password"
MAX_KINDS = 16
_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?", re.ASCII)


class UserpassMethod(AuthMethod):
    """Users with passwords, kept as Argon2id hashes."""

    def __init__(self, mount: Mount, *, lockout: Lockout, cost: Cost = Cost()) -> None:  # noqa: B008 - frozen
        super().__init__(mount)
        self._lockout = lockout
        self._cost = cost

    # Users

    async def exists(self, ctx: Context, params: Mapping[str, str]) -> bool:
        name = _folded(params["username"])
        return _NAME.fullmatch(name) is not None and await self._user(ctx, name) is not None

    async def write_user(self, ctx: Context, args: p.WriteUser) -> None:
        """Make a user, or change what is given of one."""
        name = _name(args.username)
        known = await self._user(ctx, name)
        given = args.password or args.password_hash
        if known is None and not given:
            raise InvalidRequest("must provide either password or password_hash")
        tokens = (known.tokens if known is not None else TokenSettings()).changed(args)
        kept = known.hash if known is not None else ""
        stored = await self._stored(ctx, args.password, args.password_hash) if given else kept
        ctx.storage.save(USER + name, UserRecord(stored, tokens=tokens))

    async def read_user(self, ctx: Context, args: p.OneUser) -> dict[str, Any]:
        """Return what a user's logins get."""
        user = await self._user(ctx, _name(args.username))
        if user is None:
            raise NotFound
        return user.tokens.shown()

    async def delete_user(self, ctx: Context, args: p.OneUser) -> None:
        """Remove a user. Tokens it has live on until they are to be renewed."""
        ctx.storage.delete(USER + _name(args.username))

    async def list_users(self, ctx: Context, args: Page) -> dict[str, Any]:
        """Return the names of all users."""
        return listing(await ctx.storage.list(USER, after=_folded(args.after), limit=args.size))

    async def set_password(self, ctx: Context, args: p.SetPassword) -> None:
        """Give a user another password."""
        name, user = await self._known(ctx, args.username)
        stored = await self._stored(ctx, args.password, args.password_hash)
        ctx.storage.save(USER + name, UserRecord(stored, tokens=user.tokens))

    async def set_policies(self, ctx: Context, args: p.SetPolicies) -> None:
        """Give a user other policies."""
        name, user = await self._known(ctx, args.username)
        ctx.storage.save(USER + name, UserRecord(user.hash, tokens=user.tokens.changed(args)))

    async def _known(self, ctx: Context, username: str) -> tuple[str, UserRecord]:
        name = _name(username)
        user = await self._user(ctx, name)
        if user is None:
            raise InvalidRequest("username does not exist")
        return name, user

    async def _user(self, ctx: Context, name: str) -> UserRecord | None:
        return await ctx.storage.load(USER + name, UserRecord)

    async def _stored(self, ctx: Context, password: p.Password, given_hash: p.PasswordHash) -> str:
        """Return what to keep of a new password. Raises: InvalidRequest unless there is exactly one of the two."""
        if password and given_hash:
            raise InvalidRequest("only one of password or password_hash may be provided")
        if password:
            async with turns():
                stored: str = await ctx.blocking(hashed, password, self._cost)
        elif given_hash:
            stored = given_hash.reveal()
        else:
            raise InvalidRequest("must provide either password or password_hash")
        await self._note_kind(ctx, kind_of(stored))
        return stored

    async def _note_kind(self, ctx: Context, kind: str) -> None:
        """Remember what checking a user's password costs, so that unknown names can cost the same."""
        known = await ctx.storage.load(KINDS, KindsRecord)
        if known is None:
            ctx.storage.save(KINDS, KindsRecord(ctx.random(32).hex(), (kind,)))
        elif kind not in known.kinds:
            ctx.storage.save(KINDS, KindsRecord(known.key, (*known.kinds, kind)[-MAX_KINDS:]))

    # Logins

    async def login(self, ctx: Context, args: p.LogIn) -> Auth:
        """Return a token for a user's password."""
        if not args.password:
            raise InvalidRequest("missing password")
        name = _folded(args.username)
        await self._lockout.guard(ctx, name)
        user = await self._user(ctx, name) if _NAME.fullmatch(name) else None
        if not await self._checked(ctx, name, user, args.password) or user is None:
            await self._lockout.failed(ctx, name, real=user is not None)
            raise InvalidRequest(BAD_LOGIN)
        user.tokens.check_source(ctx.connection.remote_address)
        await self._lockout.succeeded(ctx, name)
        return user.tokens.auth(alias=name, display_name=name, metadata={"username": name})

    async def _checked(self, ctx: Context, name: str, user: UserRecord | None, password: Secret[str]) -> bool:
        """Tell whether the password is the user's, with as much work if there is no such user."""
        kinds = await ctx.storage.load(KINDS, KindsRecord)
        stored = dummy(self._like(name, kinds)) if user is None else user.hash
        async with turns():
            good: bool = await ctx.blocking(fits, stored, password)
            if not good or user is None:
                return False
            if kind_of(stored) == self._cost.kind:
                return True
            # Hashed when other costs held, or by another server: from now on as all.
            anew: str = await ctx.blocking(hashed, password, self._cost)
        await self._note_kind(ctx, self._cost.kind)
        ctx.storage.save(USER + name, UserRecord(anew, tokens=user.tokens))
        return True

    def _like(self, name: str, known: KindsRecord | None) -> str:
        """Return the kind that an unknown name is treated as having, the same at each try."""
        if known is None:
            return self._cost.kind
        drawn = hmac.digest(bytes.fromhex(known.key), name.encode("utf-8", "surrogatepass"), "sha256")
        return known.kinds[int.from_bytes(drawn[:8], "big") % len(known.kinds)]

    async def renew_login(self, ctx: Context, login: Login) -> Auth:
        """Let a token live on while its user is there and has the policies it had."""
        user = await self._user(ctx, login.alias)
        if user is None:
            raise PermissionDenied
        if {*user.tokens.policies} - {"default"} != {*login.policies} - {"default"}:
            raise InvalidRequest("policies have changed, not renewing")
        return user.tokens.auth()

    PATHS = (
        Path("users", "The names of all users.", list=Operation(Page, dict, calls=list_users)),
        Path(
            "users/{username}",
            "One user: its password, and what its logins get.",
            read=Operation(p.OneUser, dict, calls=read_user),
            create=Operation(p.WriteUser, None, calls=write_user),
            update=Operation(p.WriteUser, None, calls=write_user),
            delete=Operation(p.OneUser, None, calls=delete_user),
            exists=exists,
        ),
        Path(
            "users/{username}/password",
            "Change a user's password.",
            update=Operation(p.SetPassword, None, calls=set_password),
        ),
        Path(
            "users/{username}/policies",
            "Change a user's policies.",
            update=Operation(p.SetPolicies, None, calls=set_policies),
        ),
        Path(
            "login/{username}",
            "Log in with a name and a password.",
            update=Operation(p.LogIn, Auth, calls=login, authenticated=False),
        ),
    )


def _folded(username: str) -> str:
    # ASCII only: no other letter may become one of a name's.
    return username.lower() if username.isascii() else username


def _name(username: str) -> str:
    """Return the one spelling of a user's name. Raises: UnsupportedPath for one that no user can have."""
    name = _folded(username)
    if not _NAME.fullmatch(name):
        raise UnsupportedPath
    return name
