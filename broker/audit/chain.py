"""The hash chain that makes a removed, altered or moved line visible.

Each worker is a *writer* with a random id and a chain of its own, so that several may append to one file. A line ends
in ``"chain":{"writer":ID,"seq":N,"prev":HASH}``: ``seq`` counts from 1, ``prev`` is the SHA-256 of this writer's
previous line (without its newline), 64 zeros at the start. Anyone can check that much. Whoever can rewrite the file
could also recompute it; so every ``CHECKPOINT_EVERY`` lines, and when it closes, a writer adds a *checkpoint*: a line of
type ``checkpoint`` whose chain also carries ``sig``, an Ed25519 signature over all that stands in the line.
It also names the node's other writers of the same log and how far each had come (``others``), so that a writer whose
lines were taken out shows. The signing key is derived from the device's salt, which never leaves the barrier; its public half verifies.

After a reopen a new writer begins in the new file, whose first line names the one before it (``after``).
"""

import os
from binascii import hexlify
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from broker.audit.hashing import derive
from broker.audit.presence import NOBODY

CHECKPOINT_EVERY = 256
GENESIS = b"0" * 64
WRITER_BYTES = 8


def signing_key(salt: str) -> Ed25519PrivateKey:
    """The device's checkpoint key, the same for all its writers."""
    return Ed25519PrivateKey.from_private_bytes(derive(salt, b"checkpoint signature v1"))


def public_key(salt: str) -> bytes:
    """What ``verify_file`` needs to check this device's checkpoints (32 bytes); not a secret."""
    return signing_key(salt).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint says. ``others`` are the node's other writers of this log: the last line that each had written."""

    time: str
    writer: str
    seq: int
    prev: str
    closed: bool = False
    others: Mapping[str, int] = field(default_factory=dict)

    def signed_bytes(self) -> bytes:
        """What the signature covers: all that stands in the line."""
        end = "closed" if self.closed else "open"
        facts = f"{self.time}\n{self.writer}\n{self.seq}\n{self.prev}\n{end}"
        if not self.others:
            return f"broker audit checkpoint v1\n{facts}".encode()
        named = ",".join(f"{writer}={seq}" for writer, seq in self.others.items())
        return f"broker audit checkpoint v2\n{facts}\n{named}".encode()

    def line(self, signature: bytes) -> bytes:
        """The only way to write a checkpoint, so that a verifier can compare it byte for byte."""
        named = ",".join(f'"{writer}":{seq}' for writer, seq in self.others.items())
        others = f',"others":{{{named}}}' if named else ""
        end = ',"closed":true' if self.closed else ""
        return (
            f'{{"time":"{self.time}","type":"checkpoint","chain":{{"writer":"{self.writer}","seq":{self.seq},'
            f'"prev":"{self.prev}"{others},"sig":"{signature.hex()}"{end}}}}}\n'
        ).encode()


class Chain:
    """One writer's chain. ``link`` proposes a line; ``accepted`` moves on, once a device has taken it."""

    __slots__ = ("_key", "_link", "_opening", "_prev", "_random", "_since", "seq", "writer")

    def __init__(self, key: Ed25519PrivateKey, random: Callable[[int], bytes] = os.urandom) -> None:
        self._key = key
        self._random = random
        self.writer = ""
        self.seq = 0
        self._prev = GENESIS
        self._since = 0
        self._start(b"")

    def link(self, stamp: bytes, body: bytes) -> bytes:
        """A whole line of the chain: the time, and ``body``, the members of a JSON object."""
        return self._link % (stamp, body, self.seq + 1, self._prev, self._opening)

    def accepted(self, line: bytes) -> None:
        """``line`` is in the log: the next one follows it."""
        self._prev = hexlify(sha256(line[:-1]).digest())
        self.seq += 1
        self._since += 1
        self._opening = b""

    @property
    def checkpoint_due(self) -> bool:
        """Whether enough lines have gone by without a signature."""
        return self._since >= CHECKPOINT_EVERY

    @property
    def unsigned(self) -> int:
        """Lines since the last checkpoint."""
        return self._since

    def checkpoint(self, stamp: bytes, *, closed: bool = False, others: Mapping[str, int] = NOBODY) -> bytes:
        """A line that signs everything before it (there must be some), and that ``others`` had come that far.

        With ``closed``, no line may follow.
        """
        made = Checkpoint(stamp.decode(), self.writer, self.seq + 1, self._prev.decode(), closed, others)
        return made.line(self._key.sign(made.signed_bytes()))

    def signed(self, line: bytes) -> None:
        """The checkpoint ``line`` is in the log."""
        self.accepted(line)
        self._since = 0

    def restart(self, *, lost: bool = False) -> None:
        """Begin anew under a new writer id: for a new file naming the old one, or after a line was ``lost``."""
        if lost or not self.seq:
            self._start(b"")
            return
        self._start(
            b',"after":{"writer":"%b","seq":%d,"hash":"%b"}' % (self.writer.encode(), self.seq, self._prev)
        )

    def _start(self, after: bytes) -> None:
        self.writer = self._random(WRITER_BYTES).hex()
        self._link = (
            b'{"time":"%%b",%%b,"chain":{"writer":"%b","seq":%%d,"prev":"%%b"%%b}}\n' % self.writer.encode()
        )
        self.seq = 0
        self._prev = GENESIS
        self._since = 0
        self._opening = after
