"""Reading an audit file back: is every line there, in order, as written?

Streams, and keeps only the last line's facts per writer, so the file's size does not matter.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from broker.audit.chain import GENESIS, Checkpoint

MOST_PROBLEMS = 100
LONGEST_LINE = 256 * 1024 * 1024
TORN_MARK = b"#torn"
LINE_START = b'{"time":"'

Kind = Literal["removed", "changed", "reordered", "inserted", "unreadable", "forged"]


@dataclass(slots=True)
class Problem:
    """What is wrong, and where. ``line`` counts from 1; ``seq`` is the writer's own count, 0 where unknown.

    ``until`` is the last ``seq`` of a removed range; ``file`` counts the files given, from 0.
    """

    kind: Kind
    path: str
    line: int
    writer: str
    seq: int
    text: str
    until: int = 0
    file: int = 0


@dataclass(frozen=True, slots=True)
class OpenEnd:
    """A writer without a closing checkpoint: still running, killed, or its last lines were cut off.

    ``unsigned`` lines follow its last checkpoint: only the hash chain vouches for them. Up to line ``vouched_line`` of
    ``path`` (the file numbered ``file``) all of this writer's lines are known to be there.
    """

    writer: str
    line: int
    seq: int
    unsigned: int
    path: str = ""
    file: int = 0
    vouched_line: int = 0


@dataclass(slots=True)
class Report:
    """The findings. ``problems`` holds the first hundred, in the file's order; ``torn`` the lines cut off mid-write.

    ``empty`` names the files without any record: nothing can be said of them.
    """

    lines: int = 0
    writers: int = 0
    checkpoints: int = 0
    signatures_checked: bool = False
    torn: list[int] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    problem_count: int = 0
    open_ends: tuple[OpenEnd, ...] = ()
    empty: list[str] = field(default_factory=list)

    @property
    def intact(self) -> bool:
        """There are lines in each file, and nothing was removed, changed or moved between them."""
        return self.problem_count == 0 and not self.empty

    @property
    def complete(self) -> bool:
        """Intact, and every writer ended properly: nothing was cut off at the end either."""
        return self.intact and not self.open_ends

    @property
    def verdict(self) -> str:
        """What can be said, in one sentence, and no more than that."""
        if self.problem_count:
            return "NOT INTACT."
        if self.empty:
            return f"NOT VOUCHED FOR: there is no record in {', '.join(self.empty)}."
        if not self.open_ends:
            return f"Intact: of the lines of its {_writers(self.writers)}, nothing was removed, changed or reordered."
        least = min(self.open_ends, key=lambda end: (end.file, end.vouched_line))
        names = ", ".join(end.writer for end in self.open_ends)
        if not least.vouched_line:
            return (
                "The chain is whole as far as it goes, which whoever writes the file can make it; "
                f"no checkpoint of writer {names} vouches for it."
            )
        return (
            f"Intact up to line {least.vouched_line} of {least.path}; "
            f"what came after the last checkpoint of writer {names} cannot be vouched for."
        )

    @property
    def first(self) -> Problem | None:
        """The problem nearest the top."""
        return min(self.problems, key=lambda problem: (problem.file, problem.line), default=None)


class _After(msgspec.Struct):
    writer: str
    seq: int
    hash: str


class _Link(msgspec.Struct):
    writer: str
    seq: int
    prev: str
    sig: str | None = None
    closed: bool = False
    after: _After | None = None
    others: dict[str, int] | None = None


class _Line(msgspec.Struct):
    time: str = ""
    type: str = ""
    chain: _Link | None = None


@dataclass(slots=True)
class _Writer:
    file: int = 0
    line: int = 0
    seq: int = 0
    hash: str = GENESIS.decode()
    unsigned: int = 0
    closed: bool = False
    signed: int = 0
    vouched: tuple[int, int] = (0, 0)
    """The file and the line up to which all its lines are known to be there."""


_decode = msgspec.json.Decoder(_Line).decode


def verify_file(path: str | Path, key: bytes | None = None) -> Report:
    """Check one file. ``key`` is the device's public checkpoint key (``public_key``); without it only the hash
    chain is checked, which anyone who can rewrite the whole rest of the file could have recomputed.

    Raises: OSError if the file cannot be read; ValueError for a key that is none.
    """
    return verify_files([path], key)


def verify_files(paths: Iterable[str | Path], key: bytes | None = None) -> Report:
    """Check rotated files together, oldest first, so that the seams between them are checked too."""
    verifier = _Verifier(Ed25519PublicKey.from_public_bytes(key) if key is not None else None)
    for path in paths:
        verifier.read(Path(path))
    return verifier.finish()


class _Verifier:
    def __init__(self, key: Ed25519PublicKey | None) -> None:
        self._key = key
        self._report = Report(signatures_checked=key is not None)
        self._writers: dict[str, _Writer] = {}
        self._missed: dict[str, int] = {}  # by writer, up to where a checkpoint showed lines to be missing
        self._paths: list[str] = []
        self._number = 0
        self._chained_here = 0

    def read(self, path: Path) -> None:
        self._paths.append(str(path))
        self._chained_here = 0
        for self._number, line in _lines(path):
            self._report.lines += 1
            self._line(line)
        if not self._chained_here:
            self._report.empty.append(str(path))

    @property
    def _file(self) -> int:
        return len(self._paths) - 1

    def finish(self) -> Report:
        report = self._report
        report.writers = len(self._writers)
        report.open_ends = tuple(
            self._open_end(name, writer) for name, writer in self._writers.items() if not writer.closed
        )
        return report

    def _open_end(self, name: str, writer: _Writer) -> OpenEnd:
        file, line = writer.vouched
        return OpenEnd(name, writer.line, writer.seq, writer.unsigned, self._paths[file], file, line)

    def _line(self, line: bytes) -> None:
        whole = line.endswith(b"\n")
        line = line.removesuffix(b"\n")
        parsed = _parse(line)
        if parsed is None and not line.endswith(TORN_MARK) and (start := line.rfind(LINE_START)) > 0:
            # A crash cut a line off, and another writer's next line followed on the same row.
            self._report.torn.append(self._number)
            line = line[start:]
            parsed = _parse(line)
        if parsed is not None and parsed.chain is not None:
            self._chained(parsed, parsed.chain, line)
        elif parsed is not None:
            self._found("inserted", self._number, "", 0, "the line carries no chain")
        elif line.endswith(TORN_MARK) or not whole:
            self._report.torn.append(self._number)
        else:
            self._found("unreadable", self._number, "", 0, "the line is not a record")

    def _chained(self, parsed: _Line, link: _Link, line: bytes) -> None:
        self._chained_here += 1
        writer = self._writers.get(link.writer)
        if writer is None:
            # Before its first line there was nothing of it.
            writer = self._writers[link.writer] = _Writer(vouched=(self._file, self._number - 1))
            self._check_after(link)
        if link.seq <= writer.seq:
            self._out_of_order(link)
            return
        if link.seq <= self._missed.get(link.writer, 0):
            self._moved(link)
        if link.seq > writer.seq + 1:
            self._gap(link, writer)
        elif link.prev != writer.hash:
            self._broken(link, writer)
        if writer.closed:
            self._found(
                "inserted", self._number, link.writer, link.seq, "the writer had already closed its chain"
            )
        writer.file, writer.line, writer.seq = self._file, self._number, link.seq
        writer.hash = sha256(line).hexdigest()
        self._signature(parsed, link, writer, line)

    def _signature(self, parsed: _Line, link: _Link, writer: _Writer, line: bytes) -> None:
        if parsed.type != "checkpoint":
            writer.unsigned += 1
            return
        self._report.checkpoints += 1
        if not _signed(self._key, parsed.time, link, line):
            text = "the checkpoint is not one this device wrote"
            self._found("forged", self._number, link.writer, link.seq, text)
            return
        writer.unsigned = 0
        writer.signed = link.seq
        writer.vouched = (self._file, self._number)
        writer.closed = link.closed
        for name, seq in (link.others or {}).items():
            self._named(name, seq, link.writer)

    def _named(self, name: str, seq: int, by: str) -> None:
        """A checkpoint says that another writer had come to line ``seq``: it must stand before the checkpoint."""
        writer = self._writers.get(name)
        known = max(writer.seq if writer else 0, self._missed.get(name, 0))
        if known < seq:
            self._missed[name] = seq
            text = f"the writer's lines {known + 1} to {seq} are missing: writer {by} signed that they were there"
            self._found("removed", self._number, name, known + 1, text, until=seq)
        elif writer is not None and writer.signed == seq:
            writer.vouched = (self._file, self._number)

    def _check_after(self, link: _Link) -> None:
        """A writer that continues another saw that one's last line; it must still be its last."""
        after = link.after
        before = self._writers.get(after.writer) if after else None
        if after is None or before is None:
            return
        if before.seq < after.seq:
            text = f"the writer's last lines, {before.seq + 1} to {after.seq}, are missing"
            self._found("removed", self._number, after.writer, before.seq + 1, text, until=after.seq)
        elif before.seq == after.seq and before.hash != after.hash:
            self._found(
                "changed", before.line, after.writer, after.seq, "the line is not the one its writer wrote"
            )

    def _gap(self, link: _Link, writer: _Writer) -> None:
        first, last = writer.seq + 1, link.seq - 1
        if last <= self._missed.get(link.writer, 0):
            return  # told already
        which = f"line {first}" if first == last else f"lines {first} to {last}"
        text = f"the writer's {which} should stand before this line"
        self._found("removed", self._number, link.writer, first, text, until=last)

    def _broken(self, link: _Link, writer: _Writer) -> None:
        if writer.seq == 0:
            self._found(
                "changed", self._number, link.writer, link.seq, "the first line does not start a chain"
            )
            return
        text = f"the writer's next line, {self._number}, was written after a different text"
        self._found("changed", writer.line, link.writer, writer.seq, text, file=writer.file)

    def _out_of_order(self, link: _Link) -> None:
        if not self._moved(link):
            text = "the writer's lines are repeated or out of order"
            self._found("reordered", self._number, link.writer, link.seq, text)

    def _moved(self, link: _Link) -> bool:
        """Tell whether the line was missed before, and if so where it stands."""
        for problem in self._report.problems:
            if (
                problem.kind == "removed"
                and problem.writer == link.writer
                and problem.seq <= link.seq <= problem.until
            ):
                problem.kind = "reordered"
                problem.text += f"; it stands at line {self._number}"
                return True
        return False

    def _found(
        self,
        kind: Kind,
        line: int,
        writer: str,
        seq: int,
        text: str,
        *,
        until: int = 0,
        file: int | None = None,
    ) -> None:
        self._report.problem_count += 1
        if len(self._report.problems) < MOST_PROBLEMS:
            at = self._file if file is None else file
            self._report.problems.append(Problem(kind, self._paths[at], line, writer, seq, text, until, at))


def _writers(count: int) -> str:
    return f"{count} writers" if count != 1 else "one writer"


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LONGEST_LINE):
            number += 1
            yield number, line


def _parse(line: bytes) -> _Line | None:
    try:
        return _decode(line)
    except (msgspec.MsgspecError, ValueError):
        return None


def _signed(key: Ed25519PublicKey | None, time: str, link: _Link, line: bytes) -> bool:
    """Whether ``line`` is a checkpoint as a device writes it, signed by ``key`` if there is one."""
    said = Checkpoint(time, link.writer, link.seq, link.prev, link.closed, link.others or {})
    try:
        signature = bytes.fromhex(link.sig or "")
        if key is not None:
            key.verify(signature, said.signed_bytes())
    except (InvalidSignature, ValueError):
        return False
    return said.line(signature)[:-1] == line
