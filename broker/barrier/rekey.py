"""New shares for old: ``sys/rekey/*`` and ``sys/rekey-recovery-key/*``, or by their newer names
``sys/rotate/root/*`` and ``sys/rotate/recovery/*`` (see ``doors``).

The root key stays; a new seal key wraps it. The stored records change once, at the very end, so until then the
old shares open and from then on the new ones. With verification the new shares must be brought back first, which
proves that the custodians hold what they were given.
"""

from dataclasses import dataclass, field
from typing import Final

import msgspec
from msgspec.structs import replace

from broker.barrier.authority import (
    Authority,
    KeyRefused,
    check_nonce,
    check_recovery,
    collect,
    groups_answer,
    new_nonce,
)
from broker.barrier.doors import Answer, Door, required, shape
from broker.barrier.encoding import decode, encode
from broker.barrier.envelope import KEY_BYTES
from broker.barrier.initialise import new_recovery, prefixed, seal_writes
from broker.barrier.issue import IssuedShares, ShareRequest, issue
from broker.barrier.keyring import Random
from broker.barrier.progress import Progress, ShareSet
from broker.barrier.records import (
    RECOVERY_BACKUP,
    RECOVERY_CONFIG,
    ROOT_KEY,
    SEAL_CONFIG,
    UNSEAL_BACKUP,
    BarrierRecords,
    RecoveryConfig,
    SealConfig,
    WrappedRootKey,
    Writes,
    root_key_writes,
)
from broker.plugin.errors import InvalidRequest, TooLarge
from broker.plugin.secret import Secret

MAX_PGP_TEXT: Final = 20 * 1024
"""All keys of one rekey together: they wait in the node page until the shares are made."""


class Pending(msgspec.Struct, frozen=True):
    """New shares, handed out but not yet in force: the writes to come and the proof so far."""

    writes: dict[str, bytes]
    shares: ShareSet
    progress: Progress


@dataclass(frozen=True, slots=True)
class Step:
    """What one submitted share led to.

    Keep ``state`` (``None``: the ceremony is over) and, if ``writes`` is not empty, commit it in one batch before
    answering; if the commit fails, keep the state from before, and nothing has happened.
    """

    state: "Rekey | None"
    answer: Answer = field(repr=False)
    writes: Writes = field(default_factory=dict, repr=False)


class Rekey(msgspec.Struct, frozen=True):
    """One rekey in progress. ``recovery`` tells which shares it replaces; ``request`` is ``None`` for an auto seal."""

    v: int
    nonce: str
    recovery: bool
    request: ShareRequest | None
    require_verification: bool
    replaces: bytes
    fingerprints: tuple[str, ...] | None
    progress: Progress
    pending: Pending | None = None

    @classmethod
    def start(
        cls,
        request: ShareRequest | None,
        records: BarrierRecords,
        *,
        recovery: bool = False,
        require_verification: bool = False,
        random: Random,
        door: Door = Door.REKEY,
    ) -> "Rekey":
        """Begin: ``PUT sys/rekey/init``, answered with ``status``. If one runs already, raise ``door.in_progress()``.

        An auto seal has no shares of its own: its rekey wraps the root key anew and ``request`` is ignored.
        Raises: InvalidRequest, in Vault's words.
        """
        if recovery and records.config.shares is not None:
            raise door.no_recovery()
        if not recovery and records.config.shares is None:
            request, require_verification = None, False
        elif request is None:
            raise InvalidRequest("shares must be at least one")
        else:
            _check(request, recovery, door)
        if records.authority is None:
            raise InvalidRequest(
                "there are no recovery shares, so nobody can authorise this; the first ones are made at sys/rotate/recovery/init"
            )
        replaces = _first_fingerprint(records)
        fingerprints = tuple(request.fingerprints() or ()) or None if request else None
        nonce = new_nonce(random)
        return cls(1, nonce, recovery, request, require_verification, replaces, fingerprints, Progress(nonce))

    @classmethod
    async def first(
        cls, request: ShareRequest, authority: Authority, *, require_verification: bool, random: Random
    ) -> Step:
        """Make the first recovery shares: nobody holds any, so the token that asks is enough.

        Answers like the last share of an ``update``. Raises: InvalidRequest if there are some.
        """
        _check(request, True, Door.ROTATE)
        if authority.records.authority is not None:
            raise InvalidRequest("there are recovery shares; they authorise new ones")
        fingerprints = tuple(request.fingerprints() or ()) or None
        nonce = new_nonce(random)
        state = cls(1, nonce, True, request, require_verification, b"", fingerprints, Progress(nonce))
        step = await state._renew(authority, random)
        answer = {name: value for name, value in step.answer.items() if name != "nonce"}
        return Step(step.state, answer | shape(request), step.writes)

    async def update(
        self, text: str, nonce: str, authority: Authority, *, random: Random, door: Door = Door.REKEY
    ) -> Step:
        """Take one of the shares in force: ``PUT sys/rekey/update``.

        Answers ``status`` until the last one; then ``{"nonce", "complete": true, "keys", "keys_base64",
        "pgp_fingerprints", "backup", "verification_required"}``, with ``verification_nonce`` if the new shares
        must be verified first. Raises: ShareRejected, KeyRefused, InvalidRequest.
        """
        check_nonce(nonce, self.nonce, door.nonce_of)
        if self.pending is not None:
            raise InvalidRequest("rekey operation already finished; verify the new keys")
        self._check_current(authority.records)
        progress, key = collect(self.progress, text, authority.shares)
        if key is None:
            state = replace(self, progress=progress)
            return Step(state, state.status(authority.records, door))
        await authority.prove(key)
        return await self._renew(authority, random)

    async def verify(self, text: str, nonce: str, authority: Authority, *, door: Door = Door.REKEY) -> Step:
        """Take one of the new shares: ``PUT sys/rekey/verify``.

        Answers ``{"nonce", "started", "t", "n", "progress"}`` until the last; then ``{"nonce", "complete": true}``.
        Raises: ShareRejected, KeyRefused, InvalidRequest.
        """
        pending = self.pending
        if pending is None:
            raise door.not_verifying()
        check_nonce(nonce, pending.progress.nonce, "this verify operation")
        self._check_current(authority.records)
        progress, key = collect(pending.progress, text, pending.shares)
        if key is None:
            state = replace(self, pending=replace(pending, progress=progress))
            return Step(state, state.verify_status())
        await self._prove_new(pending, key, authority)
        return Step(None, {"nonce": nonce, "complete": True}, dict(pending.writes))

    def restart_verification(self, random: Random) -> "Rekey":
        """Forget the new shares brought so far: ``DELETE sys/rekey/verify``, answered with ``verify_status``."""
        if self.pending is None:
            return self
        return replace(self, pending=replace(self.pending, progress=Progress(new_nonce(random))))

    def status(self, records: BarrierRecords, door: Door = Door.REKEY) -> Answer:
        """Return Vault's answer to ``GET sys/rekey/init``.

        ``{"nonce", "started": true, "t", "n", "progress", "required", "pgp_fingerprints": [..] or null, "backup",
        "verification_required"}``, and ``verification_nonce`` in the second phase.
        """
        status: Answer = {
            "nonce": self.nonce,
            "started": True,
            **shape(self.request),
            "progress": len(self.progress.given),
            **required(records),
            **self._promises(),
            "verification_nonce": self.pending.progress.nonce if self.pending else "",
        }
        return door.status(status) | groups_answer(records.authority, self.progress)

    def verify_status(self) -> Answer:
        """Return Vault's answer to ``GET sys/rekey/verify``; ``started`` is false until the new shares exist."""
        progress = self.pending.progress if self.pending else Progress("")
        answer: Answer = {
            "nonce": progress.nonce,
            "started": self.pending is not None,
            **shape(self.request),
            "progress": len(progress.given),
        }
        return answer | (groups_answer(self.pending.shares, progress) if self.pending else {})

    async def _renew(self, authority: Authority, random: Random) -> Step:
        """Make the new key and its shares."""
        if self.request is None:
            # A node whose seal is no longer the one in force must not wrap with it.
            await authority.opens(authority.records.root_key.wrapped, None)
            wrapped = await authority.seal.wrap(authority.root_key, None)
            return Step(None, self._done(None), root_key_writes(wrapped))
        if self.recovery:
            writes, issued = new_recovery(self.request, random)
        else:
            seal_key = Secret(random(KEY_BYTES))
            shares, issued = issue(seal_key, self.request, random)
            wrapped = await authority.seal.wrap(authority.root_key, seal_key)
            writes = seal_writes(authority.records.config.type, shares, wrapped)
        if self.request.backup:
            path = RECOVERY_BACKUP if self.recovery else UNSEAL_BACKUP
            writes[path] = encode(issued.backup(self.nonce))
        if not self.require_verification:
            return Step(None, self._done(issued), writes)
        pending = Pending(writes, self._new_shares(writes), Progress(new_nonce(random)))
        spent = replace(self.request, pgp_keys=(), custodian_keys=())
        state = replace(self, pending=pending, request=spent, progress=Progress(self.nonce))
        return Step(state, state._done(issued))

    def _new_shares(self, writes: Writes) -> ShareSet:
        if self.recovery:
            return decode(RecoveryConfig, writes[RECOVERY_CONFIG], RECOVERY_CONFIG).shares
        shares = decode(SealConfig, writes[SEAL_CONFIG], SEAL_CONFIG).shares
        assert shares is not None
        return shares

    async def _prove_new(self, pending: Pending, key: Secret[bytes], authority: Authority) -> None:
        """Open what the new key will protect. A root key rotated meanwhile makes the pending record stale."""
        if self.recovery:
            verifier = decode(RecoveryConfig, pending.writes[RECOVERY_CONFIG], RECOVERY_CONFIG).verifier
            return check_recovery(verifier, key)
        try:
            return await authority.opens(
                decode(WrappedRootKey, pending.writes[ROOT_KEY], ROOT_KEY).wrapped, key
            )
        except KeyRefused:
            raise InvalidRequest(
                "the root key was rotated meanwhile; cancel this rekey and start again"
            ) from None

    def _check_current(self, records: BarrierRecords) -> None:
        """Another node may have finished a rekey since; its new shares must not be undone by ours."""
        if _first_fingerprint(records) != self.replaces:
            raise InvalidRequest("the shares were replaced meanwhile; cancel this rekey and start again")

    def _promises(self) -> Answer:
        return {
            "pgp_fingerprints": list(self.fingerprints) if self.fingerprints else None,
            "backup": bool(self.request and self.request.backup),
            "verification_required": self.require_verification,
        }

    def _done(self, issued: IssuedShares | None) -> Answer:
        keys = issued.answer() if issued else {"keys": [], "keys_base64": []}
        answer = {"nonce": self.nonce, "complete": True, **keys, **self._promises()}
        if self.pending is not None:
            answer["verification_nonce"] = self.pending.progress.nonce
        return answer


def _check(request: ShareRequest, recovery: bool, door: Door) -> None:
    if door is Door.REKEY and request.pgp_keys and len(request.pgp_keys) != request.total:
        raise InvalidRequest("incorrect number of PGP keys for rekey")
    if request.backup and not request.pgp_keys:
        request.checked()
    if sum(map(len, request.pgp_keys)) > MAX_PGP_TEXT:
        raise TooLarge(
            f"the PGP keys are too long together: at most {MAX_PGP_TEXT} characters; export them without the "
            "signatures of others (gpg --export-options export-minimal)"
        )
    prefixed(request, door.invalid(recovery=recovery))


def _first_fingerprint(records: BarrierRecords) -> bytes:
    """Return what names the set of shares in force: the fingerprint of its first share; empty if there is none."""
    return records.authority.fingerprints[0][0] if records.authority else b""
