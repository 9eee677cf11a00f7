"""Making, changing and ending keys, and logging in with them."""

import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from broker.plugin import (
    Auth,
    AuthMethod,
    Conflict,
    Context,
    InvalidRequest,
    Login,
    Mount,
    NotFound,
    PermissionDenied,
    Tampered,
    TokenSettings,
)
from broker.plugin.services import Logins

from . import arguments as take
from .keys import hash_of, id_in, new_id, new_key
from .records import KEPT_SECONDS, KEY, NOTE_SECONDS, SALT, USED, ApiKey, Salt, Used, Version
from .shown import described, made

REFUSED = "invalid API key"
"""The one text of every login that fails, whatever the reason."""

NO_ONE = bytes(32)
MAX_METADATA = 4096
MAX_GRACE = timedelta(days=90)


class ApiKeyMethod(AuthMethod):
    """Keys of one mount."""

    def __init__(self, mount: Mount, *, logins: Logins) -> None:
        super().__init__(mount)
        self._logins = logins

    # Operators

    async def create(self, ctx: Context, args: take.CreateKey) -> Mapping[str, Any]:
        """Make a key. Its text is in this answer and nowhere else."""
        salt = await self._salt(ctx)
        found = new_id(ctx.random)
        key = new_key(found, salt, ctx.random)
        record = ApiKey(
            name=_name(args.name),
            created_at=ctx.now,
            versions=(Version(1, key.hash, key.last_four, ctx.now),),
            tokens=TokenSettings().changed(args),
            expires_at=_expiry(ctx.now, args.expires_in, args.expires_at) or 0,
            created_by=ctx.caller.display_name,
            metadata=_metadata(args.metadata or {}),
        )
        self._save(ctx, found, record)
        return made(found, record, key, ctx.now)

    async def list_keys(self, ctx: Context, args: take.ListKeys) -> Mapping[str, Any]:
        """List the ids of keys; of a page, describe each as well."""
        if args.limit > take.MAX_PAGE:
            raise InvalidRequest(f'field "limit": expected at most {take.MAX_PAGE}')
        names = await ctx.storage.list(KEY, after=args.after, limit=args.limit or None)
        if not args.limit:
            return {"keys": list(names)}
        about = {}
        for name in names:
            record = await ctx.storage.load(KEY + name, ApiKey)
            if record is not None:
                used = await ctx.storage.load(USED + name, Used) or Used()
                about[name] = described(name, record, used, ctx.now)
        return {"keys": list(names), "key_info": about}

    async def read(self, ctx: Context, args: take.OneKey) -> Mapping[str, Any]:
        """Describe a key: all but its text, which nobody has."""
        record = await self._known(ctx, args.id)
        return described(args.id, record, await ctx.storage.load(USED + args.id, Used) or Used(), ctx.now)

    async def update(self, ctx: Context, args: take.UpdateKey) -> None:
        """Change what a key's tokens may, or its name, notes and expiry. What is left out stays as it was."""
        record = await self._living(ctx, args.id)
        expires_at = _expiry(ctx.now, args.expires_in, args.expires_at)
        changed = msgspec.structs.replace(
            record,
            name=record.name if args.name is None else _name(args.name),
            metadata=record.metadata if args.metadata is None else _metadata(args.metadata),
            tokens=record.tokens.changed(args),
            expires_at=record.expires_at if expires_at is None else expires_at,
            updated_at=ctx.now,
        )
        self._save(ctx, args.id, changed)

    async def rotate(self, ctx: Context, args: take.RotateKey) -> Mapping[str, Any]:
        """Make the key's next version. The one before goes on opening it for the grace period.

        Raises: Conflict if the key is being rotated already, or is not at the version that the caller knows.
        """
        record = await self._living(ctx, args.id)
        *older, current = record.live(ctx.now)
        if args.version is not None and args.version != current.number:
            raise Conflict(f"the key's current version is {current.number}, not {args.version}")
        if args.grace_period > MAX_GRACE:
            raise InvalidRequest(f'field "grace_period": expected at most {MAX_GRACE.days} days')
        if args.grace_period and older:
            raise Conflict(
                f"version {older[0].number} is still in its grace period, and only two versions live at once: "
                "end it with retire, or all versions so far with grace_period 0"
            )
        key = new_key(args.id, await self._salt(ctx), ctx.random)
        following = Version(current.number + 1, key.hash, key.last_four, ctx.now)
        ends_at = ctx.now + args.grace_period.total_seconds()
        kept = (msgspec.structs.replace(current, ends_at=ends_at),) if args.grace_period else ()
        rotated = msgspec.structs.replace(record, versions=(*kept, following), updated_at=ctx.now)
        await self._end(ctx, args.id, record, kept=rotated.versions)
        self._save(ctx, args.id, rotated)
        return made(args.id, rotated, key, ctx.now)

    async def retire(self, ctx: Context, args: take.OneKey) -> None:
        """End the grace period of a rotation now, and the tokens of the version before."""
        record = await self._living(ctx, args.id)
        current = record.live(ctx.now)[-1]
        retired = msgspec.structs.replace(record, versions=(current,), updated_at=ctx.now)
        await self._end(ctx, args.id, record, kept=retired.versions)
        self._save(ctx, args.id, retired)

    async def revoke(self, ctx: Context, args: take.OneKey) -> None:
        """End a key and its tokens at once. It stays listed as revoked for a while."""
        record = await self._known(ctx, args.id)
        if not record.revoked_at:
            await self._logins.end(ctx, f"login/{args.id}")
            self._save(ctx, args.id, msgspec.structs.replace(record, versions=(), revoked_at=ctx.now))

    async def delete(self, ctx: Context, args: take.OneKey) -> None:
        """End a key and its tokens at once, and forget it."""
        try:
            if await ctx.storage.load(KEY + args.id, ApiKey) is None:
                return
        except Tampered:
            await ctx.storage.discard(KEY + args.id)  # it goes all the same
        await self._logins.end(ctx, f"login/{args.id}")
        ctx.storage.delete(KEY + args.id)
        ctx.storage.delete(USED + args.id)

    # Clients

    async def log_in(self, ctx: Context, args: take.LogIn) -> Auth:
        """Give a token to who holds a living key. Raises: PermissionDenied, always in the same words."""
        text = args.api_key.reveal()
        found = id_in(text)
        salt = await ctx.storage.load(SALT, Salt)
        record = await ctx.storage.load(KEY + found, ApiKey) if found else None
        given = hash_of(text, NO_ONE if salt is None else salt.key)
        version = None
        for candidate in (record or _NOTHING).live(ctx.now) or _NOTHING.versions:
            if hmac.compare_digest(candidate.hash, given):
                version = candidate
        if record is None or version is None:
            raise PermissionDenied(REFUSED)
        try:
            record.tokens.check_source(ctx.connection.remote_address)
        except PermissionDenied:
            # Who found a key elsewhere must not learn from the answer that it is a good one.
            raise PermissionDenied(REFUSED) from None
        await self._note(ctx, found, version)
        return self._auth(ctx, found, record, version)

    def _auth(self, ctx: Context, found: str, record: ApiKey, version: Version) -> Auth:
        left = record.end_of(version) - ctx.now
        auth = record.tokens.auth(
            alias=found,
            alias_metadata={"name": record.name},
            display_name=record.name,
            below=_folder(found, version),
            metadata={**record.metadata, "key_id": found, "key_name": record.name},
            internal={
                "key": found,
                "version": version.number,
                "policies": list(record.tokens.policies),
                "since": ctx.now,
            },
        )
        if left < float("inf"):
            whole = timedelta(seconds=max(int(left), 1))
            auth.explicit_max_ttl = min(auth.explicit_max_ttl or whole, whole)
            auth.ttl = min(auth.ttl, whole)
        return auth

    async def _note(self, ctx: Context, found: str, version: Version) -> None:
        """Note a use, unless one was noted a moment ago."""
        used = await ctx.storage.load(USED + found, Used) or Used()
        if ctx.now - used.at.get(version.number, 0) >= NOTE_SECONDS:
            known = {number: at for number, at in used.at.items() if number >= version.number - 1}
            at = {**known, version.number: ctx.now}
            ctx.storage.save(USED + found, Used(at, ctx.connection.remote_address))

    async def renew_login(self, ctx: Context, login: Login) -> Auth | None:
        """Refuse renewal once the key, or the version that logged in, is dead or has other policies."""
        inside = login.internal
        record = await ctx.storage.load(KEY + str(inside.get("key", "")), ApiKey)
        number = inside.get("version")
        versions = () if record is None else record.live(ctx.now)
        version = next((found for found in versions if found.number == number), None)
        if record is None or version is None:
            raise PermissionDenied("the API key of this token is no longer valid")
        if tuple(inside.get("policies", ())) != record.tokens.policies:
            raise InvalidRequest("policies have changed, not renewing")
        settings = record.tokens
        age = ctx.now - float(inside.get("since", ctx.now))
        ends = record.end_of(version) - ctx.now
        top = min(settings.max_ttl or float("inf"), age + ends)
        return Auth(
            ttl=timedelta(seconds=settings.ttl),
            max_ttl=timedelta(seconds=max(int(top), 1)) if top < float("inf") else timedelta(0),
            period=timedelta(seconds=settings.period),
        )

    # The steward

    async def wake(self, ctx: Context, name: str) -> None:
        """Drop what is over of a key, tokens included: versions whose grace has ended, all of a dead one, its record."""
        record = await ctx.storage.load(KEY + name, ApiKey)
        if record is None:
            ctx.storage.delete(USED + name)
            return
        died_at = record.died_at(ctx.now)
        if died_at and ctx.now >= died_at + KEPT_SECONDS:
            ctx.storage.delete(KEY + name)
            ctx.storage.delete(USED + name)
            return
        kept = record.live(ctx.now)
        if kept != record.versions or died_at:
            await self._end(ctx, name, record, kept=kept)
            self._save(ctx, name, msgspec.structs.replace(record, versions=kept))

    # Helpers

    async def _end(self, ctx: Context, found: str, record: ApiKey, *, kept: tuple[Version, ...]) -> None:
        """End the tokens of the versions that go."""
        staying = {version.number for version in kept}
        for version in record.versions:
            if version.number not in staying:
                await self._logins.end(ctx, _folder(found, version, "login/"))

    def _save(self, ctx: Context, found: str, record: ApiKey) -> None:
        """Store a key and ask to be woken when something of it ends."""
        ctx.storage.save(KEY + found, record)
        ends = [version.ends_at for version in record.versions if version.ends_at > ctx.now]
        if record.expires_at > ctx.now:
            ends.append(record.expires_at)
        if (died_at := record.died_at(ctx.now)) > 0:
            ends = [died_at + KEPT_SECONDS]
        for when in ends:
            ctx.schedule(when + 0.001, found)  # the index has milliseconds: never a moment too early

    async def _known(self, ctx: Context, found: str) -> ApiKey:
        record = await ctx.storage.load(KEY + found, ApiKey)
        if record is None:
            raise NotFound
        return record

    async def _living(self, ctx: Context, found: str) -> ApiKey:
        """Raises: NotFound; Conflict for a key that is over: nothing brings one back."""
        record = await self._known(ctx, found)
        if not record.live(ctx.now):
            raise Conflict(f"the key is {record.state(ctx.now)}; create a new one")
        return record

    async def _salt(self, ctx: Context) -> bytes:
        """Return the mount's salt, made with its first key."""
        known = await ctx.storage.load(SALT, Salt)
        if known is None:
            known = Salt(ctx.random(32))
            ctx.storage.save(SALT, known)
        return known.key


_NOTHING = ApiKey("", 0, (Version(0, NO_ONE, "", 0),))
"""Compared with where there is no key, so that the work is the same."""


def _folder(found: str, version: Version, at: str = "") -> str:
    """Return where the logins of one version stand: below ``login/`` and the key's id, which ends them all."""
    return f"{at}{found}/v{version.number}"


def _name(given: str) -> str:
    trimmed = given.strip()
    if not trimmed or not trimmed.isprintable():
        raise InvalidRequest('field "name": expected printable text')
    return trimmed


def _metadata(given: Mapping[str, str]) -> dict[str, str]:
    if sum(len(key) + len(value) for key, value in given.items()) > MAX_METADATA:
        raise InvalidRequest(f'field "metadata": expected at most {MAX_METADATA} characters in all')
    return dict(given)


def _expiry(now: float, lasting: timedelta | None, at: datetime | None) -> float | None:
    """Return when a key expires as asked for: Unix seconds, zero for never, ``None`` for nothing said."""
    if lasting is not None and at is not None:
        raise InvalidRequest("expires_in and expires_at say the same thing: give one of them")
    if at is not None:
        if at.timestamp() <= now:
            raise InvalidRequest('field "expires_at": expected a time to come')
        return at.timestamp()
    if lasting is None:
        return None
    return now + lasting.total_seconds() if lasting else 0
