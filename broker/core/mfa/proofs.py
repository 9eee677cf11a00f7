"""Judging second proofs: which a login owes, and whether it has shown them.

Every attempt is counted, and a good code spent, in a transaction of its own that is durable before the login goes on: a
crash in between loses a code, and no code is ever good twice, whichever worker sees it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from broker.access.identity import store
from broker.access.identity.membership import memberships
from broker.access.mfa.records import SECRET, TABLE, Enforcement, MfaTable, TotpMethod, TotpSecret
from broker.access.mfa.totp import matching_step
from broker.core.tenants import Tenant
from broker.core.transact import transact
from broker.plugin.context import Context, Mount
from broker.plugin.errors import InvalidRequest, PermissionDenied
from broker.storage.transaction import Transaction

EMPTY = MfaTable()
MAX_PROOFS = 64

Proofs = Mapping[str, str]
"""What a caller shows: a code by method id or name."""


@dataclass(frozen=True, slots=True)
class Owed:
    """The enforcements that a login comes under, with their methods, and the entity that is to prove itself."""

    entity: str
    constraints: tuple[tuple[Enforcement, tuple[TotpMethod, ...]], ...]

    def requirement(self, request_id: str) -> dict[str, object]:
        """Return ``mfa_requirement`` as the answer to the login tells it."""
        return {
            "mfa_request_id": request_id,
            "mfa_constraints": {
                enforcement.name: {"any": [_told(method) for method in methods]}
                for enforcement, methods in self.constraints
            },
        }


def _told(method: TotpMethod) -> dict[str, object]:
    told: dict[str, object] = {"type": "totp", "id": method.id, "uses_passcode": True}
    return {**told, "name": method.name} if method.name else told


async def table_of(tx: Transaction) -> MfaTable:
    """Return the tenant's methods and enforcements."""
    return await tx.load(TABLE, MfaTable) or EMPTY


async def owed(tx: Transaction, mount: Mount, entity_id: str) -> Owed | None:
    """Return what a login at ``mount`` owes besides its first proof; ``None``, after one cached read, for nothing."""
    table = await tx.load(TABLE, MfaTable)
    if table is None or not table.enforcements:
        return None
    groups: frozenset[str] = frozenset()
    if entity_id and any(enforcement.groups for enforcement in table.enforcements):
        found = await store.entity(tx, entity_id)
        if found is not None:
            groups = frozenset(group.id for group in (await memberships(tx, found)).all)
    concerned = [
        enforcement
        for enforcement in table.enforcements
        if enforcement.concerns(accessor=mount.accessor, kind=mount.type, entity=entity_id, groups=groups)
    ]
    if not concerned:
        return None
    if not entity_id:
        raise PermissionDenied  # nobody who could have a second proof
    methods = {method.id: method for method in table.methods}
    return Owed(
        entity_id,
        tuple(
            (enforcement, tuple(methods[each] for each in enforcement.methods if each in methods))
            for enforcement in concerned
        ),
    )


def proofs_in_headers(headers: Mapping[str, str]) -> Proofs | None:
    """Read ``X-Vault-MFA``: ``method:code``, several joined by commas. ``None`` if the header is not there."""
    text = headers.get("x-vault-mfa")
    if text is None:
        return None
    pairs = [part.strip().partition(":") for part in text.split(",")[:MAX_PROOFS]]
    return {name: code for name, _, code in pairs if name}


def proofs_in_payload(payload: Mapping[str, object]) -> Proofs:
    """Read ``mfa_payload``: for each method a list of one code. Raises: InvalidRequest."""
    if len(payload) > MAX_PROOFS:
        raise InvalidRequest(f"mfa_payload names at most {MAX_PROOFS} methods")
    found = {}
    for name, given in payload.items():
        codes = [given] if isinstance(given, str) else given
        if not isinstance(codes, list) or not all(isinstance(code, str) for code in codes):
            raise InvalidRequest('field "mfa_payload": expected a list of codes for each method')
        found[name] = codes[0] if len(codes) == 1 else ""
    return found


async def settle(tenant: Tenant, ctx: Context, what: Owed, shown: Proofs) -> None:
    """Return if every enforcement is satisfied. Raises: PermissionDenied naming the first that is not."""
    for enforcement, methods in what.constraints:
        trouble = await _any_of(tenant, ctx, what.entity, methods, shown)
        if trouble is not None:
            raise PermissionDenied(f"failed to satisfy enforcement {enforcement.name}. error: {trouble}")


async def _any_of(
    tenant: Tenant, ctx: Context, entity: str, methods: tuple[TotpMethod, ...], shown: Proofs
) -> str | None:
    """Try the proofs that were shown for these methods; return why none will do."""
    trouble = ""
    for method in methods:
        code = shown.get(method.id, shown.get(method.name) if method.name else None)
        if code is None:
            continue
        limit = await attempt(tenant, ctx, method, entity, code)
        if limit is None:
            return None
        trouble = limit
    if trouble:
        failed = ", ".join(method.id for method in methods)
        return (
            f"2 errors occurred:\n\t* {trouble}\n\t* login MFA validation failed for methodID: [{failed}]\n\n"
        )
    wanted = methods[0] if methods else None
    which = "" if wanted is None else f" {wanted.id}, method name {wanted.name}"
    return (
        "failed to sanitize MFA creds, 1 error occurred:\n\t* failed to find MFA credentials associated with an MFA "
        f"method ID{which}\n\n"
    )


WRONG = "MFA credentials not supplied or incorrect"


async def attempt(tenant: Tenant, ctx: Context, method: TotpMethod, entity: str, code: str) -> str | None:
    """Count an attempt and judge its code, durably. Returns ``None`` if it is good, else what to say.

    A code that was used already is as wrong as any other, and so is every code of an entity that has no key.
    """

    async def judge(tx: Transaction) -> str | None:
        place = f"{SECRET}{method.id}/{entity}"
        secret = await tx.load(place, TotpSecret)
        if secret is None:
            return WRONG
        period = int(ctx.now // secret.period)
        tries = secret.tries + 1 if secret.tries_in == period else 1
        if tries > method.max_validation_attempts:
            wait = int((period + 1) * secret.period - ctx.now) + 1
            return (
                f"maximum TOTP validation attempts {tries} exceeded the allowed attempts "
                f"{method.max_validation_attempts}. Please try again in {wait} seconds"
            )
        step = matching_step(secret, code, ctx.now)
        again = step is not None and step == secret.used_step and secret.used_by == ctx.request_id
        fresh = step is not None and step > secret.used_step and step * secret.period >= tenant.tokens.since
        good = again or fresh
        if good and step is not None:
            new = msgspec.structs.replace(secret, used_step=step, used_by=ctx.request_id)
        else:
            new = msgspec.structs.replace(secret, tries_in=period, tries=tries)
        if new != secret:
            tx.save(place, new)
        return None if good else WRONG

    return await transact(tenant.store, judge)
