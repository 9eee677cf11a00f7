"""Making a barrier where there is none: ``sys/init``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from broker.barrier import custodians
from broker.barrier.authority import recovery_verifier
from broker.barrier.encoding import encode
from broker.barrier.envelope import KEY_BYTES
from broker.barrier.issue import IssuedShares, ShareRequest, issue
from broker.barrier.keyring import Keyring, Random
from broker.barrier.progress import ShareSet
from broker.barrier.records import (
    PATHS,
    RECOVERY_CONFIG,
    SEAL_CONFIG,
    RecoveryConfig,
    SealConfig,
    Writes,
    keyring_writes,
    root_key_writes,
)
from broker.barrier.unseal import Unsealed
from broker.plugin.errors import InvalidRequest
from broker.plugin.seal import Seal, SealKind
from broker.plugin.secret import Secret


class AlreadyInitialized(InvalidRequest):
    """The store has a barrier already; it is never made anew over data."""

    def __init__(self) -> None:
        super().__init__("Vault is already initialized")


@dataclass(frozen=True, slots=True)
class Initialised:
    """A new barrier, in memory only.

    Commit ``writes`` expecting every path to be absent (so that one of two racing inits wins), together with the
    root token; only then answer.
    """

    writes: Writes = field(repr=False)
    unsealed: Unsealed
    shares: IssuedShares | None
    recovery: IssuedShares | None

    def answer(self, root_token: Secret[str], pgp_key: str = "") -> dict[str, object]:
        """Return Vault's answer to init.

        ``{"keys": [hex], "keys_base64": [...], "root_token": "hvs..."}``, and ours ``keys_mnemonic`` and
        ``keys_group``. With an auto seal both lists are empty and, where recovery shares were asked for,
        ``recovery_keys`` and ``recovery_keys_base64`` are there. A PGP key turns the root token into the base64
        of a message. Raises: InvalidRequest for a bad PGP key (check it before the commit).
        """
        answer: dict[str, object] = self.shares.answer() if self.shares else {"keys": [], "keys_base64": []}
        if self.recovery:
            answer |= self.recovery.answer("recovery_")
        token = root_token.reveal()
        answer["root_token"] = (
            custodians.to_base64(custodians.pgp_encrypt(pgp_key, token)) if pgp_key else token
        )
        return answer


def check_uninitialised(stored: Mapping[str, bytes | None]) -> None:
    """Raises: AlreadyInitialized if anything lies at ``records.PATHS``."""
    if any(stored.get(path) is not None for path in PATHS):
        raise AlreadyInitialized


async def initialise(
    seal_type: str,
    seal: Seal,
    shares: ShareRequest | None,
    recovery: ShareRequest | None,
    *,
    now: datetime,
    random: Random,
) -> Initialised:
    """Make seal key, shares, root key and first keyring.

    ``shares`` are for a seal that needs them, ``recovery`` (optional) for an auto seal. Raises: InvalidRequest in
    Vault's words; Unavailable if the seal's service does not answer.
    """
    _check(seal_type, seal, shares, recovery)
    root_key = Secret(random(KEY_BYTES))
    keyring = Keyring.create(now, random)
    seal_key = share_set = issued = None
    if shares is not None:
        seal_key = Secret(random(KEY_BYTES))
        share_set, issued = issue(seal_key, shares, random)
    writes = seal_writes(seal_type, share_set, await seal.wrap(root_key, seal_key))
    writes |= keyring_writes(keyring, root_key)
    recovery_issued = None
    if recovery is not None:
        extra, recovery_issued = new_recovery(recovery, random)
        writes |= extra
    return Initialised(writes, Unsealed(root_key, keyring, seal_key), issued, recovery_issued)


def seal_writes(seal_type: str, shares: ShareSet | None, wrapped: bytes) -> Writes:
    """Return the writes that put another seal key in force."""
    return {SEAL_CONFIG: encode(SealConfig(1, seal_type, shares)), **root_key_writes(wrapped)}


def new_recovery(request: ShareRequest, random: Random) -> tuple[Writes, IssuedShares]:
    """Make a recovery key and its shares; the key itself is kept nowhere."""
    key = Secret(random(KEY_BYTES))
    share_set, issued = issue(key, request, random)
    return {RECOVERY_CONFIG: encode(RecoveryConfig(1, share_set, recovery_verifier(key)))}, issued


def _check(seal_type: str, seal: Seal, shares: ShareRequest | None, recovery: ShareRequest | None) -> None:
    needs_shares = seal.kind is SealKind.SHARES
    if needs_shares and recovery is not None:
        raise _not_applicable("recovery_shares,recovery_threshold", seal_type)
    if not needs_shares and shares is not None:
        raise _not_applicable("secret_shares,secret_threshold", seal_type)
    if needs_shares and shares is None:
        raise InvalidRequest("invalid seal configuration: shares must be at least one")
    if shares is not None:
        prefixed(shares, "invalid seal configuration: ")
    if recovery is not None:
        prefixed(recovery, "invalid recovery configuration: ")


def _not_applicable(names: str, seal_type: str) -> InvalidRequest:
    return InvalidRequest(f"parameters {names} not applicable to seal type {seal_type}")


def prefixed(request: ShareRequest, prefix: str) -> ShareRequest:
    """Return ``request.checked()``; its complaint says what it was for. Raises: InvalidRequest."""
    try:
        return request.checked()
    except InvalidRequest as error:
        raise InvalidRequest(prefix + str(error)) from None
