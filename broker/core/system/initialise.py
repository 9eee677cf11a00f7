"""``sys/init``: a barrier, the root tenant and the first root token, in one durable step."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import urandom
from typing import Annotated, Any

from broker.access.tokens import TokenStore
from broker.barrier.codec import root_codec
from broker.barrier.initialise import AlreadyInitialized, initialise
from broker.barrier.issue import ShareRequest
from broker.barrier.keyring import utc_now
from broker.barrier.shares import Group
from broker.core.birth import mint_root, prepare_tenant
from broker.core.records import SYSTEM_SETTINGS
from broker.core.system.cluster import new_settings
from broker.core.system.parts import Parts
from broker.plugin.context import Mount
from broker.plugin.errors import InvalidRequest
from broker.plugin.fields import Field, Json
from broker.plugin.seal import SealKind
from broker.plugin.secret import Secret
from broker.plugin.storage import ABSENT
from broker.storage.ports import LocalSignal
from broker.storage.tenant import TenantStore
from broker.storage.writer import Writer


@dataclass(frozen=True, slots=True)
class NewShares:
    """What init and a rekey take about the shares to make; ``share_request`` reads it."""

    secret_shares: Annotated[int, Field("Shares of the new key.")] = 0
    secret_threshold: Annotated[int, Field("Shares that open.")] = 0
    secret_groups: Annotated[
        list[Json] | None, Field('Groups of shares: [{"threshold": 3, "count": 5, "name": "security"}].')
    ] = None
    group_threshold: Annotated[int, Field("Groups that open.")] = 0
    pgp_keys: Annotated[list[str] | None, Field("PGP key per share, base64.")] = None
    custodian_keys: Annotated[list[str] | None, Field("X25519 key per share, base64.")] = None


@dataclass(frozen=True, slots=True)
class InitDone:
    """What init gives: the answer for the one caller who sees it, the root key, and what the shares restore."""

    answer: Mapping[str, Any] = field(repr=False)
    root_key: Secret[bytes]
    seal_key: Secret[bytes] | None


async def initialise_store(
    parts: Parts,
    wanted: Mapping[str, Any],
    *,
    root_token: str | None = None,
    extra: tuple[Mount, ...] = (),
    dev: bool = False,
) -> InitDone:
    """Initialise an empty store: everything in one batch that expects nothing to be there.

    ``wanted`` has Vault's names (``secret_shares``, ``secret_threshold``, ``pgp_keys``, ...) and ours
    (``secret_groups``, ``group_threshold``, ``custodian_keys``). Raises: AlreadyInitialized; InvalidRequest.
    """
    if await parts.seal_state.initialized():
        raise AlreadyInitialized
    if dev:
        wanted = {"secret_shares": 1, "secret_threshold": 1}
    # What the seal has no use for is handed on too: it is refused by name, not passed over.
    shares = recovery = None
    if parts.seal.kind is SealKind.SHARES or _asks(wanted, "secret_"):
        shares = share_request(wanted, "secret_")
    if _asks(wanted, "recovery_"):
        recovery = share_request(wanted, "recovery_")
    made = await initialise(
        parts.seals.current.type, parts.seal, shares, recovery, now=utc_now(), random=urandom
    )
    keyring = made.unsealed.keyring
    store = await parts.seal_state.root_store(create=True)
    codec = root_codec(lambda: keyring)
    space = TenantStore(store, tenant="root", codec=codec, signal=LocalSignal(), writer=Writer())
    tx = await space.begin()
    prepare_tenant(tx, extra=extra)
    tx.save(SYSTEM_SETTINGS, new_settings(parts.settings.cluster_name))
    tokens = TokenStore("root")
    token = await mint_root(tokens, tx, token=root_token)
    answer = made.answer(token, str(wanted.get("root_token_pgp_key") or ""))
    writes: dict[str, bytes | None] = dict(made.writes)
    writes |= {path: codec.seal(path, value) for path, value in tx.pending().items() if value is not None}
    if not await parts.seal_state.write_raw(writes, expects=dict.fromkeys(writes, ABSENT)):
        raise AlreadyInitialized
    return InitDone(answer, made.unsealed.root_key, made.unsealed.seal_key)


def _asks(wanted: Mapping[str, Any], prefix: str) -> bool:
    return any(wanted.get(prefix + name) for name in ("shares", "threshold", "groups"))


def share_request(wanted: Mapping[str, Any], prefix: str) -> ShareRequest:
    """Read which shares are asked for; ``prefix`` is ``secret_`` or ``recovery_``. Raises: InvalidRequest."""
    groups = wanted.get(f"{prefix}groups")
    keys = tuple(wanted.get("pgp_keys" if prefix == "secret_" else "recovery_pgp_keys") or ())
    if not groups:
        request = ShareRequest.of(
            int(wanted.get(f"{prefix}shares") or 0), int(wanted.get(f"{prefix}threshold") or 0), pgp_keys=keys
        )
        threshold, parts = 1, request.groups
    else:
        threshold, parts = int(wanted.get("group_threshold") or 1), tuple(_group(entry) for entry in groups)
    custodians = tuple(wanted.get("custodian_keys") or ()) if prefix == "secret_" else ()
    return ShareRequest(parts, threshold, keys, custodians, bool(wanted.get("backup")))


def _group(entry: object) -> Group:
    """Read one of ``secret_groups``: ``{"threshold": 3, "count": 5, "name": "security"}``."""
    if isinstance(entry, dict) and set(entry) <= {"threshold", "count", "name"}:
        threshold, count, name = entry.get("threshold"), entry.get("count"), entry.get("name", "")
        if type(threshold) is int and type(count) is int and isinstance(name, str):
            return Group(threshold, count, name)
    raise InvalidRequest(
        'field "secret_groups": expected a list of {"threshold": 3, "count": 5, "name": "security"}'
    )
