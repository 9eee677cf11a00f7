"""The token store of a tenant: mint, look up, renew, revoke.

Layout in the tenant's store::

    sys/token/salt                       the hashing key
    sys/token/id/<hash>                  TokenEntry; the hash is its accessor's
    sys/token/child/<parent>/<child>     index of children
    sys/lease/id/<path>/h<time><hash>    the token's own lease: finds it below the path that made it
    sys/token/leases/<hash>              TokenLeases: that secrets were leased to it, which die with it
    sys/due/<time>/token-<hash>          its place in the due index

A token dies with any of its ancestors: ``lookup`` walks the (cached) parents, so revoking a parent acts on the whole
tree with one write, and the steward clears the remains in bounded steps.

A token's accessor is derived from it under the hashing key, and its storage name from the accessor: one row is found by both.
Of the rows of a new token only that one lies at a random place; the others lie beside their like of the same time, so a login
touches few pages of the store however many tokens there are.
"""

import hmac
import math
import secrets
from dataclasses import dataclass

import msgspec

from broker.access.base62 import base62, letters_of
from broker.access.batch import PREFIX as BATCH_PREFIX
from broker.access.batch import BatchTokens
from broker.access.permits import release
from broker.access.records import TokenEntry, TokenSalt
from broker.plugin.errors import Tampered
from broker.plugin.messages import Auth
from broker.plugin.secret import Secret
from broker.storage.due import mark_due, unmark_due
from broker.storage.transaction import Transaction

ID = "sys/token/id/"
CHILD = "sys/token/child/"
SALT = "sys/token/salt"
LEASE = "sys/lease/id/"
LEASES = "sys/token/leases/"
MARK = b'{"v":1}'
"""What stands at a path that says all."""
MAX_DEPTH = 64
"""Ancestors a token may have; deeper chains are refused at creation."""
UNREADABLE = TokenEntry(accessor="", policies=(), path="auth/token/unreadable", created_at=0)
"""What stands for a token whose entry does not open, while it is ended."""


def lease_path(name: str, entry: TokenEntry) -> str:
    """Return where a token's own lease lies: at its lease id.

    That is the path that made it, ``/h``, when it was made (Unix seconds, 8 hex digits), its storage name, and the
    namespace's suffix.
    """
    _, dot, namespace = entry.accessor.partition(".")
    return f"{LEASE}{entry.path.rstrip('/')}/h{entry.created_at & 0xFFFFFFFF:08x}{name}{dot}{namespace}"


@dataclass(frozen=True, slots=True)
class Fresh:
    """A token that is not stored yet: itself, its accessor, and the name it will be stored under."""

    token: Secret[str]
    accessor: str
    name: str


@dataclass(frozen=True, slots=True)
class Found:
    """A live token: its storage name and entry, and the policies that its entity adds, where they were worked out."""

    hash: str
    entry: TokenEntry
    identity_policies: tuple[str, ...] = ()


class TokenStore:
    """Tokens of one tenant. Stateless but for the hashing key, which never changes once made.

    ``since`` (Unix seconds): tokens from before it are dead, because the store was put back to an earlier state.
    """

    def __init__(self, namespace_id: str, since: int = 0) -> None:
        self.since = since
        self._suffix = "" if namespace_id == "root" else "." + namespace_id
        self._batch = BatchTokens(self._suffix)
        self._salt: bytes | None = None

    async def _key(self, tx: Transaction) -> bytes:
        if self._salt is None:
            record = await tx.load(SALT, TokenSalt)
            if record is None:
                raise Tampered(f"{SALT} is missing")
            self._salt = bytes.fromhex(record.key)
        return self._salt

    @staticmethod
    def prepare(tx: Transaction) -> None:
        """Give a new tenant its hashing key."""
        tx.save(SALT, TokenSalt(secrets.token_hex(32)))

    async def hash_of(self, tx: Transaction, text: str) -> str:
        """Return what something secret or personal is stored under: 64 hex digits of a keyed hash."""
        key = self._salt or await self._key(tx)
        return hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256").hex()

    async def accessor_of(self, tx: Transaction, token: str) -> str:
        """Return a token's accessor: 24 base62 characters and the namespace's suffix. It does not lead back to the token."""
        key = self._salt or await self._key(tx)
        text, found = b"accessor\0" + token.encode("utf-8", "surrogatepass"), ""
        while len(found) < 24:
            found += letters_of(hmac.digest(key, len(found).to_bytes() + text, "sha256"))
        return found[:24] + self._suffix

    async def name_of(self, tx: Transaction, token: str) -> str:
        """Return the storage name of a token."""
        return await self.hash_of(tx, await self.accessor_of(tx, token))

    async def fresh(self, tx: Transaction, *, custom: str | None = None) -> Fresh:
        """Make up a token, or take a ``custom`` id that the caller has authorised."""
        text = f"{custom}{self._suffix}" if custom is not None else f"hvs.{base62(24)}{self._suffix}"
        accessor = await self.accessor_of(tx, text)
        return Fresh(Secret(text), accessor, await self.hash_of(tx, accessor))

    async def lookup(self, tx: Transaction, token: str, now: float) -> Found | None:
        """Return a live token, or ``None`` if it is unknown, expired, revoked or below one that is."""
        if token.startswith(BATCH_PREFIX):
            return await self._lookup_batch(tx, token, now)
        name = await self.name_of(tx, token)
        entry = await self.alive(tx, name, now)
        return None if entry is None else Found(name, entry)

    async def _lookup_batch(self, tx: Transaction, token: str, now: float) -> Found | None:
        """A batch token has no storage name; it dies with its parent however that ends."""
        entry = self._batch.open(tx.codec, token)
        if entry is None or not self._lives(entry, now):
            return None
        if entry.parent and await self.alive(tx, entry.parent, now) is None:
            return None
        return Found("", entry)

    async def alive(self, tx: Transaction, name: str, now: float) -> TokenEntry | None:
        """Return the entry stored as ``name`` if it and all its ancestors live."""
        entry = await tx.load(ID + name, TokenEntry)
        if entry is None or entry.severed or not self._lives(entry, now):
            return None
        parent = entry.parent
        while parent:
            above = await tx.load(ID + parent, TokenEntry)
            if above is None or (not above.severed and not self._lives(above, now)):
                return None
            parent = "" if above.severed else above.parent
        return entry

    def _lives(self, entry: TokenEntry, now: float) -> bool:
        unspent = not entry.revoked and entry.num_uses >= 0 and entry.created_at >= self.since
        return unspent and (not entry.expires_at or entry.expires_at > now)

    async def horizon(self, tx: Transaction, entry: TokenEntry) -> float:
        """Return when a live token dies by itself or with an ancestor, in Unix seconds; infinity for never."""
        until = entry.expires_at or math.inf
        parent = entry.parent
        while parent:
            above = await tx.load(ID + parent, TokenEntry)
            if above is None or above.severed:
                break
            until = min(until, above.expires_at or math.inf)
            parent = above.parent
        return until

    async def is_orphan(self, tx: Transaction, entry: TokenEntry) -> bool:
        """Tell whether a live token has no living parent to die with: it never had, or that was revoked alone."""
        if not entry.parent:
            return True
        above = await tx.load(ID + entry.parent, TokenEntry)
        return above is None or above.severed

    async def by_accessor(self, tx: Transaction, accessor: str, now: float) -> Found | None:
        """Return the live token that ``accessor`` refers to."""
        name = await self.hash_of(tx, accessor)
        entry = await self.alive(tx, name, now)
        return None if entry is None else Found(name, entry)

    def mint(self, tx: Transaction, entry: TokenEntry, made: Fresh | None) -> Secret[str]:
        """Store a new token and its indexes, and return it. ``entry.accessor`` is the one of ``made``.

        A batch token is not stored and has no ``made``: it carries its entry.
        The parent, where there is one, was read in this transaction: if it is revoked meanwhile, the commit conflicts.
        """
        if made is None:
            return Secret(self._batch.seal(tx.codec, entry))
        name = made.name
        tx.save(ID + name, entry)
        if entry.parent:
            tx.mark(f"{CHILD}{entry.parent}/{name}", MARK)
        if entry.expires_at:
            mark_due(tx, entry.expires_at, "token", name)
        tx.mark(lease_path(name, entry), MARK)
        return made.token

    async def taken(self, tx: Transaction, made: Fresh) -> bool:
        """Tell whether a custom id is in use."""
        return await tx.load(ID + made.name, TokenEntry) is not None

    def update(self, tx: Transaction, name: str, old: TokenEntry, new: TokenEntry) -> None:
        """Store a changed entry, moving its place in the due index along."""
        tx.save(ID + name, new)
        if old.expires_at != new.expires_at:
            if old.expires_at:
                unmark_due(tx, old.expires_at, "token", name)
            if new.expires_at:
                mark_due(tx, new.expires_at, "token", name)

    async def revoke(self, tx: Transaction, name: str, *, now: float) -> None:
        """Revoke a token and, by descent, everything below it. Revoking what is gone is allowed."""
        entry = await self._to_end(tx, name)
        if entry is None or entry.revoked or entry.severed:
            return  # a severed one is dead already, and its children are no longer its own
        if await tx.list(f"{CHILD}{name}/", limit=1) or await self._has_belongings(tx, name):
            dead = msgspec.structs.replace(entry, revoked=True, expires_at=now)
            self.update(tx, name, entry, dead)
            return
        await self.erase(tx, name, entry)

    async def _to_end(self, tx: Transaction, name: str) -> TokenEntry | None:
        """Return the entry of a token that is to end. One that does not open gives way: its holder is nobody by now."""
        try:
            return await tx.load(ID + name, TokenEntry)
        except Tampered:
            await tx.discard(ID + name)
            return UNREADABLE

    async def _has_belongings(self, tx: Transaction, name: str) -> bool:
        # Read, not listed: with it the commit rests on no secret being leased to the token meanwhile.
        try:
            return await tx.get(LEASES + name) is not None
        except Tampered:
            return True

    async def sever(self, tx: Transaction, name: str, *, now: float) -> None:
        """Revoke a token but let its children live on as orphans; not those of one whose entry does not open."""
        try:
            entry = await tx.load(ID + name, TokenEntry)
        except Tampered:
            await self.revoke(tx, name, now=now)
            return
        if entry is None:
            return
        if not await tx.list(f"{CHILD}{name}/", limit=1):
            await self.revoke(tx, name, now=now)
            return
        severed = msgspec.structs.replace(entry, severed=True, expires_at=now)
        self.update(tx, name, entry, severed)

    async def erase(self, tx: Transaction, name: str, entry: TokenEntry) -> None:
        """Remove a token that has no children left: its entry, indexes and cubbyhole."""
        tx.delete(ID + name)
        tx.delete(lease_path(name, entry))
        tx.delete(LEASES + name)
        if entry.parent:
            tx.delete(f"{CHILD}{entry.parent}/{name}")
        if entry.expires_at:
            unmark_due(tx, entry.expires_at, "token", name)
        await release(tx, entry.permit)
        for path in await tx.scan(f"cubbyhole/{name}/"):
            tx.delete(f"cubbyhole/{name}/{path}")

    async def clear(self, tx: Transaction, name: str, *, now: float, batch: int = 200) -> bool:
        """Take one bounded step in ending a dead token's tree. Returns whether it is wholly gone.

        Children of a revoked or expired token are revoked in turn (they were dead already, by descent); children of a
        severed one become orphans.
        """
        entry = await self._to_end(tx, name)
        if entry is None:
            return True
        children = await tx.list(f"{CHILD}{name}/", limit=batch)
        for child in children:
            below = await self._to_end(tx, child)
            tx.delete(f"{CHILD}{name}/{child}")
            if below is None:
                continue
            if entry.severed and below is not UNREADABLE:
                self.update(tx, child, below, msgspec.structs.replace(below, parent=""))
            else:
                dead = msgspec.structs.replace(below, parent="", revoked=True, expires_at=now)
                self.update(tx, child, below, dead)
        if len(children) == batch:
            return False
        await self.erase(tx, name, entry)
        return True

    async def tidy(self, tx: Transaction, after: str, *, now: float, batch: int = 200) -> None:
        """Take one bounded step through the tokens behind ``after``, and enter the next one as due.

        Drops tokens whose parent is gone, and those that do not open: nothing should leave such, so this costs only reads.
        """
        names = await tx.list(ID, after=after, limit=batch)
        for name in names:
            if await self._is_lost(tx, name):
                await self.revoke(tx, name, now=now)
        if len(names) == batch:
            mark_due(tx, now, "tidy", names[-1])

    async def _is_lost(self, tx: Transaction, name: str) -> bool:
        """Tell whether a token's parent is gone, or the entry of either does not open."""
        try:
            entry = await tx.load(ID + name, TokenEntry)
            if entry is None or not entry.parent:
                return False
            return await tx.load(ID + entry.parent, TokenEntry) is None
        except Tampered:
            return True

    async def reinstate_due(self, tx: Transaction, name: str, *, now: float) -> None:
        """Give a token its place in the due index again, which was lost; one that does not open is revoked."""
        try:
            entry = await tx.load(ID + name, TokenEntry)
        except Tampered:
            await self.revoke(tx, name, now=now)
            return
        if entry is not None and entry.expires_at:
            mark_due(tx, entry.expires_at, "token", name)


def auth_of(entry: TokenEntry, token: Secret[str] | None, *, policies: tuple[str, ...]) -> Auth:
    """Return the ``auth`` block that announces a token."""
    return Auth(
        policies=policies,
        token_policies=policies,
        display_name=entry.display_name,
        client_token=token,
        accessor=entry.accessor,
        metadata=entry.meta or {},
        lease_duration=entry.ttl,
        renewable=entry.renewable,
        entity_id=entry.entity_id,
        token_type=entry.type,
        orphan=not entry.parent,
        num_uses=entry.num_uses,
        expires_at=entry.expires_at,
        capped_by=entry.capped_by,
    )


__all__ = [
    "Found",
    "Fresh",
    "TokenStore",
    "auth_of",
    "base62",
]
