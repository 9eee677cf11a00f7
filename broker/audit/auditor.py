"""Every record to every device; a request goes on only if one of them has it."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from uuid import uuid4

from broker.audit.chain import public_key
from broker.audit.clock import Stamp
from broker.audit.entry import AuditEntry, ResponseFacts
from broker.audit.guard import AuditGuard
from broker.audit.hashing import Scalar
from broker.audit.health import DeviceHealth
from broker.audit.options import RecordOptions, device_options, parse_record_options
from broker.audit.presence import Writers
from broker.audit.records import AuditedHeaders
from broker.audit.running import RunningDevice
from broker.audit.table import AuditTableEntry, normal_path
from broker.plugin.audit import AuditDevice, AuditDeviceType, DeviceConfig, DeviceError
from broker.plugin.errors import AuditFailed, BrokerError, InvalidRequest

DEADLINE_SECONDS = 2.0
"""How long an asynchronous device may take to accept a line."""

log = logging.getLogger("broker.audit")


class Auditor:
    """The enabled devices of this worker. With none enabled, every record counts as accepted, as in Vault."""

    def __init__(
        self,
        types: Iterable[AuditDeviceType],
        *,
        guard: AuditGuard | None = None,
        writers: Writers | None = None,
        deadline_seconds: float = DEADLINE_SECONDS,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._types = {kind.name: kind for kind in types}
        self._guard = guard or AuditGuard()
        self._writers = writers
        self._deadline = deadline_seconds
        self._stamp = Stamp(now_ns)
        self._headers: AuditedHeaders = {}
        self._running: dict[str, RunningDevice] = {}
        self._order: tuple[RunningDevice, ...] = ()
        self._background: set[asyncio.Future[None]] = set()

    # -- records ---------------------------------------------------------------------------------------------

    def request(self, entry: AuditEntry) -> Awaitable[None] | None:
        """Record that a request is about to be carried out.

        ``None`` when a device has accepted it already (nothing to await). Otherwise an awaitable that ends as
        soon as one device has accepted. Raises: AuditFailed, here or when awaited, if none did.
        """
        return self._record(entry, None)

    def response(self, entry: AuditEntry, response: ResponseFacts) -> Awaitable[None] | None:
        """Record the answer before it leaves. Returns and raises as ``request``."""
        return self._record(entry, response)

    def _record(self, entry: AuditEntry, response: ResponseFacts | None) -> Awaitable[None] | None:
        if not self._order:
            return None
        accepted = False
        waiting: list[Awaitable[None]] = []
        for device in self._order:
            try:
                pending = device.record(entry, response)
            except DeviceError:
                continue
            except Exception as error:
                # A record that cannot be built is a record no device has; the type names our mistake, no value.
                log.error("audit_record_failed", extra={"error": type(error).__name__})
                continue
            if pending is None:
                accepted = True
            else:
                waiting.append(pending)
        if not waiting:
            if accepted:
                return None
            raise self._refused()
        tasks = [self._in_background(pending) for pending in waiting]
        return None if accepted else self._first_accepted(tasks)

    async def _first_accepted(self, tasks: "list[asyncio.Future[None]]") -> None:
        """Wait until one device accepted; the deadline of each bounds the wait."""
        left = set(tasks)
        while left:
            done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            if any(not task.cancelled() and task.exception() is None for task in done):
                return
        raise self._refused()

    def _in_background(self, pending: Awaitable[None]) -> "asyncio.Future[None]":
        task = asyncio.ensure_future(pending)
        self._background.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Future[None]") -> None:
        self._background.discard(task)
        if not task.cancelled():
            task.exception()  # Already counted in the device's health.

    def _refused(self) -> AuditFailed:
        log.error("audit_request_refused", extra={"devices": len(self._order)})
        return AuditFailed()

    # -- devices ---------------------------------------------------------------------------------------------

    async def enable(self, entry: AuditTableEntry, *, probe: bool = True) -> None:
        """Start a device. With ``probe`` it must take a test record, as when an operator enables it.

        Without (devices of the table, at unseal) a device that does not work yet is kept, unhealthy, and tried
        again at every record: the node fails closed rather than forget it.
        Raises: InvalidRequest (path in use, unknown type, bad option, test record refused).
        """
        if entry.path in self._running:
            raise InvalidRequest("path already in use")
        options = RecordOptions()
        try:
            options = parse_record_options(entry.options)
            device = self._build(entry, approve=probe)
        except BrokerError as error:
            if probe:
                raise
            device = _Unusable(str(error))
        running = RunningDevice(
            entry,
            device,
            options,
            self._headers,
            stamp=self._stamp,
            deadline=self._deadline,
            writers=self._writers,
        )
        if probe:
            await self._probe(running)
        self._running[entry.path] = running
        self._order = tuple(self._running.values())

    async def disable(self, path: str) -> bool:
        """Stop a device; whether there was one."""
        running = self._running.pop(normal_path(path), None)
        self._order = tuple(self._running.values())
        if running is None:
            return False
        await running.close()
        return True

    def list(self) -> tuple[AuditTableEntry, ...]:
        """The enabled devices, in order of enabling."""
        return tuple(running.entry for running in self._order)

    def set_headers(self, headers: Mapping[str, bool]) -> None:
        """Which request headers are recorded (lower-case name -> hashed)."""
        self._headers.clear()
        self._headers.update({name.lower(): hashed for name, hashed in headers.items()})

    def hash(self, path: str, value: Scalar) -> str:
        """How ``value`` shows in that device's log. Raises: InvalidRequest for an unknown device."""
        return self._named(path).salt.value(value)

    def public_key(self, path: str) -> bytes:
        """What verifies that device's checkpoints (32 bytes, Ed25519). Raises: InvalidRequest for an unknown device."""
        return public_key(self._named(path).entry.salt)

    def health(self) -> tuple[DeviceHealth, ...]:
        """The state of each device, live."""
        return tuple(running.health for running in self._order)

    def checkpoint(self) -> None:
        """Sign every chain now; call it now and then, so that a quiet node's lines do not stay unsigned."""
        for running in self._order:
            running.checkpoint()

    def say(self) -> None:
        """Tell the node's other writers how far these have come; call it about once a second."""
        for running in self._order:
            running.say()

    def reopen(self) -> None:
        """Take the files now at the devices' places (SIGHUP). One that fails is retried at its next record."""
        for running in self._order:
            with contextlib.suppress(DeviceError):
                running.reopen()

    async def close(self) -> None:
        """Stop every device, letting lines on their way arrive first. For sealing and shutdown."""
        if self._background:
            await asyncio.wait(tuple(self._background), timeout=self._deadline)
        closing, self._order = self._order, ()
        self._running.clear()
        await asyncio.gather(*(running.close() for running in closing))

    def _named(self, path: str) -> RunningDevice:
        name = normal_path(path)
        if (running := self._running.get(name)) is None:
            raise InvalidRequest(f'unknown audit backend "{name}"')
        return running

    def _build(self, entry: AuditTableEntry, *, approve: bool) -> AuditDevice:
        kind = self._types.get(entry.type)
        if kind is None:
            raise InvalidRequest(f'unknown backend type: "{entry.type}"')
        own = device_options(entry.options, kind.options)
        if approve and not entry.from_config:
            beneath = self._guard.check(kind, own)
        else:
            beneath = self._guard.beneath(from_config=entry.from_config)
        return kind.build(DeviceConfig(entry.path, own, entry.from_config, beneath))

    async def _probe(self, running: RunningDevice) -> None:
        try:
            pending = running.probe(str(uuid4()))
            if pending is not None:
                await pending
        except DeviceError as error:
            running.abandon()
            raise InvalidRequest(f"audit backend failed test message: {error}") from None


class _Unusable(AuditDevice):
    """Stands in for a device of the table that cannot be built (its type is gone, its option no longer allowed)."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def write(self, line: bytes) -> None:
        raise DeviceError(self._reason)
