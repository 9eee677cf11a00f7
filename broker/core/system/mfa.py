"""``sys/mfa/validate``: the second proof of a login that waits for it. Source: Vault's login MFA API documentation."""

from dataclasses import dataclass
from typing import Annotated

from broker.core.errands import engine_context
from broker.core.logins import limits_of, mint_login
from broker.core.mfa import pending
from broker.core.mfa.proofs import proofs_in_payload
from broker.core.records import MOUNTS, MountTable
from broker.core.system.parts import SystemBase
from broker.plugin.context import Context, Mount
from broker.plugin.engine import AuthMethod, Login
from broker.plugin.errors import InvalidRequest, PermissionDenied
from broker.plugin.fields import Field, Json
from broker.plugin.messages import Auth
from broker.plugin.paths import Operation, Path
from broker.plugin.secret import Secret


@dataclass(frozen=True, slots=True)
class Validate:
    mfa_request_id: Annotated[
        Secret[str] | None, Field("What the login answered with; whoever has it may complete the login.")
    ] = None
    mfa_payload: Annotated[
        Secret[dict[str, Json]] | None, Field("For each method, by id or name, a list with one code.")
    ] = None


async def validate(system: SystemBase, ctx: Context, args: Validate) -> Auth:
    """Complete a login: return its token. Whoever has no login waiting gets a bare 403."""
    if not args.mfa_request_id:
        raise PermissionDenied
    request_id, tenant, tx = args.mfa_request_id.reveal(), system.parts.tenant(ctx), ctx.transaction
    found = await pending.find(tenant, tx, request_id, ctx.now)
    table = await tx.load(MOUNTS, MountTable)
    mounts = () if table is None else table.mounts
    mount = None if found is None else next((m for m in mounts if m.accessor == found.accessor), None)
    if found is None or mount is None or mount.tainted or not await pending.stands(tx, found, mount):
        raise PermissionDenied
    auth = await pending.release(tenant, tx, request_id, found)
    await _stands(system, ctx, mount, auth)
    settings = system.parts.settings
    return await mint_login(
        tenant,
        tx,
        auth,
        mount,
        ctx,
        limits=limits_of(mount, default_ttl=settings.default_lease_ttl, max_ttl=settings.max_lease_ttl),
        role=found.role,
        path=found.path,
        proofs=proofs_in_payload(args.mfa_payload.reveal() if args.mfa_payload else {}),
    )


async def _stands(system: SystemBase, ctx: Context, mount: Mount, auth: Auth) -> None:
    """Ask the method of a login that it could have ended meanwhile (``Auth.below``) if it still stands.

    Raises: PermissionDenied if not: its tokens are gone, so it must not get one now.
    """
    tenant, tx = system.parts.tenant(ctx), ctx.transaction
    method = (await system.parts.runtime().tenants.router(tenant, tx)).engine_of(mount)
    if not auth.below or not isinstance(method, AuthMethod):
        return
    context = engine_context(tenant, mount, tx, ctx.now)
    context.connection = ctx.connection
    try:
        await method.renew_login(context, Login(auth.alias, auth.policies, auth.metadata, auth.internal))
    except (InvalidRequest, PermissionDenied):
        raise PermissionDenied from None


PATHS = (
    Path(
        "mfa/validate",
        "Complete a login with its second proof.",
        update=Operation(Validate, Auth, calls=validate, authenticated=False, raises=(PermissionDenied,)),
    ),
)
