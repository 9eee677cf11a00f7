"""``sys/generate-root/*``, or by its newer name ``sys/generate-root-token/*``: a root token on the custodians' word.

Source: Vault's ``sys/generate-root`` API documentation. Both names lead to the same attempt.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from os import urandom
from typing import Annotated, Any

from broker.barrier.ceremonies import GENERATE_ROOT
from broker.barrier.generate_root import (
    GenerateRoot,
    decode_token,
    idle_status,
    in_progress,
    newer,
    not_in_progress,
)
from broker.core.birth import mint_root
from broker.core.system.ceremony import Cancel, GiveShare, at_root, authority_of, counted, look, put, put_back
from broker.core.system.parts import Parts, SystemBase
from broker.core.transact import transact
from broker.plugin.context import Context
from broker.plugin.errors import InvalidRequest
from broker.plugin.fields import Field, Nothing
from broker.plugin.messages import Plain, Response
from broker.plugin.paths import Operation, Path
from broker.plugin.secret import Secret


@dataclass(frozen=True, slots=True)
class StartAttempt:
    otp: Annotated[Secret[str] | None, Field("One-time password that hides the token.", max_length=128)] = (
        None
    )
    pgp_key: Annotated[str, Field("PGP key that the token is encrypted to, base64.", max_length=65536)] = ""


@dataclass(frozen=True, slots=True)
class Decode:
    encoded_token: Annotated[Secret[str] | None, Field("The token as generate-root gave it.")] = None
    otp: Annotated[Secret[str] | None, Field("The one-time password of the attempt.")] = None


@dataclass(frozen=True, slots=True)
class Way:
    """One set of paths to the attempt. The newer one answers inside ``data`` and leaves out what is empty."""

    base: str
    new: bool

    async def status(self, system: SystemBase, ctx: Context, args: Nothing) -> Plain | Response:
        at_root(ctx)
        records, _ = await system.parts.seal_state.records()
        _, running = look(system.parts.seal_state.node, GENERATE_ROOT, GenerateRoot)
        return self._answer(idle_status(records) if running is None else running.status(records))

    async def start(self, system: SystemBase, ctx: Context, args: StartAttempt) -> Plain | Response:
        at_root(ctx)
        node = system.parts.seal_state.node
        records, _ = await system.parts.seal_state.records()
        if node.read_ceremony(GENERATE_ROOT) is not None:
            raise in_progress()
        given = args.otp.reveal() if args.otp else ""
        state, made = GenerateRoot.start(given, args.pgp_key, random=urandom)
        if not put(node, GENERATE_ROOT, None, state):
            raise in_progress()
        return self._answer(state.status(records, otp=made))

    async def cancel(self, system: SystemBase, ctx: Context, args: Cancel) -> None:
        at_root(ctx)
        node = system.parts.seal_state.node
        seen, running = look(node, GENERATE_ROOT, GenerateRoot)
        while running is not None:
            if args.nonce and args.nonce != running.nonce:
                raise InvalidRequest("the nonce is not that of the attempt in progress")
            if put(node, GENERATE_ROOT, seen, None):
                return
            seen, running = look(node, GENERATE_ROOT, GenerateRoot)

    async def update(self, system: SystemBase, ctx: Context, args: GiveShare) -> Plain | Response:
        at_root(ctx)
        if self.new and not args.nonce:
            raise InvalidRequest("nonce is required")
        if args.key is None or not args.key.reveal():
            raise InvalidRequest(
                "key is required" if self.new else "'key' must be specified in request body as JSON"
            )
        with counted(system.parts.seal_state.node, ctx):
            return self._answer(await _give(system.parts, args.key.reveal(), args.nonce))

    def _answer(self, body: dict[str, object]) -> Plain | Response:
        return Response(data=newer(body)) if self.new else Plain(body)


async def _give(parts: Parts, text: str, nonce: str) -> dict[str, object]:
    """Take one share; with the last, store the root token and return it encoded."""
    node = parts.seal_state.node
    while True:
        seen, running = look(node, GENERATE_ROOT, GenerateRoot)
        if running is None:
            raise not_in_progress()
        authority, _ = await authority_of(parts)
        state, agreed = await running.update(text, nonce, authority)
        # With the last share the place is cleared first: one attempt makes one token, whoever brings that share.
        if put(node, GENERATE_ROOT, seen, None if agreed else state):
            break
    if not agreed:
        return state.status(authority.records, updating=True)
    try:
        return state.finished(await _mint(parts), authority.records)
    except BaseException:
        put_back(node, GENERATE_ROOT, seen)
        raise


async def _mint(parts: Parts) -> Secret[str]:
    """Store a root token in the root namespace, in a transaction of its own: running it again would make a second."""
    root = parts.runtime().tenants.root
    return await transact(root.store, partial(mint_root, root.tokens))


async def decode(system: SystemBase, ctx: Context, args: Decode) -> Mapping[str, Any]:
    """Take the one-time password off a token, for those without a tool at hand."""
    encoded = args.encoded_token.reveal() if args.encoded_token else ""
    otp = args.otp.reveal() if args.otp else ""
    if not encoded or not otp:
        raise InvalidRequest("provided 'encoded_token' or 'otp' is empty")
    return {"token": decode_token(encoded, otp).reveal()}


def _rows(way: Way, *, authenticated: bool) -> tuple[Path, ...]:
    access: dict[str, Any] = {"sudo": authenticated, "authenticated": authenticated, "root_only": True}
    return (
        Path(
            f"{way.base}/attempt",
            "Start, watch or cancel the making of a root token.",
            read=Operation(Nothing, dict, calls=way.status, **access),
            update=Operation(StartAttempt, dict, calls=way.start, **access),
            delete=Operation(Cancel, None, calls=way.cancel, **access),
        ),
        Path(
            f"{way.base}/update",
            "Bring one share.",
            update=Operation(GiveShare, dict, calls=way.update, **access),
        ),
    )


def paths(*, authenticated: bool = True) -> tuple[Path, ...]:
    """Return the rows. ``authenticated=False`` opens the older name to callers without a token, as Vault has it."""
    return (
        *_rows(Way("generate-root", new=False), authenticated=authenticated),
        *_rows(Way("generate-root-token", new=True), authenticated=True),
        Path(
            "decode-token",
            "Take the one-time password off a root token.",
            update=Operation(Decode, dict, calls=decode),
        ),
    )
