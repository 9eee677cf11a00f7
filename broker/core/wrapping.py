"""Response wrapping: the answer waits behind a one-time token.

The token is a service token of the request's tenant with the policy ``response-wrapping`` and one use; the answer lies
as JSON text in its cubbyhole, at ``response``. Both are written in the request's own transaction. Taking the answer out
leaves the token's entry behind, dead, until it would have expired: so a second attempt is told from a wrong token.
Source: Vault's response wrapping concept page and ``sys/wrapping`` API documentation.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from broker.access.lifetimes import issue_time
from broker.access.policy.default_policies import RESPONSE_WRAPPING
from broker.access.records import TokenEntry
from broker.access.tokens import ID
from broker.core.events import SECOND_UNWRAP, Event, Events
from broker.core.jsontext import encode
from broker.core.requests import Request
from broker.core.tenants import Tenant
from broker.core.tokens import home_of
from broker.plugin.context import Context
from broker.plugin.errors import InvalidRequest, PermissionDenied
from broker.plugin.messages import Auth, Plain, Raw, Response, WrapInfo
from broker.plugin.secret import Secret
from broker.storage.transaction import Transaction

INVALID = "wrapping token is not valid or does not exist"
BAD_TOKEN = "error validating wrapping token"  # noqa: S105 - a sentence
TAKING = frozenset(("sys/wrapping/unwrap", "sys/wrapping/rewrap"))
"""Paths that take what a wrapping token holds: the token is judged before the caller is."""

KEPT_SECONDS = 768 * 3600
"""How long the entry of a used wrapping token is kept at most, to recognise it."""


class Wrapped(msgspec.Struct, frozen=True):
    """An answer in its token's cubbyhole: ``data["response"]`` is JSON text, as an entry of the cubbyhole engine."""

    v: int = 1
    data: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Held:
    """A wrapping token that is good, where it lives, and the transaction to take its answer in."""

    name: str
    entry: TokenEntry
    tenant: Tenant
    tx: Transaction
    own: bool

    async def take(self, now: float) -> dict[str, Any]:
        """Remove the answer and end the token. Raises: InvalidRequest if there is none."""
        record = await self.tx.load(_place(self.name), Wrapped)
        if record is None:
            raise InvalidRequest(INVALID)
        self.tx.delete(_place(self.name))
        ends = min(self.entry.created_at + self.entry.ttl, now + KEPT_SECONDS)
        used = msgspec.structs.replace(self.entry, num_uses=-1, expires_at=max(ends, now))
        self.tenant.tokens.update(self.tx, self.name, self.entry, used)
        body: dict[str, Any] = json.loads(record.data["response"])
        return body

    async def settle(self) -> None:
        """Commit in a namespace above, which the request's own transaction cannot carry."""
        if not self.own:
            await self.tx.commit()


async def wrap(tenant: Tenant, tx: Transaction, response: Response, path: str, context: Context) -> Response:
    """Put ``response`` behind a wrapping token, in the request's transaction, and return what the caller is told.

    An answer without a body (204) stays as it is, and so does one that its handler has wrapped.
    """
    if response.wrap_info is not None or (response.empty and not response.warnings):
        return response
    assert context.wrap_ttl is not None
    info = await store(
        tenant, tx, _body(response, context.request_id), path, whole_ttl(context.wrap_ttl), context.now
    )
    return Response(wrap_info=info, mount_type=response.mount_type)


async def store(
    tenant: Tenant, tx: Transaction, body: Mapping[str, Any], path: str, ttl: int, now: float
) -> WrapInfo:
    """Make a wrapping token that lives ``ttl`` seconds and holds ``body``."""
    made = await tenant.tokens.fresh(tx)
    entry = TokenEntry(
        accessor=made.accessor,
        policies=(RESPONSE_WRAPPING,),
        path=path,
        created_at=int(now),
        num_uses=1,
        ttl=ttl,
        explicit_max_ttl=ttl,
        expires_at=now + ttl,
        issue_time=issue_time(now),
    )
    token = tenant.tokens.mint(tx, entry, made)
    tx.save(_place(made.name), Wrapped(data={"response": encode(body).decode()}))
    accessor = (body.get("auth") or {}).get("accessor") or _secret_id_accessor(body)
    return WrapInfo(token, entry.accessor, ttl, now, path, accessor)


async def find(
    tenant: Tenant, tx: Transaction | None, token: str, now: float, *, spent: str = ""
) -> Held | None:
    """Return a wrapping token of ``tenant`` or a namespace above it, or ``None`` if it is not good.

    ``tx`` is the request's transaction on ``tenant``; without it one of its own is begun. ``spent`` is the storage name
    of the token whose last use this very request is.
    """
    home = home_of(tenant, token)
    if home is None:
        return None
    own = home is tenant and tx is not None
    place = tx if own and tx is not None else await home.store.begin()
    name = await home.tokens.name_of(place, token)
    entry = await (
        place.load(ID + name, TokenEntry) if name == spent else home.tokens.alive(place, name, now)
    )
    if entry is None or entry.policies != (RESPONSE_WRAPPING,) or entry.revoked:
        return None
    return Held(name, entry, home, place, own)


async def check_shown(tenant: Tenant, request: Request, now: float, events: Events) -> None:
    """Judge the wrapping token that a request would take from, before its caller is judged.

    Raises: PermissionDenied without a token; InvalidRequest for one that is not good. One that was used already is
    told to whoever listens, with the paths and times that help to find out who has it.
    """
    token = shown(request.data.get("token"), request.token)
    if await find(tenant, None, token, now, spent=request.spent) is not None:
        return
    home = home_of(tenant, token)
    if home is not None:
        tx = await home.store.begin()
        entry = await tx.load(ID + await home.tokens.name_of(tx, token), TokenEntry)
        if entry is not None and entry.policies == (RESPONSE_WRAPPING,) and entry.num_uses < 0:
            facts = {
                "accessor": entry.accessor,
                "creation_path": entry.path,
                "creation_time": entry.issue_time,
                "request_id": request.id,
                "remote_address": request.connection.remote_address,
            }
            events.emit(Event(SECOND_UNWRAP, home.info.path, facts))
    raise InvalidRequest(INVALID)


async def revoke_wrapped(tenant: Tenant, tx: Transaction, info: WrapInfo, now: float) -> None:
    """Revoke a wrapping token that nobody was told of, and the token that waits behind it."""
    await tenant.tokens.revoke(tx, await tenant.tokens.name_of(tx, info.token.reveal()), now=now)
    if info.wrapped_accessor:
        found = await tenant.tokens.by_accessor(tx, info.wrapped_accessor, now)
        if found is not None:
            await tenant.tokens.revoke(tx, found.hash, now=now)


def shown(given: object, own: Secret[str] | None) -> str:
    """Return the token in the body, else the caller's own. Raises: PermissionDenied if there is neither."""
    if given is not None and not isinstance(given, str):
        raise PermissionDenied(f"{BAD_TOKEN}: could not decode token in request body")
    if given == "":
        raise PermissionDenied(f"{BAD_TOKEN}: empty token in request body")
    if given is None and own is None:
        raise PermissionDenied(f"{BAD_TOKEN}: token is empty")
    return given if given is not None else own.reveal() if own is not None else ""


def restored(body: Mapping[str, Any]) -> Response:
    """Return a wrapped answer as it was."""
    raw, plain, auth = body.get("raw"), body.get("plain"), body.get("auth")
    return Response(
        data=body.get("data"),
        auth=None if auth is None else _auth(auth),
        lease_id=body.get("lease_id", ""),
        renewable=body.get("renewable", False),
        lease_duration=body.get("lease_duration", 0),
        warnings=list(body.get("warnings") or ()),
        plain=None if plain is None else Plain(plain["body"], plain["status"]),
        raw=None if raw is None else Raw(b64decode(raw["body"]), raw["content_type"], raw["status"]),
        mount_type=body.get("mount_type", ""),
        mirror=body.get("mirror", False),
        status=body.get("status", 200),
    )


def _secret_id_accessor(body: Mapping[str, Any]) -> str:
    """Return the accessor of a wrapped secret id: who hands it on may name it, as with a token's."""
    data = body.get("data")
    found = data.get("secret_id_accessor") if isinstance(data, dict) else None
    return found if isinstance(found, str) else ""


def _place(name: str) -> str:
    return f"cubbyhole/{name}/response"


def whole_ttl(seconds: float) -> int:
    """Return a wrapping TTL in whole seconds, rounded up: never zero."""
    return max(int(-(-seconds // 1)), 1)


_LISTS = frozenset(("policies", "token_policies", "identity_policies"))
_AUTH = (
    "accessor",
    "policies",
    "token_policies",
    "identity_policies",
    "metadata",
    "lease_duration",
    "renewable",
    "entity_id",
    "token_type",
    "orphan",
    "num_uses",
    "display_name",
    "expires_at",
    "capped_by",
)
"""What the ``auth`` block of an answer tells, besides the token."""


def _body(response: Response, request_id: str) -> dict[str, Any]:
    """Write an answer in the envelope's shape, with what else it takes to answer it again."""
    auth, raw, plain = response.auth, response.raw, response.plain
    body: dict[str, Any] = {
        "request_id": request_id,
        "lease_id": response.lease_id,
        "renewable": response.renewable,
        "lease_duration": response.lease_duration,
        "data": response.data,
        "wrap_info": None,
        "warnings": response.warnings or None,
        "auth": None,
        "mount_type": response.mount_type,
    }
    if auth is not None:
        token = "" if auth.client_token is None else auth.client_token.reveal()
        body["auth"] = {"client_token": token, **{key: getattr(auth, key) for key in _AUTH}}
    if plain is not None:
        body["plain"] = {"body": plain.body, "status": plain.status}
    if raw is not None:
        body["raw"] = {
            "body": b64encode(raw.body).decode(),
            "content_type": raw.content_type,
            "status": raw.status,
        }
    if response.mirror:
        body["mirror"] = True
    if response.status != 200:
        body["status"] = response.status
    return body


def _auth(body: Mapping[str, Any]) -> Auth:
    values: dict[str, Any] = {key: body[key] for key in _AUTH if key in body}
    values.update({key: tuple(values[key] or ()) for key in _LISTS})
    return Auth(client_token=Secret(body["client_token"]), **values)
