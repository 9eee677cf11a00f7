"""``sys/rekey/*`` and ``sys/rekey-recovery-key/*``, or by their newer names ``sys/rotate/{root,recovery}/*``: new shares.

Source: Vault's ``sys/rekey`` and OpenBao's ``sys/rotate`` API documentation. Behind both names is one ceremony
(``broker.barrier.rekey``); a rekey begun at one may be finished at the other.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from os import urandom
from typing import Annotated, Any

from broker.barrier.authority import Authority
from broker.barrier.ceremonies import REKEY, REKEY_RECOVERY
from broker.barrier.doors import Door, no_backup
from broker.barrier.encoding import decode
from broker.barrier.issue import backup_answer
from broker.barrier.records import (
    RECOVERY_BACKUP,
    RECOVERY_CONFIG,
    ROOT_KEY,
    SEAL_CONFIG,
    UNSEAL_BACKUP,
    BarrierRecords,
    ShareBackup,
    Writes,
)
from broker.barrier.rekey import Rekey, Step
from broker.core.system.ceremony import (
    SEAL_KEY,
    Cancel,
    GiveShare,
    at_root,
    authority_of,
    counted,
    first_share,
    look,
    put,
    put_back,
)
from broker.core.system.initialise import NewShares, share_request
from broker.core.system.parts import Parts, SystemBase
from broker.plugin.context import Context
from broker.plugin.errors import Conflict, InvalidRequest
from broker.plugin.fields import Field, Nothing
from broker.plugin.messages import Plain, Response
from broker.plugin.paths import Operation, Path

Take = Callable[[Rekey, Authority], Awaitable[Step]]
_GUARDED = (SEAL_CONFIG, ROOT_KEY, RECOVERY_CONFIG)
"""What must be unchanged when the new shares come into force. Not the keyring: it counts encryptions all the time."""


@dataclass(frozen=True, slots=True)
class StartRekey(NewShares):
    backup: Annotated[bool, Field("Keep the PGP-encrypted shares in storage.")] = False
    require_verification: Annotated[bool, Field("New shares count only once they were brought back.")] = False
    stored_shares: Annotated[int, Field("Unused here.", deprecated=True)] = 0


@dataclass(frozen=True, slots=True)
class Way:
    """One set of paths to the ceremony: which shares it replaces, and whose words it speaks."""

    base: str
    door: Door
    recovery: bool

    @property
    def place(self) -> str:
        return REKEY_RECOVERY if self.recovery else REKEY

    # Handlers

    async def status(self, system: SystemBase, ctx: Context, args: Nothing) -> Plain | Response:
        records, running = await self._look(system, ctx)
        if running is None:
            return self._answer(self.door.idle_status(records))
        return self._answer(running.status(records, self.door))

    async def start(self, system: SystemBase, ctx: Context, args: StartRekey) -> Plain | Response:
        records, running = await self._look(system, ctx)
        if running is not None:
            raise self.door.in_progress()
        if self.recovery and self.door is Door.ROTATE and records.authority is None:
            return self._answer(await self._first(system.parts, args))
        state = Rekey.start(
            share_request(asdict(args), "secret_"),
            records,
            recovery=self.recovery,
            require_verification=args.require_verification,
            random=urandom,
            door=self.door,
        )
        if not put(system.parts.seal_state.node, self.place, None, state):
            raise self.door.in_progress()
        return self._answer(state.status(records, self.door))

    async def _first(self, parts: Parts, args: StartRekey) -> Mapping[str, Any]:
        """Make the first recovery shares, on the word of the token: this way is never open without one."""
        authority, revisions = await authority_of(parts)
        step = await Rekey.first(
            share_request(asdict(args), "secret_"),
            authority,
            require_verification=args.require_verification,
            random=urandom,
        )
        if step.state is not None and not put(parts.seal_state.node, self.place, None, step.state):
            raise self.door.in_progress()
        if step.writes:
            await self._commit(parts, step.writes, revisions)
        return step.answer

    async def cancel(self, system: SystemBase, ctx: Context, args: Cancel) -> None:
        at_root(ctx)
        node = system.parts.seal_state.node
        seen, running = look(node, self.place, Rekey)
        while running is not None:
            if args.nonce and args.nonce != running.nonce:
                raise InvalidRequest("the nonce is not that of the ceremony in progress")
            if put(node, self.place, seen, None):
                return
            seen, running = look(node, self.place, Rekey)

    async def update(self, system: SystemBase, ctx: Context, args: GiveShare) -> Plain | Response:
        at_root(ctx)
        text = self._share(args)

        async def take(running: Rekey, authority: Authority) -> Step:
            return await running.update(text, args.nonce, authority, random=urandom, door=self.door)

        with counted(system.parts.seal_state.node, ctx):
            return self._answer(await self._step(system.parts, take, verifying=False))

    async def verify(self, system: SystemBase, ctx: Context, args: GiveShare) -> Plain | Response:
        at_root(ctx)
        text = self._share(args)

        async def take(running: Rekey, authority: Authority) -> Step:
            return await running.verify(text, args.nonce, authority, door=self.door)

        with counted(system.parts.seal_state.node, ctx):
            return self._answer(await self._step(system.parts, take, verifying=True))

    async def verification(self, system: SystemBase, ctx: Context, args: Nothing) -> Plain | Response:
        _, running = await self._look(system, ctx)
        if running is None:
            raise self.door.no_verification()
        return self._answer(running.verify_status())

    async def restart(self, system: SystemBase, ctx: Context, args: Cancel) -> Plain | Response:
        """Forget the new shares brought so far. The ceremony goes on, under a new verification nonce."""
        at_root(ctx)

        async def take(running: Rekey, authority: Authority) -> Step:
            state = running.restart_verification(urandom)
            return Step(state, state.verify_status())

        return self._answer(await self._step(system.parts, take, verifying=True, idle="configuration"))

    async def read_backup(self, system: SystemBase, ctx: Context, args: Nothing) -> Response:
        at_root(ctx)
        stored = await system.parts.seal_state.read_raw(self._backup)
        if stored is None:
            raise no_backup()
        return Response(data=backup_answer(decode(ShareBackup, stored, self._backup)), mirror=True)

    async def delete_backup(self, system: SystemBase, ctx: Context, args: Nothing) -> None:
        at_root(ctx)
        gone: dict[str, bytes | None] = {self._backup: None}
        await system.parts.seal_state.write_raw(gone)

    # Parts

    @property
    def _backup(self) -> str:
        return RECOVERY_BACKUP if self.recovery else UNSEAL_BACKUP

    def _answer(self, body: Mapping[str, Any]) -> Plain | Response:
        if self.door is Door.REKEY:
            return Plain(body)
        return Response(data={"verification_nonce": "", **body} if "keys" in body else body)

    def _share(self, args: GiveShare) -> str:
        if args.key is None or not args.key.reveal():
            old = self.door is Door.REKEY
            raise InvalidRequest(
                "'key' must be specified in request body as JSON" if old else "missing required field 'key'"
            )
        return args.key.reveal()

    async def _look(self, system: SystemBase, ctx: Context) -> tuple[BarrierRecords, Rekey | None]:
        """Return the records and the rekey in progress, if there is one that can still end well."""
        at_root(ctx)
        records, _ = await system.parts.seal_state.records()
        if self.recovery and records.config.shares is not None:
            raise self.door.no_recovery()
        node = system.parts.seal_state.node
        seen, running = look(node, self.place, Rekey)
        if running is not None and running.replaces != (first_share(records) or b""):
            # Its shares were replaced: by another node, or by a worker that died before it could clear the place.
            put(node, self.place, seen, None)
            running = None
        return records, running

    async def _step(self, parts: Parts, take: Take, *, verifying: bool, idle: str = "") -> Mapping[str, Any]:
        """Take one step of the running ceremony and, with the last one, put the new shares in force."""
        node = parts.seal_state.node
        while True:
            seen, running = look(node, self.place, Rekey)
            if running is None and idle:
                raise self.door.no_verification()
            if running is None:
                raise self.door.not_in_progress(recovery=self.recovery, verifying=verifying)
            authority, revisions = await authority_of(parts)
            step = await take(running, authority)
            if put(node, self.place, seen, step.state):
                break
        if step.writes:
            # The place was cleared first: of two last shares only one ends the ceremony, and a cancel is too late.
            try:
                await self._commit(parts, step.writes, revisions)
            except BaseException:
                put_back(node, self.place, seen)
                raise
        return step.answer

    async def _commit(self, parts: Parts, writes: Writes, revisions: Mapping[str, int]) -> None:
        """Store the result: before this commit the old shares open, after it the new ones."""
        expects = {path: revisions[path] for path in _GUARDED}
        if not await parts.seal_state.write_raw(writes, expects=expects):
            raise Conflict("the seal was changed meanwhile; give the share again")
        if not self.recovery:
            parts.seal_state.node.write_ceremony(SEAL_KEY, None)


def _rows(way: Way, *, authenticated: bool, backup: str | None) -> tuple[Path, ...]:
    access: dict[str, Any] = {"sudo": authenticated, "authenticated": authenticated, "root_only": True}
    rows = [
        Path(
            f"{way.base}/init",
            "Start, watch or cancel the making of new shares.",
            read=Operation(Nothing, dict, calls=way.status, **access),
            update=Operation(StartRekey, dict, calls=way.start, **access),
            delete=Operation(Cancel, None, calls=way.cancel, **access),
        ),
        Path(
            f"{way.base}/update",
            "Bring one of the shares in force.",
            update=Operation(GiveShare, dict, calls=way.update, **access),
        ),
        Path(
            f"{way.base}/verify",
            "Bring one of the new shares, to prove that it arrived.",
            read=Operation(Nothing, dict, calls=way.verification, **access),
            update=Operation(GiveShare, dict, calls=way.verify, **access),
            delete=Operation(Cancel, dict, calls=way.restart, **access),
        ),
    ]
    if backup is not None:
        rows.append(
            Path(
                backup,
                "The new shares, encrypted to their PGP keys, where a backup was asked for.",
                read=Operation(Nothing, dict, calls=way.read_backup, sudo=True, root_only=True),
                delete=Operation(Nothing, None, calls=way.delete_backup, sudo=True, root_only=True),
            )
        )
    return tuple(rows)


def paths(*, authenticated: bool = True) -> tuple[Path, ...]:
    """Return the rows. ``authenticated=False`` opens the older names to callers without a token, as Vault has them."""
    barrier = Way("rekey", Door.REKEY, recovery=False)
    recovery = Way("rekey-recovery-key", Door.REKEY, recovery=True)
    root = Way("rotate/root", Door.ROTATE, recovery=False)
    rotate_recovery = Way("rotate/recovery", Door.ROTATE, recovery=True)
    return (
        *_rows(barrier, authenticated=authenticated, backup="rekey/backup"),
        *_rows(recovery, authenticated=authenticated, backup="rekey/recovery-key-backup"),
        *_rows(root, authenticated=True, backup="rotate/root/backup"),
        *_rows(rotate_recovery, authenticated=True, backup="rotate/recovery/backup"),
    )
