"""What the ceremonies at ``sys/`` share: their places in the node page, the records they read, and refusals counted.

A share may arrive at any worker. So a step reads the place, works out the next state without holding any lock, and
puts it there only if the place is as it was read; otherwise it takes the step again. A worker that dies in between
has changed nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Annotated, Final, TypeVar

import msgspec

from broker.barrier.authority import Authority
from broker.barrier.ceremonies import dump, load
from broker.barrier.generate_root import GenerateRoot
from broker.barrier.keyring import PURPOSE as KEYRING
from broker.barrier.progress import Progress
from broker.barrier.records import BarrierRecords, open_keyring
from broker.barrier.rekey import Rekey
from broker.barrier.shares import ShareRejected
from broker.core.sealing import Node, SealState
from broker.core.system.parts import Parts
from broker.plugin.context import Context
from broker.plugin.errors import InvalidRequest, QuotaExceeded, Sealed, Tampered
from broker.plugin.fields import Field
from broker.plugin.secret import Secret

SEAL_KEY: Final = "seal-key"
"""Where the node keeps, beside the root key, what the shares restored: ``sys/rotate/root`` wraps with it."""

NEXT_ROOT_KEY: Final = "next-root-key"
"""Where a new root key waits, beside the one in force, while it is being stored."""

ROLLBACK: Final = "rollback"
"""Where the node keeps that its store was found to be older than its anchor."""

REFUSALS: Final = "share-refusals"
MAX_REFUSALS: Final = 60
WINDOW_SECONDS: Final = 60.0
MAX_SOURCES: Final = 128
MAX_UNSEAL_BODY: Final = 1024

S = TypeVar("S", Progress, Rekey, GenerateRoot)
_decode_refusals = msgspec.json.Decoder(dict[str, tuple[int, float]]).decode


@dataclass(frozen=True, slots=True)
class GiveShare:
    key: Annotated[Secret[str] | None, Field("One share: words, hex or base64.", max_length=1024)] = None
    nonce: Annotated[str, Field("Nonce of the attempt.", max_length=64)] = ""


@dataclass(frozen=True, slots=True)
class Cancel:
    nonce: Annotated[str, Field("If given, end this attempt only.", max_length=64)] = ""


def look(node: Node, name: str, kind: type[S]) -> tuple[bytes | None, S | None]:
    """Return what lies at a place, as bytes (to ``put`` against) and as the ceremony's state."""
    seen = node.read_ceremony(name)
    return seen, load(kind, seen)


def put(node: Node, name: str, seen: bytes | None, state: Rekey | GenerateRoot | None) -> bool:
    """Put the next state of an unsealed node's ceremony, if the place is as ``seen``. Raises: Sealed, TooLarge."""
    blob = dump(state)
    with node.locked():
        if node.root_key() is None:
            raise Sealed
        if node.read_ceremony(name) != seen:
            return False
        node.write_ceremony(name, blob)
        return True


def put_back(node: Node, name: str, blob: bytes | None) -> None:
    """Restore a ceremony whose result could not be stored, unless the node was sealed or another one began."""
    with node.locked():
        if node.root_key() is not None and node.read_ceremony(name) is None:
            node.write_ceremony(name, blob)


async def authority_of(parts: Parts) -> tuple[Authority, dict[str, int]]:
    """Return an unsealed node's side of a ceremony, and the revisions its records were read at. Raises: Sealed."""
    records, revisions = await parts.seal_state.records()
    key = parts.seal_state.node.root_key()
    if key is None:
        raise Sealed
    if records.config.type != parts.seals.current.type:
        raise InvalidRequest(
            f'the storage was moved to the seal "{records.config.type}"; restart this node with that seal'
        )
    return Authority(records, parts.seal, Secret(key)), revisions


async def settle_root_key(state: SealState) -> None:
    """Take over a root key whose worker died between storing it and putting it in force on this node."""
    waiting = state.node.read_ceremony(NEXT_ROOT_KEY)
    stored = None if waiting is None else await state.read_raw(KEYRING)
    if waiting is None or stored is None:
        return
    try:
        open_keyring(stored, Secret(waiting))
    except Tampered:
        return  # not stored yet, or never
    with state.node.locked():
        if state.node.read_ceremony(NEXT_ROOT_KEY) == waiting:
            state.node.replace_root_key(waiting)
            state.node.write_ceremony(NEXT_ROOT_KEY, None)


def first_share(records: BarrierRecords) -> bytes | None:
    """Return what names the set of shares in force: the fingerprint of its first share."""
    return None if records.authority is None else records.authority.fingerprints[0][0]


def at_root(ctx: Context) -> None:
    """Refuse a request from a child namespace. Raises: InvalidRequest in the peer's words."""
    if ctx.namespace.path or ctx.headers.get("x-vault-namespace", "").strip("/") not in ("", "root"):
        raise InvalidRequest("operation unavailable in namespaces")


@contextmanager
def counted(node: Node, ctx: Context) -> Iterator[None]:
    """Count the shares that are refused, per source and over all workers.

    Past the limit a refusal says no more which check failed. A genuine share is never refused for what others on
    the same address did: flooding the ceremony does not stop it.
    """
    try:
        yield
    except ShareRejected:
        if _refused(node, _source(ctx.connection.remote_address), ctx.now) > MAX_REFUSALS:
            raise QuotaExceeded(
                f"too many refused shares from this address; wait {WINDOW_SECONDS:.0f} seconds"
            ) from None
        raise


def _refused(node: Node, source: str, now: float) -> int:
    """Count one refusal; returns how many there were in this source's window."""
    with node.locked():
        blob = node.read_ceremony(REFUSALS)
        known = _decode_refusals(blob) if blob else {}
        count, since = known.pop(source, (0, now))
        if not 0 <= now - since < WINDOW_SECONDS:
            count, since = 0, now
        known[source] = (count + 1, since)
        # The source heard last goes to the end; the ones not heard for longest leave.
        kept = dict(list(known.items())[-MAX_SOURCES:])
        node.write_ceremony(REFUSALS, msgspec.json.encode(kept))
        return count + 1


def _source(address: str) -> str:
    """Return what counts as one source: an IPv4 address, or the /64 that an IPv6 host may choose from."""
    try:
        ip = ip_address(address)
    except ValueError:
        return "local"
    if isinstance(ip, IPv6Address):
        return str(ip.ipv4_mapped or ip_network((int(ip), 64), strict=False))
    return str(ip)


__all__ = [
    "MAX_UNSEAL_BODY",
    "NEXT_ROOT_KEY",
    "ROLLBACK",
    "SEAL_KEY",
    "Cancel",
    "GiveShare",
    "at_root",
    "authority_of",
    "counted",
    "first_share",
    "look",
    "put",
    "put_back",
    "settle_root_key",
]
