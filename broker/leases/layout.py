"""Where leases lie in a tenant's store, and what each change of one writes.

::

    sys/lease/id/<lease id>                    LeaseEntry; for a token's own lease only a mark
    sys/lease/intent/<id>                      LeaseEntry of an outside effect not yet committed
    sys/lease/due/<mount uuid>/<time>/<key>    time-ordered, one per entry above (not for tokens' marks)
    sys/lease/irrevocable/<key>                those that failed too often
    sys/lease/sweep/<id>                       Sweep
    sys/lease-by-token/<token>/<lease id>      what dies with a token
    sys/token/leases/<token>                   TokenLeases
    sys/lease/wake/<second>/<mount uuid>       wakes the steward for a mount

A *key* is ``id/<lease id>`` or ``intent/<id>``: the path below ``sys/lease/``. The due index is apart for each mount, so
that a target which hangs holds up nobody else's leases.
"""

import math

import msgspec

from broker.access.tokens import LEASE
from broker.leases.records import LeaseEntry, Mark
from broker.storage.transaction import Transaction

ROOM = "sys/lease/"
INTENT = "sys/lease/intent/"
BY_MOUNT = "sys/lease/due/"
IRREVOCABLE = "sys/lease/irrevocable/"
SWEEP = "sys/lease/sweep/"
WAKE = "sys/lease/wake/"
BY_TOKEN = "sys/lease-by-token/"  # noqa: S105 - a path
MARK = Mark()


def by_mount(mount: str) -> str:
    """Return the prefix of a mount's due index."""
    return f"{BY_MOUNT}{mount}/"


def due_name(when: float, key: str) -> str:
    """Return a path of a mount's due index, below ``by_mount``: milliseconds in 16 digits, then the key."""
    return f"{int(when * 1000):016d}/{key}"


def parse_due(name: str) -> tuple[float, str]:
    """Return the time and the key that a path of a mount's due index tells.

    >>> parse_due("0000000000001500/id/db/creds/app/x")
    (1.5, 'id/db/creds/app/x')
    """
    return int(name[:16]) / 1000, name[17:]


def lease_key(lease_id: str) -> str:
    return "id/" + lease_id


def lease_id_of(key: str) -> str:
    """Return the lease id of a key, empty for an intent's."""
    return key[3:] if key.startswith("id/") else ""


def enter(tx: Transaction, key: str, entry: LeaseEntry) -> None:
    """Store a new entry with its indexes."""
    tx.save(ROOM + key, entry)
    if entry.token:
        tx.save(f"{BY_TOKEN}{entry.token}/{lease_id_of(key)}", MARK)
    _set_due(tx, key, entry)


def change(tx: Transaction, key: str, old: LeaseEntry, new: LeaseEntry) -> None:
    """Store a changed entry, moving its place in the due index along."""
    tx.save(ROOM + key, new)
    if int(old.due * 1000) != int(new.due * 1000):
        tx.delete(by_mount(old.mount) + due_name(old.due, key))
        _set_due(tx, key, new)
    if new.irrevocable and not old.irrevocable:
        tx.save(IRREVOCABLE + key, MARK)


def remove(tx: Transaction, key: str, entry: LeaseEntry) -> None:
    """Remove an entry and every trace of it."""
    tx.delete(ROOM + key)
    tx.delete(by_mount(entry.mount) + due_name(entry.due, key))
    if entry.token:
        tx.delete(f"{BY_TOKEN}{entry.token}/{lease_id_of(key)}")
    if entry.irrevocable:
        tx.delete(IRREVOCABLE + key)


async def forget(tx: Transaction, key: str) -> None:
    """Remove an entry that does not open. Its places in the indexes, which only it tells, are cleared when they are met."""
    await tx.discard(ROOM + key)
    tx.delete(IRREVOCABLE + key)


def queue(
    tx: Transaction, key: str, entry: LeaseEntry, now: float, *, forced: bool = False, again: bool = False
) -> None:
    """Have an entry revoked as soon as may be; from the commit on it is not renewed any more.

    ``again``: also one that failed, and would be tried later.
    """
    if entry.revoking and not (forced and not entry.forced) and not (again and entry.attempts):
        return
    new = msgspec.structs.replace(
        entry, revoking=entry.revoking or now, next_at=now, forced=entry.forced or forced
    )
    change(tx, key, entry, new)


def wake(tx: Transaction, mount: str, when: float) -> None:
    """Have the steward look at a mount's leases at ``when``."""
    tx.save(f"{WAKE}{math.floor(when) * 1000:016d}/{mount}", MARK)


def enter_due(tx: Transaction, mount: str, when: float, key: str) -> None:
    """Put an entry into a mount's due index."""
    tx.save(by_mount(mount) + due_name(when, key), MARK)
    wake(tx, mount, when)


def _set_due(tx: Transaction, key: str, entry: LeaseEntry) -> None:
    enter_due(tx, entry.mount, entry.due, key)


__all__ = [
    "BY_MOUNT",
    "BY_TOKEN",
    "INTENT",
    "IRREVOCABLE",
    "LEASE",
    "ROOM",
    "SWEEP",
    "WAKE",
    "by_mount",
    "change",
    "due_name",
    "enter",
    "enter_due",
    "forget",
    "lease_id_of",
    "lease_key",
    "parse_due",
    "queue",
    "remove",
    "wake",
]
