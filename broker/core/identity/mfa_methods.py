"""``identity/mfa/method``: how second proofs are made, and who has a key for them.

One kind of method so far: ``totp``, codes by the clock. Source: Vault's login MFA API documentation.
"""

import uuid
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from broker.access.identity import store
from broker.access.mfa.records import SECRET, TABLE, MfaTable, TotpMethod, TotpSecret
from broker.access.mfa.totp import ALGORITHMS, barcode, key_uri
from broker.core.identity.parts import Id, IdentityBase
from broker.core.mfa.proofs import table_of
from broker.plugin.context import Context
from broker.plugin.errors import InvalidRequest, NotFound
from broker.plugin.fields import Field
from broker.plugin.listings import Page
from broker.plugin.messages import Response
from broker.plugin.paths import Operation, Path
from broker.storage.due import mark_due

KIND = "mfa-keys"
MAX_METHODS = 256
MAX_QR_PIXELS = 1000


@dataclass(frozen=True, slots=True)
class WriteMethod:
    """What is left out takes the value in brackets, also when a method is changed; only its name stays."""

    method_name: Annotated[str | None, Field("A name to call the method by.", max_length=128)] = None
    issuer: Annotated[
        str | None, Field("Who the code is for, as authenticator apps show it.", max_length=128)
    ] = None
    period: Annotated[int | None, Field("Seconds that a code lasts [30].", maximum=3600)] = None
    key_size: Annotated[int | None, Field("Bytes of a key [20].", maximum=256)] = None
    algorithm: Annotated[str | None, Field("SHA1, SHA256 or SHA512 [SHA1].")] = None
    digits: Annotated[int | None, Field("Digits of a code, 6 or 8 [6].")] = None
    skew: Annotated[int | None, Field("Periods before and after that count too, 0 or 1 [1].")] = None
    qr_size: Annotated[
        int | None, Field("Pixels of the QR code, 0 for none [200].", minimum=0, maximum=MAX_QR_PIXELS)
    ] = None
    max_validation_attempts: Annotated[
        int | None, Field("Wrong codes taken in a period [5].", maximum=100)
    ] = None


@dataclass(frozen=True, slots=True)
class ChangeMethod(WriteMethod):
    method_id: Id = ""


@dataclass(frozen=True, slots=True)
class OneMethod:
    method_id: Id


@dataclass(frozen=True, slots=True)
class Key:
    method_id: Annotated[str, Field("Id of the method.", max_length=128)] = ""
    entity_id: Annotated[str, Field("Id of the entity.", max_length=128)] = ""


@dataclass(frozen=True, slots=True)
class OwnKey:
    method_id: Annotated[str, Field("Id of the method.", max_length=128)] = ""


async def create(engine: IdentityBase, ctx: Context, args: WriteMethod) -> dict[str, Any]:
    """Make a method and return its id."""
    made = _changed(TotpMethod(str(uuid.UUID(bytes=ctx.random(16), version=4)), ""), args)
    table = await table_of(ctx.transaction)
    if len(table.methods) >= MAX_METHODS:
        raise InvalidRequest(f"a namespace has at most {MAX_METHODS} MFA methods")
    _save(ctx, table, (*table.methods, made))
    return {"method_id": made.id}


async def change(engine: IdentityBase, ctx: Context, args: ChangeMethod) -> None:
    """Change a method. Keys that exist go on with the numbers that they were made with."""
    table, old = await _known(ctx, args.method_id)
    new = _changed(old, args)
    _save(ctx, table, tuple(new if method is old else method for method in table.methods))


async def read(engine: IdentityBase, ctx: Context, args: OneMethod) -> dict[str, Any]:
    """Return a method."""
    return shown((await _known(ctx, args.method_id))[1], ctx)


async def delete(engine: IdentityBase, ctx: Context, args: OneMethod) -> None:
    """Remove a method that no enforcement names, and every key for it."""
    table = await table_of(ctx.transaction)
    for enforcement in table.enforcements:
        if args.method_id in enforcement.methods:
            raise InvalidRequest(
                f"methodID is still used by an enforcement configuration with ID: {enforcement.id}"
            )
    _save(ctx, table, tuple(method for method in table.methods if method.id != args.method_id))
    mark_due(ctx.transaction, ctx.now, KIND, args.method_id)


async def list_all(engine: IdentityBase, ctx: Context, args: Page) -> dict[str, Any]:
    """Return the ids of all methods, with the methods."""
    found = {method.id: shown(method, ctx) for method in (await table_of(ctx.transaction)).methods}
    if not found:
        raise NotFound
    names = args.of(found)
    return {"keys": names, "key_info": {name: found[name] for name in names}}


async def generate(engine: IdentityBase, ctx: Context, args: OwnKey) -> Any:
    """Make a key for the caller's own entity, and show it this once."""
    method = await _method_for_key(ctx, args.method_id)
    if not ctx.caller.entity_id:
        raise InvalidRequest("missing entityID")
    return await _generate(ctx, method, ctx.caller.entity_id)


async def admin_generate(engine: IdentityBase, ctx: Context, args: Key) -> Any:
    """Make a key for an entity, and show it this once."""
    return await _generate(ctx, await _method_for_key(ctx, args.method_id), args.entity_id)


async def admin_destroy(engine: IdentityBase, ctx: Context, args: Key) -> None:
    """Remove an entity's key."""
    method = await _method_for_key(ctx, args.method_id)
    if await store.entity(ctx.transaction, args.entity_id) is None:
        raise InvalidRequest("invalid entity ID")
    ctx.transaction.delete(f"{SECRET}{method.id}/{args.entity_id}")


async def _generate(ctx: Context, method: TotpMethod, entity_id: str) -> Any:
    if await store.entity(ctx.transaction, entity_id) is None:
        raise InvalidRequest("invalid entity ID")
    place = f"{SECRET}{method.id}/{entity_id}"
    if await ctx.transaction.load(place, TotpSecret) is not None:
        return Response(warnings=[f'Entity already has a secret for MFA method "{method.name}"'])
    secret = TotpSecret(
        key=ctx.random(method.key_size).hex(),
        algorithm=method.algorithm,
        digits=method.digits,
        period=method.period,
        skew=method.skew,
    )
    ctx.transaction.save(place, secret)
    uri = key_uri(method, secret, entity_id)
    picture = {"barcode": await ctx.blocking(barcode, uri, method.qr_size)} if method.qr_size else {}
    return {**picture, "url": uri}


async def _method_for_key(ctx: Context, method_id: str) -> TotpMethod:
    if not method_id:
        raise InvalidRequest("missing method ID")
    for method in (await table_of(ctx.transaction)).methods:
        if method.id == method_id:
            return method
    raise InvalidRequest(f'configuration for method ID "{method_id}" does not exist')


async def _known(ctx: Context, method_id: str) -> tuple[MfaTable, TotpMethod]:
    table = await table_of(ctx.transaction)
    for method in table.methods:
        if method.id == method_id:
            return table, method
    raise NotFound


def _changed(old: TotpMethod, args: WriteMethod) -> TotpMethod:
    given = {
        "name": args.method_name,
        "issuer": args.issuer,
        "period": args.period,
        "key_size": args.key_size,
        "algorithm": args.algorithm,
        "digits": args.digits,
        "skew": args.skew,
        "qr_size": args.qr_size,
        "max_validation_attempts": args.max_validation_attempts,
    }
    base = TotpMethod(old.id, "", old.name)
    new = msgspec.structs.replace(base, **{name: value for name, value in given.items() if value is not None})
    for wrong, sentence in (
        (new.period <= 0, "period must be greater than zero"),
        (new.key_size <= 0, "key_size must be greater than zero"),
        (new.algorithm not in ALGORITHMS, "unrecognized algorithm"),
        (new.digits not in (6, 8), "digits can only be 6 or 8"),
        (new.skew not in (0, 1), "skew must be 0 or 1"),
        (new.max_validation_attempts <= 0, "max_validation_attempts must be greater than zero"),
        (not new.issuer, "issuer must be set"),
    ):
        if wrong:
            raise InvalidRequest(sentence)
    return new


def _save(ctx: Context, table: MfaTable, methods: tuple[TotpMethod, ...]) -> None:
    ctx.transaction.save(TABLE, msgspec.structs.replace(table, methods=methods))


def shown(method: TotpMethod, ctx: Context) -> dict[str, Any]:
    """Return a method as reads and lists show it."""
    return {
        "algorithm": method.algorithm,
        "digits": method.digits,
        "id": method.id,
        "issuer": method.issuer,
        "key_size": method.key_size,
        "max_validation_attempts": method.max_validation_attempts,
        "name": method.name,
        "namespace_id": ctx.namespace.id,
        "namespace_path": ctx.namespace.path,
        "period": method.period,
        "qr_size": method.qr_size,
        "skew": method.skew,
        "type": "totp",
    }


PATHS = (
    Path("mfa/method", "All MFA methods.", list=Operation(Page, dict, calls=list_all)),
    Path("mfa/method/{method_id}", "One MFA method.", read=Operation(OneMethod, dict, calls=read)),
    Path(
        "mfa/method/totp",
        "Make a TOTP method; list those there are.",
        update=Operation(WriteMethod, dict, calls=create),
        list=Operation(Page, dict, calls=list_all),
    ),
    Path(
        "mfa/method/totp/{method_id}",
        "One TOTP method.",
        read=Operation(OneMethod, dict, calls=read),
        update=Operation(ChangeMethod, None, calls=change),
        delete=Operation(OneMethod, None, calls=delete),
    ),
    Path("mfa/method/totp/generate", "A key for the caller.", update=Operation(OwnKey, dict, calls=generate)),
    Path(
        "mfa/method/totp/admin-generate",
        "A key for an entity.",
        update=Operation(Key, dict, calls=admin_generate),
    ),
    Path(
        "mfa/method/totp/admin-destroy",
        "Remove an entity's key.",
        update=Operation(Key, None, calls=admin_destroy),
    ),
)
