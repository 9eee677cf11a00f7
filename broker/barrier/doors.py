"""Two doors to one ceremony: ``sys/rekey/*`` as Vault has it, and the newer ``sys/rotate/{root,recovery}/*``.

They differ in words and in which fields an answer has; rotate's answers come inside ``data``. What is behind them
(``rekey.Rekey``) is the same, so a rekey begun at one door may be finished at the other.
"""

from enum import StrEnum

from broker.barrier.issue import ShareRequest
from broker.barrier.records import BarrierRecords
from broker.plugin.errors import InvalidRequest

Answer = dict[str, object]


class Door(StrEnum):
    """Which paths a request came through; the value is the word that the door's errors use."""

    REKEY = "rekey"
    ROTATE = "rotation"

    @property
    def nonce_of(self) -> str:
        """How the error for a wrong nonce calls the ceremony."""
        return "this rekey operation" if self is Door.REKEY else "rotation"

    def invalid(self, *, recovery: bool) -> str:
        """Return what complaints about the requested shares begin with."""
        if recovery:
            return "invalid recovery configuration: "
        return f"invalid {'rekey' if self is Door.REKEY else 'rotate'} seal configuration: "

    def in_progress(self) -> InvalidRequest:
        """The error for a second start."""
        return InvalidRequest(f"{self} already in progress")

    def not_in_progress(self, *, recovery: bool, verifying: bool = False) -> InvalidRequest:
        """The error for a share that nobody asked for."""
        if self is Door.ROTATE or verifying:
            return InvalidRequest(f"no {self} in progress")
        return InvalidRequest(f"no {'recovery' if recovery else 'barrier'} rekey in progress")

    def no_verification(self) -> InvalidRequest:
        """The error for reading or restarting a verification while nothing is in progress."""
        return InvalidRequest(f"no {self} configuration found")

    def not_verifying(self) -> InvalidRequest:
        """The error for a share brought to verify before the new shares exist."""
        return InvalidRequest(f"no {self} verification in progress")

    def no_recovery(self) -> InvalidRequest:
        """The error for recovery shares of a seal that has none."""
        return InvalidRequest(
            "recovery rekeying not supported" if self is Door.REKEY else "recovery keys not supported"
        )

    def idle_status(self, records: BarrierRecords) -> Answer:
        """Return the answer to ``GET .../init`` while none is running."""
        idle = {"started": False, "t": 0, "n": 0, **required(records)}
        if self is Door.ROTATE:
            return idle
        promises = {"pgp_fingerprints": None, "backup": False, "verification_required": False}
        return {"nonce": "", "progress": 0, **idle, **promises}

    def status(self, status: Answer) -> Answer:
        """Fit a rekey's status to this door.

        Rekey tells ``verification_nonce`` once there is one; rotate tells it always, and the PGP fields only where
        there are PGP keys.
        """
        if self is Door.REKEY:
            return status if status["verification_nonce"] else _without(status, "verification_nonce")
        return status if status["pgp_fingerprints"] else _without(status, "pgp_fingerprints", "backup")


def required(records: BarrierRecords) -> Answer:
    """Return how many shares a ceremony takes; 0 where there are none."""
    return {"required": records.authority.required if records.authority else 0}


def shape(request: ShareRequest | None) -> Answer:
    """Return Vault's ``t`` and ``n`` of the shares to come."""
    if request is None:
        return {"t": 0, "n": 0}
    needed = sorted(group.threshold for group in request.groups)[: request.group_threshold]
    return {"t": sum(needed), "n": request.total}


def no_backup() -> InvalidRequest:
    """The error for ``GET .../backup`` without one."""
    return InvalidRequest("no backed-up keys found")


def _without(answer: Answer, *names: str) -> Answer:
    return {name: value for name, value in answer.items() if name not in names}
