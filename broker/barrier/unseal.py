"""Opening the barrier: ``sys/unseal`` and ``sys/seal-status``."""

from dataclasses import dataclass, field

from broker.barrier.authority import KeyRefused, check_recovery, collect, groups_answer, new_nonce
from broker.barrier.keyring import Keyring, Random
from broker.barrier.progress import Progress
from broker.barrier.records import BarrierRecords
from broker.plugin.errors import InvalidRequest, Tampered
from broker.plugin.seal import Seal
from broker.plugin.secret import Secret


@dataclass(frozen=True, slots=True)
class Unsealed:
    """What an open node holds. ``seal_key`` is what the shares restored (``None`` for an auto seal).

    It is needed only to wrap a new root key without another ceremony (``sys/rotate/root``).
    """

    root_key: Secret[bytes] = field(repr=False)
    keyring: Keyring = field(repr=False)
    seal_key: Secret[bytes] | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class About:
    """What seal-status tells about the server itself; ``cluster_name`` and ``cluster_id`` once unsealed."""

    version: str
    commit_date: str
    storage_type: str
    cluster_name: str = ""
    cluster_id: str = ""


class SealRefused(InvalidRequest):
    """A seal that needs no people does not open what is stored: it is another one, or the records were altered."""

    def __init__(self, seal_type: str, reason: str) -> None:
        super().__init__(f'the seal "{seal_type}" does not open the stored root key: {reason}')


async def open_barrier(records: BarrierRecords, seal: Seal, seal_key: Secret[bytes] | None) -> Unsealed:
    """Open root key, then keyring.

    Raises: KeyRefused, or SealRefused for an auto seal; Unavailable if the seal's service does not answer.
    """
    try:
        root_key = await seal.unwrap(records.root_key.wrapped, seal_key)
    except Tampered as error:
        if seal_key is not None:
            raise KeyRefused from None
        raise SealRefused(records.config.type, str(error)) from None
    try:
        keyring = Keyring.unwrap(root_key.reveal(), records.keyring.wrapped)
    except Tampered:
        raise KeyRefused from None
    return Unsealed(root_key, keyring, seal_key)


async def open_with(records: BarrierRecords, seal: Seal, key: Secret[bytes]) -> Unsealed:
    """Open with the key that enough shares restored: it wraps the root key, or, with an auto seal, only proves.

    Raises: KeyRefused, SealRefused; Unavailable if the seal's service does not answer.
    """
    if records.config.shares is not None:
        return await open_barrier(records, seal, key)
    if records.recovery is None:
        raise takes_no_shares(records)
    check_recovery(records.recovery.verifier, key)
    return await open_barrier(records, seal, None)


async def submit(
    progress: Progress | None, text: str, records: BarrierRecords, seal: Seal, *, random: Random
) -> tuple[Progress | None, Unsealed | None]:
    """Take one share towards unsealing; an auto seal that was sealed by hand takes recovery shares.

    Returns the progress to keep, and with the last share that is needed the open barrier (progress then ``None``).
    Raises: ShareRejected, KeyRefused or SealRefused; keep the progress you had, it is not disturbed.
    """
    progress, key = gather(progress, text, records, random=random)
    return (progress, None) if key is None else (None, await open_with(records, seal, key))


def gather(
    progress: Progress | None, text: str, records: BarrierRecords, *, random: Random
) -> tuple[Progress, Secret[bytes] | None]:
    """Take one share; with the last that is needed, return the restored key too. Raises: ShareRejected."""
    shares = records.authority
    if shares is None:
        raise takes_no_shares(records)
    return collect(progress or Progress(new_nonce(random)), text, shares)


def takes_no_shares(records: BarrierRecords) -> InvalidRequest:
    """The error for a share where nobody holds any."""
    return InvalidRequest(f'the seal "{records.config.type}" opens by itself and takes no shares')


def reset(progress: Progress | None, nonce: str) -> None:
    """Give up the progress (the caller then keeps ``None``).

    Raises: InvalidRequest without the nonce of the attempt: since only genuine shares enter the progress, a
    stranger must not be able to throw them out in passing.
    """
    if progress is not None and nonce != progress.nonce:
        raise InvalidRequest("reset needs the nonce of the unseal in progress, as seal-status shows it")


def seal_status(
    about: About,
    records: BarrierRecords | None,
    progress: Progress | None,
    *,
    configured: str,
    auto: bool,
    sealed: bool,
    migration: bool = False,
) -> dict[str, object]:
    """Return Vault's answer to ``GET sys/seal-status``, which unseal gives too.

    ``{"type": "shamir", "initialized", "sealed", "t", "n", "progress", "nonce", "recovery_seal": false,
    "version", "commit_date", "migration": false, "storage_type"}``; with an auto seal ``recovery_seal`` is true,
    ``recovery_seal_type`` "shamir", and t and n count recovery shares; ``cluster_name`` and ``cluster_id`` appear
    once unsealed; ours are ``groups`` and ``group_threshold`` where there are several. ``records`` is ``None``
    before init. During a migration ``type`` is the seal to come.
    """
    shares = records.authority if records else None
    status: dict[str, object] = {
        "type": configured,
        "initialized": records is not None,
        "sealed": sealed,
        "t": shares.required if shares else 0,
        "n": shares.total if shares else 0,
        "progress": len(progress.given) if progress else 0,
        "nonce": progress.nonce if progress else "",
        "recovery_seal": auto,
        **({"recovery_seal_type": "shamir"} if auto else {}),
        "version": about.version,
        "commit_date": about.commit_date,
        "migration": migration,
    }
    if about.cluster_id and not sealed:
        status |= {"cluster_name": about.cluster_name, "cluster_id": about.cluster_id}
    return status | {"storage_type": about.storage_type} | groups_answer(shares, progress)
