"""Roles and secret ids in a mount's storage: how they are found, made and ended."""

import hmac
import uuid
from dataclasses import dataclass

from broker.plugin import Context, View

from .records import (
    ACCESSOR,
    ROLE,
    ROLE_ID,
    SALT,
    SECRET,
    AccessorRecord,
    RoleIdRecord,
    RoleRecord,
    SaltRecord,
    SecretRecord,
)

BATCH = 200


@dataclass(frozen=True, slots=True)
class Known:
    """A secret id that is there: where it lies below its role, and its record."""

    name: str
    record: SecretRecord


async def salt_of(storage: View) -> bytes | None:
    """Return the mount's hashing key, if it has any role yet."""
    record = await storage.load(SALT, SaltRecord)
    return None if record is None else bytes.fromhex(record.key)


async def salted(ctx: Context) -> bytes:
    """Return the mount's hashing key, made now if need be."""
    key = await salt_of(ctx.storage)
    if key is None:
        key = ctx.random(32)
        ctx.storage.save(SALT, SaltRecord(key.hex()))
    return key


def hashed(key: bytes, kind: str, text: str) -> str:
    """Return the storage name of an id: 64 hex digits. ``kind`` keeps role ids and secret ids apart."""
    return hmac.digest(key, f"{kind}\0{text}".encode("utf-8", "surrogatepass"), "sha256").hex()


def new_id(ctx: Context) -> str:
    """Return a random id in the field's form (122 bits)."""
    return str(uuid.UUID(bytes=ctx.random(16), version=4))


async def role_name(storage: View, role_id: str) -> str:
    """Return the name of the role that has an id; empty if none has."""
    key = await salt_of(storage)
    found = None if key is None else await storage.load(ROLE_ID + hashed(key, "role", role_id), RoleIdRecord)
    return "" if found is None else found.name


async def role_by_id(storage: View, role_id: str) -> tuple[str, RoleRecord] | None:
    """Return the name and record of the role that has an id. The way to it may be left over from one of the same name."""
    name = await role_name(storage, role_id)
    role = await storage.load(ROLE + name, RoleRecord) if name else None
    return None if role is None or role.role_id != role_id else (name, role)


async def name_role(ctx: Context, name: str, role: RoleRecord, before: RoleRecord | None) -> bool:
    """Store a role and the way to it from its id. Returns ``False`` if another role has that id."""
    key = await salted(ctx)
    path = ROLE_ID + hashed(key, "role", role.role_id)
    if before is None or before.role_id != role.role_id:
        if await role_by_id(ctx.storage, role.role_id) is not None:
            return False
        if before is not None:
            ctx.storage.delete(ROLE_ID + hashed(key, "role", before.role_id))
        ctx.storage.save(path, RoleIdRecord(name))
    ctx.storage.save(ROLE + name, role)
    return True


async def drop_role(ctx: Context, name: str, role: RoleRecord) -> None:
    """Remove a role. Its secret ids are good for nothing from now on, and are cleared away in steps."""
    ctx.storage.delete(ROLE + name)
    ctx.storage.delete(ROLE_ID + hashed(await salted(ctx), "role", role.role_id))
    ctx.schedule(ctx.now, f"erase {role.uid}")


async def find_secret(ctx: Context, role: RoleRecord, secret_id: str) -> Known | None:
    """Return a role's secret id if it is there and has not expired."""
    key = await salt_of(ctx.storage)
    if key is None:
        return None
    name = hashed(key, "secret", secret_id)
    record = await ctx.storage.load(f"{SECRET}{role.uid}/{name}", SecretRecord)
    return Known(name, record) if record is not None and record.live(ctx.now) else None


async def find_accessor(ctx: Context, role: RoleRecord, accessor: str) -> Known | None:
    """Return the live secret id that an accessor refers to."""
    if "/" in accessor:
        return None
    index = await ctx.storage.load(f"{ACCESSOR}{role.uid}/{accessor}", AccessorRecord)
    if index is None:
        return None
    record = await ctx.storage.load(f"{SECRET}{role.uid}/{index.secret}", SecretRecord)
    return Known(index.secret, record) if record is not None and record.live(ctx.now) else None


def keep_secret(ctx: Context, role: RoleRecord, name: str, record: SecretRecord) -> None:
    """Store a new secret id, its accessor, and when it ends."""
    ctx.storage.save(f"{SECRET}{role.uid}/{name}", record)
    ctx.storage.save(f"{ACCESSOR}{role.uid}/{record.accessor}", AccessorRecord(name))
    if record.expires_at:
        ctx.schedule(record.expires_at, f"expire {role.uid}/{name}")


def change_secret(ctx: Context, role: RoleRecord, name: str, record: SecretRecord) -> None:
    """Store what became of a secret id."""
    ctx.storage.save(f"{SECRET}{role.uid}/{name}", record)


def drop_secret(storage: View, uid: str, name: str, record: SecretRecord) -> None:
    """Remove a secret id and its accessor."""
    storage.delete(f"{SECRET}{uid}/{name}")
    storage.delete(f"{ACCESSOR}{uid}/{record.accessor}")


async def expire(ctx: Context, path: str) -> None:
    """Remove the secret id at ``<uid>/<name>`` if its time has come."""
    record = await ctx.storage.load(SECRET + path, SecretRecord)
    if record is not None and not record.live(ctx.now):
        uid, _, name = path.partition("/")
        drop_secret(ctx.storage, uid, name, record)


async def erase(ctx: Context, uid: str) -> bool:
    """Take one bounded step in removing all that a role left behind. Returns whether nothing is left."""
    names = await ctx.storage.list(f"{SECRET}{uid}/", limit=BATCH)
    for name in names:
        record = await ctx.storage.load(f"{SECRET}{uid}/{name}", SecretRecord)
        if record is not None:
            drop_secret(ctx.storage, uid, name, record)
    return len(names) < BATCH


async def tidy(ctx: Context, after: str) -> str | None:
    """Take one bounded step through all secret ids behind ``after``. Returns where to go on, or ``None`` at the end."""
    paths = await ctx.storage.scan(SECRET, after=after, limit=BATCH)
    for path in paths:
        await expire(ctx, path)
    return paths[-1] if len(paths) == BATCH else None
