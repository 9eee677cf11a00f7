"""An enabled device at work: its encoder, its chain, its health."""

import asyncio
from collections.abc import Awaitable

from broker.audit.chain import Chain, signing_key
from broker.audit.clock import Stamp
from broker.audit.entry import AuditEntry, ResponseFacts
from broker.audit.hashing import Salt
from broker.audit.health import DeviceHealth
from broker.audit.options import RecordOptions
from broker.audit.presence import NOBODY, Presence, Writers
from broker.audit.records import AuditedHeaders, RecordEncoder
from broker.audit.table import AuditTableEntry
from broker.plugin.audit import AuditDevice, DeviceError
from broker.plugin.errors import BrokerError

MOST_WAITING = 1024
"""Lines an asynchronous device may owe an answer for; beyond that it counts as failed."""

PROBE = b'"type":"request","auth":{"token_type":"default"},"request":{"id":"%b","operation":"update","namespace":{"id":"root"},"path":"sys/audit/test"}'


class RunningDevice:
    """Writes records to one device. Every method that writes raises DeviceError if the line was refused."""

    def __init__(
        self,
        entry: AuditTableEntry,
        device: AuditDevice,
        options: RecordOptions,
        headers: AuditedHeaders,
        *,
        stamp: Stamp,
        deadline: float,
        writers: Writers | None = None,
    ) -> None:
        self.entry = entry
        self.device = device
        self.salt = Salt(entry.salt)
        self.health = DeviceHealth(entry.path, entry.type)
        self.chain = Chain(signing_key(entry.salt))
        self.health.began_chain(self.chain.writer)
        self.encoder = RecordEncoder(entry.uuid, self.salt, options, headers)
        self._stamp = stamp
        self._deadline = deadline
        self._waiting = 0
        self._presence = Presence(writers, entry.uuid)
        self._waits = False
        self._checkpoints: set[asyncio.Future[None]] = set()

    def record(self, entry: AuditEntry, response: ResponseFacts | None) -> Awaitable[None] | None:
        """Write the request's record, or the response's. ``None`` means accepted; an awaitable may still fail."""
        if response is None:
            return self.write(self.encoder.request(entry))
        return self.write(self.encoder.response(entry, response))

    def probe(self, request_id: str) -> Awaitable[None] | None:
        """Write a test record, as when a device is enabled."""
        return self.write(PROBE % request_id.encode())

    def write(self, body: bytes) -> Awaitable[None] | None:
        """Stamp, chain and hand over one record."""
        if self.device.stale():
            self.health.found_replaced()
            self.reopen()
        line = self.chain.link(self._stamp.now(), body)
        pending = self._hand_over(line)
        if pending is not None:
            self._waits = True
            self.chain.accepted(line)  # The next line may be sent before this one is answered.
            return self._await(pending)
        self.chain.accepted(line)
        if not self.health.healthy:
            self.health.succeeded()
        if self.chain.checkpoint_due:
            self.checkpoint()
        return None

    def checkpoint(self, *, closed: bool = False) -> None:
        """Sign what was written so far. Trouble shows in the health; the records themselves are safe."""
        if not self.chain.unsigned and not (closed and self.chain.seq):
            return
        self.say()
        others = NOBODY if self._waits else self._presence.others(self.device.target())
        line = self.chain.checkpoint(self._stamp.now(), closed=closed, others=others)
        try:
            pending = self._hand_over(line)
        except DeviceError:
            return
        self.chain.signed(line)
        if pending is not None:
            task = asyncio.ensure_future(self._await(pending))
            self._checkpoints.add(task)
            task.add_done_callback(self._checkpoint_done)

    def say(self) -> None:
        """Tell the node's other writers how far this one has come; lines that may yet be lost do not count."""
        if not self._waits:
            self._presence.say(self.device.target(), self.chain.writer, self.chain.seq)

    def _checkpoint_done(self, task: "asyncio.Future[None]") -> None:
        self._checkpoints.discard(task)
        if not task.cancelled():
            task.exception()  # Already counted in the health.

    def reopen(self) -> None:
        """End the chain, take the file now at the device's place, begin a new chain. Raises: DeviceError."""
        self.checkpoint(closed=True)
        self._restart()
        try:
            self.device.reopen()
        except DeviceError as error:
            self.health.failed(str(error))
            raise

    async def close(self) -> None:
        """End the chain, let the last line arrive, let the device go; forget every token kept in clear."""
        self.checkpoint(closed=True)
        if self._checkpoints:
            await asyncio.wait(tuple(self._checkpoints), timeout=self._deadline)
        self._presence.leave()
        self.device.close()
        self.encoder.forget()

    def abandon(self) -> None:
        """Let a device go that never worked."""
        self._presence.leave()
        self.device.close()

    def _restart(self, *, lost: bool = False) -> None:
        self._presence.withdraw()
        self.chain.restart(lost=lost)
        self.health.began_chain(self.chain.writer)

    def _hand_over(self, line: bytes) -> Awaitable[None] | None:
        if self._waiting >= MOST_WAITING:
            error = DeviceError("too many lines are waiting for an answer")
            self.health.failed(str(error))
            raise error
        try:
            return self.device.write(line)
        except DeviceError as error:
            self.health.failed(str(error))
            raise
        except Exception as error:
            # A device's own bug must not decide whether other devices' records count.
            self.health.failed(type(error).__name__)
            raise DeviceError(type(error).__name__) from None

    async def _await(self, pending: Awaitable[None]) -> None:
        self._waiting += 1
        writer = self.chain.writer
        try:
            async with asyncio.timeout(self._deadline):
                await pending
        except asyncio.CancelledError:
            raise
        except Exception as error:
            reason = _reason(error)
            self.health.failed(reason)
            if self.chain.writer == writer:
                self._restart(lost=True)  # The lost line would leave a gap.
            raise DeviceError(reason) from None
        finally:
            self._waiting -= 1
        self.health.succeeded()
        if self.chain.checkpoint_due:
            self.checkpoint()


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer within the deadline"
    return str(error) if isinstance(error, BrokerError) else type(error).__name__
