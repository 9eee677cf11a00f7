"""Moving to another seal: ``sys/unseal`` with ``migrate``.

Nobody gets new shares. The ones in force authorise the move and stay: unseal shares become recovery shares of an auto
seal, recovery shares become unseal shares, groups and all. The root key stays too; another seal wraps it.
"""

import hmac
from dataclasses import dataclass, field

from broker.barrier.authority import recovery_verifier
from broker.barrier.encoding import encode
from broker.barrier.initialise import seal_writes
from broker.barrier.records import RECOVERY_CONFIG, ROOT_KEY, SEAL_CONFIG, BarrierRecords, RecoveryConfig
from broker.barrier.unseal import SealRefused, Unsealed, open_with
from broker.plugin.errors import InvalidRequest, Tampered
from broker.plugin.seal import Seal, SealKind
from broker.plugin.secret import Secret

GUARDED = (SEAL_CONFIG, ROOT_KEY, RECOVERY_CONFIG)
"""What the move is based on: commit it expecting the revisions that these were read at."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """An open barrier under its new seal, in memory only.

    Commit ``writes`` (``None`` removes) in one batch, then use ``unsealed``: before it the old seal opens the store,
    after it the new one.
    """

    unsealed: Unsealed
    writes: dict[str, bytes | None] = field(repr=False)


async def migrate(
    records: BarrierRecords, old: Seal, new: Seal, new_type: str, key: Secret[bytes]
) -> Migrated:
    """Open with the seal to leave and wrap the root key with the new one; ``key`` is what the shares restored.

    Raises: KeyRefused, SealRefused; Unavailable if a seal's service does not answer.
    """
    shares = records.authority
    if shares is None:
        raise no_authority()
    opened = await open_with(records, old, key)
    seal_key = key if new.kind is SealKind.SHARES else None
    wrapped = await new.wrap(opened.root_key, seal_key)
    await _check_opens(new, new_type, wrapped, opened.root_key, seal_key)
    writes: dict[str, bytes | None]
    if seal_key is not None:
        writes = {**seal_writes(new_type, shares, wrapped), RECOVERY_CONFIG: None}
    elif records.config.shares is not None:
        recovery = RecoveryConfig(1, shares, recovery_verifier(key))
        writes = {**seal_writes(new_type, None, wrapped), RECOVERY_CONFIG: encode(recovery)}
    else:
        writes = dict(seal_writes(new_type, None, wrapped))
    return Migrated(Unsealed(opened.root_key, opened.keyring, seal_key), writes)


async def _check_opens(
    seal: Seal, name: str, wrapped: bytes, root_key: Secret[bytes], seal_key: Secret[bytes] | None
) -> None:
    """Open what the new seal wrapped before anything depends on it: a service may encrypt and refuse to decrypt."""
    try:
        found = await seal.unwrap(wrapped, seal_key)
    except Tampered as error:
        raise SealRefused(name, f"what it has just wrapped does not open again ({error})") from None
    if not hmac.compare_digest(found.reveal(), root_key.reveal()):
        raise SealRefused(name, "what it has just wrapped opens as something else")


def not_migrating() -> InvalidRequest:
    """The error for a share that is to migrate a store which its configuration does not move."""
    return InvalidRequest("can't perform a seal migration, no migration seal found")


def pending() -> InvalidRequest:
    """The error for a share that is not to migrate, brought to a store that has to."""
    return InvalidRequest("migrate option not provided and seal migration is pending")


def no_authority() -> InvalidRequest:
    """The error where nobody holds a share."""
    return InvalidRequest(
        "there are no recovery shares, so nobody can authorise a seal migration: start with the old seal and make some, "
        "at sys/rotate/recovery/init"
    )
