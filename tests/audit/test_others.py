"""Writers of one node vouch for one another: whose lines were taken out of the log shows in another's checkpoint."""

import json
from typing import ClassVar

import pytest

from broker.audit import Auditor, new_entry
from broker.audit.chain import public_key
from broker.audit.verify import verify_file, verify_files
from broker.plugin.audit import AuditDevice, AuditDeviceType
from broker.server.writertable import WriterTable
from tests.audit.helpers import an_entry, device, records, settle


class Pair:
    """Two workers' auditors over one file."""

    def __init__(self, file_type, log):
        self.log = log
        self.entry = device(log)
        self.key = public_key(self.entry.salt)
        self.writers = WriterTable()
        self.one, self.two = (Auditor([file_type], writers=self.writers) for _ in range(2))

    async def begin(self):
        for auditor in (self.one, self.two):
            await auditor.enable(self.entry)
        self.names = list(dict.fromkeys(line["chain"]["writer"] for line in records(self.log)))
        return self

    def write(self, auditor, count=1):
        for _ in range(count):
            assert auditor.request(an_entry()) is None

    async def close(self):
        await self.one.close()
        await self.two.close()

    def keep(self, wanted):
        """Leave only those lines of the log that are wanted: by number, and by the chain they carry."""
        lines = self.log.read_bytes().splitlines(keepends=True)
        chains = [json.loads(line)["chain"] for line in lines]
        kept = [
            line
            for number, (line, chain) in enumerate(zip(lines, chains, strict=True))
            if wanted(number, chain)
        ]
        assert len(kept) < len(lines)
        self.log.write_bytes(b"".join(kept))

    def check(self):
        return verify_file(self.log, self.key)


@pytest.fixture
async def pair(file_type, log):
    """Each has written its test record and two lines; the first has signed that; then each has written one more."""
    made = await Pair(file_type, log).begin()
    for auditor in (made.one, made.two):
        made.write(auditor, 2)
        auditor.say()
    made.one.checkpoint()
    made.write(made.two)
    made.write(made.one)
    yield made
    await made.close()


async def test_a_checkpoint_names_the_others_and_how_far_they_were(pair):
    (checkpoint,) = (line for line in records(pair.log) if line["type"] == "checkpoint")
    assert checkpoint["chain"]["others"] == {pair.names[1]: 3}
    await pair.close()
    report = pair.check()
    assert report.complete and report.writers == 2


async def test_a_writer_whose_lines_are_all_gone_shows(pair):
    pair.keep(lambda number, chain: chain["writer"] == pair.names[0])
    report = pair.check()
    assert not report.intact and report.problem_count == 1
    first = report.first
    assert (first.kind, first.writer, first.seq, first.until) == ("removed", pair.names[1], 1, 3)
    assert f"writer {pair.names[0]} signed that they were there" in first.text


async def test_a_writer_whose_last_lines_are_gone_shows_as_far_as_another_knew(pair):
    pair.keep(lambda number, chain: chain["writer"] == pair.names[0] or chain["seq"] < 2)
    first = pair.check().first
    assert (first.kind, first.writer, first.seq, first.until) == ("removed", pair.names[1], 2, 3)


async def test_lines_from_the_middle_are_told_once(pair):
    await pair.close()
    pair.keep(lambda number, chain: chain["writer"] == pair.names[0] or chain["seq"] not in (2, 3))
    report = pair.check()
    assert [(p.kind, p.seq, p.until) for p in report.problems] == [("removed", 2, 3)]


async def test_a_line_moved_behind_the_checkpoint_that_knew_it_shows(pair):
    lines = pair.log.read_bytes().splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if json.loads(line)["chain"]["writer"] == pair.names[1])
    of_two = [line for line in lines if json.loads(line)["chain"]["writer"] == pair.names[1]]
    rest = [line for line in lines if line not in of_two]
    assert at < len(rest)
    pair.log.write_bytes(b"".join(rest + of_two))
    assert {problem.kind for problem in pair.check().problems} == {"reordered"}


async def test_what_a_checkpoint_says_of_others_is_signed(pair):
    text = pair.log.read_text()
    for forged in (f'"{pair.names[1]}":2', f'"{pair.names[1]}":3,"{"0" * 16}":0'):
        pair.log.write_text(text.replace(f'"{pair.names[1]}":3', forged))
        assert "forged" in {problem.kind for problem in pair.check().problems}
    pair.log.write_text(text.replace(f',"others":{{"{pair.names[1]}":3}}', ""))
    assert "forged" in {problem.kind for problem in pair.check().problems}


async def test_a_quiet_writer_is_vouched_for_by_the_others_checkpoints(pair):
    pair.two.checkpoint()
    pair.write(pair.one)
    pair.two.say()
    pair.one.checkpoint()
    lines = len(records(pair.log))
    report = pair.check()
    assert {end.vouched_line for end in report.open_ends} == {lines}
    assert report.verdict.startswith(f"Intact up to line {lines} of {pair.log}; ")


async def test_after_a_rotation_nobody_is_missed_in_the_new_file(pair, tmp_path):
    old = tmp_path / "audit.log.1"
    pair.log.rename(old)
    pair.one.reopen()  # The other has nothing to write, and has not noticed.
    pair.write(pair.one, 2)
    pair.one.checkpoint()
    assert pair.check().intact
    assert verify_file(old, pair.key).intact
    await pair.close()
    assert verify_files([old, pair.log], pair.key).complete


async def test_a_writer_that_has_ended_is_not_named(pair):
    await pair.two.close()
    pair.one.checkpoint()
    assert "others" not in records(pair.log)[-1]["chain"]


class SlowDevice(AuditDevice):
    """Takes every line, and says so later."""

    lines: ClassVar[list[bytes]] = []

    async def write(self, line):
        self.lines.append(line)


async def test_lines_that_may_yet_be_lost_are_not_counted():
    slow = AuditDeviceType("slow", build=lambda config: SlowDevice(), summary="")
    entry, writers = new_entry("slow", "slow", {}, from_config=True), WriterTable()
    one, two = (Auditor([slow], writers=writers) for _ in range(2))
    for auditor in (one, two):
        await auditor.enable(entry)
        await settle(auditor.request(an_entry()))
        auditor.say()
    one.checkpoint()
    await one.close()
    await two.close()
    checkpoints = [line for line in SlowDevice.lines if b'"checkpoint"' in line]
    assert len(checkpoints) == 3 and not any(b"others" in line for line in checkpoints)
