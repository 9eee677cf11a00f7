"""New keys without new shares: ``sys/rotate`` (keyring) and ``sys/rotate/root`` (root key)."""

from dataclasses import dataclass, field
from datetime import datetime

from broker.barrier.authority import Authority
from broker.barrier.envelope import KEY_BYTES
from broker.barrier.keyring import Keyring, Random
from broker.barrier.records import Writes, keyring_writes, root_key_writes
from broker.plugin.errors import InvalidRequest
from broker.plugin.secret import Secret


@dataclass(frozen=True, slots=True)
class Rotated:
    """A new state of keys. Commit ``writes`` in one batch (expecting the revisions that were read), then use it."""

    root_key: Secret[bytes] = field(repr=False)
    keyring: Keyring = field(repr=False)
    writes: Writes = field(repr=False)


def rotate_keyring(keyring: Keyring, root_key: Secret[bytes], *, now: datetime, random: Random) -> Rotated:
    """Add a term: from the commit on, every tenant encrypts under a new key, and all old entries still open."""
    return change_keyring(keyring.add_term(now, random), root_key)


def change_keyring(keyring: Keyring, root_key: Secret[bytes]) -> Rotated:
    """Store a changed keyring: a reservation, or new rotation settings."""
    return Rotated(root_key, keyring, keyring_writes(keyring, root_key))


async def rotate_root(
    authority: Authority, keyring: Keyring, seal_key: Secret[bytes] | None, *, random: Random
) -> Rotated:
    """Make a new root key; the shares stay valid, for they wrap the new one.

    ``seal_key`` is ``Unsealed.seal_key``. The two records change in one batch: before it the shares open the old
    root key and that the old keyring record, after it the new ones.
    Raises: KeyRefused if ``seal_key`` or the seal is no longer in force (after a rekey or a migration elsewhere).
    """
    if authority.records.config.shares is not None:
        if seal_key is None:
            raise InvalidRequest("this node does not hold the seal key; rekey instead")
        await authority.prove(seal_key)
    else:
        await authority.opens(authority.records.root_key.wrapped, None)
    root_key = Secret(random(KEY_BYTES))
    wrapped = await authority.seal.wrap(root_key, seal_key)
    return Rotated(root_key, keyring, root_key_writes(wrapped) | keyring_writes(keyring, root_key))
