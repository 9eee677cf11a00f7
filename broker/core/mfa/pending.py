"""Logins that wait for their second proof.

The request id is what the caller must come back with, so it is random and stored under its keyed hash only. A login
waits ``WAITS_SECONDS``; then it is gone, whether or not the steward came by.

It is over before that as soon as the first proof might no longer be one: where any row of its mount that the method read to
judge it has changed or gone (a password, a role, the mount's configuration), where its alias no longer leads to the entity that
it was recognised as, and with its mount. Whoever waits then logs in again.
"""

import hashlib
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from broker.access.identity.store import entity_by_alias
from broker.access.mfa.records import PENDING, PendingLogin
from broker.core.routing import storage_prefix
from broker.core.tenants import Tenant
from broker.plugin.context import Context, Mount
from broker.plugin.messages import Auth
from broker.storage.due import mark_due, unmark_due
from broker.storage.transaction import Transaction

KIND = "mfa-login"
WAITS_SECONDS = 300
MAX_ROWS = 256
NOTE = (
    "A login request was issued that is subject to MFA validation. Please make sure to validate the login by sending "
    "another request to mfa/validate endpoint."
)

_DURATIONS = ("ttl", "max_ttl", "period", "explicit_max_ttl")
_LISTS = ("policies", "group_aliases", "bound_cidrs")
_PLAIN = (
    "display_name",
    "num_uses",
    "renewable",
    "metadata",
    "token_type",
    "alias",
    "alias_metadata",
    "no_default_policy",
    "strictly_bind_ip",
    "below",
)
"""What an auth method says of a login: all that minting its token needs."""


async def hold(tenant: Tenant, tx: Transaction, auth: Auth, mount: Mount, ctx: Context, *, role: str) -> str:
    """Keep a login until its second proof comes, in the request's transaction. Returns its request id."""
    request_id = str(uuid.UUID(bytes=ctx.random(16), version=4))
    name = await tenant.tokens.hash_of(tx, request_id)
    ends = ctx.now + WAITS_SECONDS
    rows = {} if auth.below else await _rows(tx, storage_prefix(mount))  # below: its method tells by itself
    said = _said(auth)
    tx.save(
        PENDING + name,
        PendingLogin(mount.accessor, ctx.path, role, ends, said, entity=auth.entity_id, rows=rows),
    )
    mark_due(tx, ends, KIND, name)
    return request_id


async def find(tenant: Tenant, tx: Transaction, request_id: str, now: float) -> PendingLogin | None:
    """Return the login that waits under a request id."""
    found = await tx.load(PENDING + await tenant.tokens.hash_of(tx, request_id), PendingLogin)
    if found is None or found.expires_at - WAITS_SECONDS < tenant.tokens.since:
        return None
    return found if now < found.expires_at else None


async def stands(tx: Transaction, found: PendingLogin, mount: Mount) -> bool:
    """Tell whether what a waiting login rests on is as it was. The commit rests on it, too."""
    known = await entity_by_alias(tx, found.accessor, found.auth["alias"])
    if known is None or known.id != found.entity:
        return False
    prefix = storage_prefix(mount)
    for path, digest in found.rows.items():
        if _digest(await tx.get(prefix + path)) != digest:
            return False
    return True


async def release(tenant: Tenant, tx: Transaction, request_id: str, found: PendingLogin) -> Auth:
    """End the waiting and return what the login's method said. Only one request can: the commit rests on it."""
    name = await tenant.tokens.hash_of(tx, request_id)
    forget(tx, name)
    unmark_due(tx, found.expires_at, KIND, name)
    return _auth(found.auth)


def forget(tx: Transaction, name: str) -> None:
    """Drop a login that waited too long."""
    tx.delete(PENDING + name)


async def _rows(tx: Transaction, prefix: str) -> dict[str, str]:
    """Return the rows below ``prefix`` that were read in this request, as it leaves them.

    What it deletes has been used up by it and may be another's next. Of very many, the last decided.
    """
    read = [path for path in tx.observed() if path.startswith(prefix)][-MAX_ROWS:]
    written = tx.pending()
    return {
        path[len(prefix) :]: _digest(await tx.get(path))
        for path in read
        if path not in written or written[path] is not None
    }


def _digest(value: bytes | None) -> str:
    return "" if value is None else hashlib.sha256(value).hexdigest()


def _said(auth: Auth) -> dict[str, Any]:
    return {
        **{name: getattr(auth, name) for name in _PLAIN},
        **{name: getattr(auth, name).total_seconds() for name in _DURATIONS},
        **{name: list(getattr(auth, name)) for name in _LISTS},
        "internal": dict(auth.internal),
    }


def _auth(said: Mapping[str, Any]) -> Auth:
    values: dict[str, Any] = {name: said[name] for name in _PLAIN}
    values.update({name: timedelta(seconds=said[name]) for name in _DURATIONS})
    values.update({name: tuple(said[name]) for name in _LISTS})
    return Auth(internal=said["internal"], **values)
