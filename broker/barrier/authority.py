"""Who may change the seal: whoever brings enough genuine shares. What all ceremonies have in common."""

import hmac
import uuid
from dataclasses import dataclass, field

from broker.barrier import envelope
from broker.barrier.keyring import Random
from broker.barrier.progress import Progress, ShareSet, group_status
from broker.barrier.records import RECOVERY_CONFIG, BarrierRecords
from broker.barrier.shares import Share
from broker.plugin.errors import InvalidRequest, Tampered
from broker.plugin.seal import Seal
from broker.plugin.secret import Secret

_VERIFIED = b"recovery key"


class KeyRefused(InvalidRequest):
    """Genuine shares restored a key that opens nothing: the stored records were altered or mixed up."""

    def __init__(self) -> None:
        super().__init__(
            "the shares are genuine, but the stored root key does not open: the records were altered"
        )


@dataclass(frozen=True, slots=True)
class Authority:
    """An unsealed node's side of a ceremony: the records as stored now, its seal, and the root key in hand."""

    records: BarrierRecords
    seal: Seal
    root_key: Secret[bytes] = field(repr=False)

    @property
    def shares(self) -> ShareSet:
        """The shares that authorise. Raises: InvalidRequest if there are none."""
        shares = self.records.authority
        if shares is None:
            raise InvalidRequest("there are no recovery shares, so nobody can authorise this")
        return shares

    async def prove(self, key: Secret[bytes]) -> None:
        """Check that a restored key is the one in force, by opening what it protects. Raises: KeyRefused."""
        if self.records.config.shares is not None:
            await self.opens(self.records.root_key.wrapped, key)
        elif self.records.recovery is not None:
            check_recovery(self.records.recovery.verifier, key)

    async def opens(self, wrapped: bytes, key: Secret[bytes] | None) -> None:
        """Check that ``wrapped`` holds the root key in use and opens under ``key``. Raises: KeyRefused."""
        try:
            found = await self.seal.unwrap(wrapped, key)
        except Tampered:
            raise KeyRefused from None
        if not hmac.compare_digest(found.reveal(), self.root_key.reveal()):
            raise KeyRefused


def recovery_verifier(key: Secret[bytes]) -> bytes:
    """Return a record that opens under this recovery key and tells nothing of it."""
    return envelope.wrap(key.reveal(), _VERIFIED, RECOVERY_CONFIG)


def check_recovery(verifier: bytes, key: Secret[bytes]) -> None:
    """Check a restored recovery key. Raises: KeyRefused."""
    try:
        envelope.unwrap(key.reveal(), verifier, RECOVERY_CONFIG)
    except Tampered:
        raise KeyRefused from None


def new_nonce(random: Random) -> str:
    """Return a fresh UUID; it names one attempt, so that late shares of another cannot join it."""
    return str(uuid.UUID(bytes=random(16), version=4))


def check_nonce(given: str, expected: str, ceremony: str) -> None:
    """Raises: InvalidRequest, in Vault's words; a nonce is a name, not a secret."""
    if not hmac.compare_digest(given.encode(), expected.encode()):
        raise InvalidRequest(f'incorrect nonce supplied; nonce for {ceremony} is "{expected}"')


def collect(progress: Progress, text: str, shares: ShareSet) -> tuple[Progress, Secret[bytes] | None]:
    """Take one share; with the last that is needed, return the restored key too. Raises: ShareRejected."""
    progress = progress.add(Share.parse(text), shares)
    return progress, progress.combine(shares) if progress.complete(shares) else None


def groups_answer(shares: ShareSet | None, progress: Progress | None) -> dict[str, object]:
    """Return ``groups`` and ``group_threshold`` where there is more than Vault's single group to tell."""
    if shares is None or (len(shares.groups) == 1 and not shares.groups[0].name):
        return {}
    return {"group_threshold": shares.group_threshold, "groups": group_status(shares, progress)}
