"""What opens and closes a node: ``sys/init``, ``sys/unseal``, ``sys/seal``, ``sys/step-down``.

Source: Vault's ``sys/init``, ``sys/unseal`` and ``sys/seal`` API documentation.
"""

import logging
from dataclasses import asdict, dataclass
from ipaddress import IPv6Address, ip_address
from typing import Annotated

from broker.barrier.authority import KeyRefused
from broker.barrier.initialise import AlreadyInitialized
from broker.barrier.shares import Share
from broker.barrier.unseal import SealRefused
from broker.core.system.ceremony import MAX_UNSEAL_BODY, at_root, counted
from broker.core.system.initialise import NewShares, initialise_store
from broker.core.system.parts import Parts, SystemBase
from broker.core.system.status import describe, stored
from broker.core.system.unsealing import give_up, take_share, tell_why
from broker.plugin.context import Context
from broker.plugin.errors import InvalidRequest, NotInitialized, Tampered, TooLarge
from broker.plugin.fields import Field, Nothing
from broker.plugin.messages import Plain
from broker.plugin.paths import Operation, Path
from broker.plugin.secret import Secret

log = logging.getLogger("broker.seal")


@dataclass(frozen=True, slots=True)
class Init(NewShares):
    root_token_pgp_key: Annotated[str, Field("PGP key for the root token, base64.")] = ""
    stored_shares: Annotated[int, Field("Unused here.", deprecated=True)] = 0
    recovery_shares: Annotated[int, Field("Shares of the recovery key, for auto seals.")] = 0
    recovery_threshold: Annotated[int, Field("Recovery shares that authorise.")] = 0
    recovery_pgp_keys: Annotated[list[str] | None, Field("PGP key per recovery share.")] = None


@dataclass(frozen=True, slots=True)
class Unseal:
    key: Annotated[Secret[str] | None, Field("One share: words, hex or base64.", max_length=1024)] = None
    reset: Annotated[bool, Field("Give up the attempt in progress; needs its nonce.")] = False
    nonce: Annotated[str, Field("Nonce of the attempt, as seal-status shows it.")] = ""
    migrate: Annotated[bool, Field("Take part in a seal migration.")] = False


async def read_init(system: SystemBase, ctx: Context, args: Nothing) -> Plain:
    at_root(ctx)
    return Plain({"initialized": await stored(system.parts) is not None})


async def write_init(system: SystemBase, ctx: Context, args: Init) -> Plain:
    """Initialise the store. Served once, before there is anyone to authenticate."""
    at_root(ctx)
    if not _confidential(ctx):
        raise InvalidRequest(
            "init hands out the unseal keys: it is served over TLS, or to the loopback address"
        )
    parts = system.parts
    if await parts.seal_state.initialized():
        raise AlreadyInitialized
    await _check_empty(parts)
    parts.anchors.check_new()
    done = await initialise_store(parts, asdict(args))
    log.info("seal.initialized by=%s type=%s", _whom(ctx), parts.seals.current.type)
    if parts.seals.current.auto:
        parts.seal_state.node.install_root_key(done.root_key.reveal())
        log.info("seal.opened by=%s", _whom(ctx))
    return Plain(done.answer)


def _whom(ctx: Context) -> str:
    """Name a caller for the log."""
    return ctx.connection.remote_address or "a local socket"


def _confidential(ctx: Context) -> bool:
    """Tell whether nobody on the way can read the answer."""
    connection = ctx.connection
    if connection.scheme == "https" or not connection.remote_address:
        return True
    try:
        address = ip_address(connection.remote_address)
    except ValueError:
        return True  # a Unix socket
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback


async def _check_empty(parts: Parts) -> None:
    """Refuse a store that holds anything: it is somebody else's, or part of what was lost.

    Raises: InvalidRequest; AlreadyInitialized if another worker was faster by a moment.
    """
    try:
        found: object = await (await parts.seal_state.root_store()).scan("", limit=1)
    except NotInitialized:
        found = await parts.seal_state.backend.tenants()
    if found:
        if await parts.seal_state.initialized():
            raise AlreadyInitialized
        raise InvalidRequest("the storage holds data but no seal; init needs empty storage")


async def write_unseal(system: SystemBase, ctx: Context, args: Unseal) -> Plain:
    """Take one share. The progress lies in the node page, so shares may land on different workers."""
    at_root(ctx)
    parts = system.parts
    if int(ctx.headers.get("content-length") or 0) > MAX_UNSEAL_BODY:
        raise TooLarge(f"request body is larger than {MAX_UNSEAL_BODY} bytes")
    text = args.key.reveal() if args.key else ""
    if not text and not args.reset:
        raise InvalidRequest("'key' must be specified in request body as JSON, or 'reset' set to true")
    try:
        await _unseal(parts, ctx, args, text)
    except (Tampered, KeyRefused, SealRefused) as error:
        tell_why(error)
        raise
    await parts.seal_state.enter()
    return Plain(await describe(parts))


async def _unseal(parts: Parts, ctx: Context, args: Unseal, text: str) -> None:
    records = await stored(parts)
    with counted(parts.seal_state.node, ctx):
        if not args.reset:
            Share.parse(text)
        if parts.seal_state.node.root_key() is not None:
            if args.reset:
                raise InvalidRequest("vault is unsealed")
        elif records is None:
            if not args.reset:
                raise NotInitialized
        elif args.reset:
            give_up(parts, args.nonce)
        elif await take_share(parts, text, migrating=args.migrate):
            log.info("seal.opened by=%s", _whom(ctx))


async def write_seal(system: SystemBase, ctx: Context, args: Nothing) -> None:
    """Seal the node: every worker drops its keys and plaintext before it serves another request."""
    system.parts.seal_state.node.wipe()
    log.info("seal.closed by=%s", _whom(ctx))


async def write_step_down(system: SystemBase, ctx: Context, args: Nothing) -> None:
    """Give up leadership. One node alone has nobody to hand it to; the answer is Vault's."""


PATHS = (
    Path(
        "init",
        "Initialise an empty store.",
        read=Operation(Nothing, dict, calls=read_init, authenticated=False, sealed=True),
        update=Operation(Init, dict, calls=write_init, authenticated=False, sealed=True),
    ),
    Path(
        "unseal",
        "Bring one share.",
        update=Operation(Unseal, dict, calls=write_unseal, authenticated=False, sealed=True),
    ),
    Path(
        "seal", "Seal the node.", update=Operation(Nothing, None, calls=write_seal, sudo=True, root_only=True)
    ),
    Path(
        "step-down",
        "Give up leadership.",
        update=Operation(Nothing, None, calls=write_step_down, sudo=True, root_only=True),
    ),
)
