"""A line removed, changed, moved, repeated, invented or cut off does not go unseen."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.audit import Auditor, AuditTableEntry
from broker.audit.chain import CHECKPOINT_EVERY, public_key
from broker.audit.verify import verify_file, verify_files
from tests.audit.helpers import an_entry, device

LINES = 9  # The probe, eight requests; then the closing checkpoint as line 10.


@pytest.fixture
async def written(file_type, log: Path) -> AuditTableEntry:
    """A file of one writer that ended properly."""
    entry = device(log)
    await write(file_type, entry, LINES - 1)
    return entry


async def write(file_type, entry: AuditTableEntry, count: int) -> None:
    auditor = Auditor([file_type])
    await auditor.enable(entry)
    for number in range(count):
        assert auditor.request(an_entry(request_id=f"r-{number}")) is None
    await auditor.close()


def edit(log: Path, change) -> None:
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(change(lines)))


async def test_an_untouched_file_is_complete_with_and_without_the_key(written, log):
    for key in (None, public_key(written.salt)):
        report = verify_file(log, key)
        assert report.complete
        assert (report.lines, report.writers, report.checkpoints) == (LINES + 1, 1, 1)


async def test_a_removed_line_is_named(written, log):
    edit(log, lambda lines: lines[:4] + lines[5:])
    first = verify_file(log).first
    assert (first.kind, first.line, first.seq) == ("removed", 5, 5)


async def test_the_first_lines_removed_are_named(written, log):
    edit(log, lambda lines: lines[2:])
    first = verify_file(log).first
    assert (first.kind, first.line, first.seq, first.until) == ("removed", 1, 1, 2)


async def test_a_changed_line_is_named_itself_not_its_neighbour(written, log):
    edit(log, lambda lines: [*lines[:3], lines[3].replace(b'"update"', b'"delete"'), *lines[4:]])
    first = verify_file(log).first
    assert (first.kind, first.line, first.seq) == ("changed", 4, 4)


async def test_two_swapped_lines_are_reported_as_reordered(written, log):
    edit(log, lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]])
    report = verify_file(log)
    assert (report.first.kind, report.first.line, report.first.seq) == ("reordered", 4, 4)


async def test_a_repeated_line_is_named(written, log):
    edit(log, lambda lines: [*lines[:5], lines[2], *lines[5:]])
    first = verify_file(log).first
    assert (first.kind, first.line, first.seq) == ("reordered", 6, 3)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b'{"time":"x","type":"request","auth":{}}\n', "inserted"),
        (b"not a record\n", "unreadable"),
        (b"\n", "unreadable"),
        (b'{"chain":{"writer":5}}\n', "unreadable"),
        (b"\xff\xfe\n", "unreadable"),
    ],
)
async def test_an_invented_line_is_named(written, log, line, kind):
    edit(log, lambda lines: [*lines[:5], line, *lines[5:]])
    report = verify_file(log)
    assert (report.first.kind, report.first.line) == (kind, 6)
    assert report.problem_count == 1


async def test_lines_cut_off_at_the_end_leave_an_open_end(written, log):
    edit(log, lambda lines: lines[:-3])
    report = verify_file(log)
    assert report.intact
    assert not report.complete
    assert [(end.line, end.seq) for end in report.open_ends] == [(7, 7)]


async def test_a_line_after_the_closing_checkpoint_is_refused(written, log):
    forged = log.read_bytes().splitlines()[-1].replace(b'"seq":10', b'"seq":11')
    with log.open("ab") as file:
        file.write(forged + b"\n")
    assert not verify_file(log).intact


async def test_a_history_rewritten_by_someone_without_the_salt_fails_only_against_the_key(
    file_type, written, log, tmp_path
):
    log.unlink()
    await write(file_type, device(log), LINES - 1)  # A perfect chain, signed by another salt.
    assert verify_file(log).complete
    report = verify_file(log, public_key(written.salt))
    assert (report.first.kind, report.first.line) == ("forged", LINES + 1)
    assert not report.complete


async def test_a_changed_last_line_is_found_by_its_signature(written, log):
    edit(log, lambda lines: [*lines[:-1], lines[-1].replace(b',"closed":true', b"")])
    report = verify_file(log, public_key(written.salt))
    assert (report.first.kind, report.first.line) == ("forged", LINES + 1)


async def test_checkpoints_come_regularly_and_are_verified(file_type, log):
    entry = device(log)
    await write(file_type, entry, 2 * CHECKPOINT_EVERY)
    report = verify_file(log, public_key(entry.salt))
    assert report.complete
    assert report.checkpoints == 3


async def test_a_restart_mid_line_is_tolerated_and_marked(file_type, written, log):
    whole = log.read_bytes()
    cut = whole.splitlines(keepends=True)[3][:100]
    log.write_bytes(whole + cut)
    assert verify_file(log).torn == [LINES + 2]
    await write(file_type, written, 3)
    report = verify_file(log, public_key(written.salt))
    assert report.intact
    assert report.torn == [LINES + 2]
    assert report.writers == 2


async def test_a_torn_line_with_anothers_next_line_on_its_row_is_tolerated_and_marked(
    file_type, written, log, tmp_path
):
    other = tmp_path / "other.log"
    await write(file_type, device(other), 3)
    cut = log.read_bytes().splitlines(keepends=True)[3][:100]
    log.write_bytes(log.read_bytes() + cut + other.read_bytes())
    report = verify_file(log)
    assert report.complete
    assert report.torn == [LINES + 2]


async def test_a_line_disguised_as_torn_is_missed_all_the_same(written, log):
    edit(log, lambda lines: [*lines[:3], b'{"time":"#torn\n', *lines[4:]])
    report = verify_file(log)
    assert report.torn == [4]
    assert (report.first.kind, report.first.seq) == ("removed", 4)


async def test_after_rotation_each_file_stands_alone_and_the_seam_is_checked(file_type, log, tmp_path):
    auditor = Auditor([file_type])
    await auditor.enable(device(log))
    auditor.request(an_entry())
    old = tmp_path / "audit.log.1"
    log.rename(old)
    auditor.reopen()
    auditor.request(an_entry())
    await auditor.close()
    assert verify_file(old).complete
    assert verify_file(log).complete
    assert verify_files([old, log]).complete
    edit(old, lambda lines: lines[:-1])
    problem = verify_files([old, log]).first
    assert (problem.kind, problem.seq) == ("removed", 3)


async def two_writers(file_type, log: Path) -> AuditTableEntry:
    """One file, two writers taking turns, both ended properly."""
    entry = device(log)
    one, other = Auditor([file_type]), Auditor([file_type])
    await one.enable(entry)
    await other.enable(entry)
    for number in range(6):
        one.request(an_entry(request_id=f"one-{number}"))
        other.request(an_entry(request_id=f"other-{number}"))
        if number == 3:
            one.checkpoint()
    await one.close()
    await other.close()
    return entry


async def test_whatever_single_byte_is_changed_the_file_is_no_longer_complete(file_type, log):
    entry = await two_writers(file_type, log)
    key, whole = public_key(entry.salt), log.read_bytes()
    assert verify_file(log, key).complete

    @given(st.integers(0, len(whole) - 1), st.integers(0, 255))
    @settings(max_examples=100, deadline=None)
    def change(position: int, byte: int) -> None:
        changed = whole[:position] + bytes([byte]) + whole[position + 1 :]
        log.write_bytes(changed)
        assert verify_file(log, key).complete == (changed == whole)

    change()


async def test_whatever_lines_are_removed_or_moved_the_file_is_no_longer_complete(file_type, log):
    entry = await two_writers(file_type, log)
    key, lines = public_key(entry.salt), log.read_bytes().splitlines(keepends=True)

    def per_writer(some: list[bytes]) -> dict[str, list[bytes]]:
        found: dict[str, list[bytes]] = {}
        for line in some:
            found.setdefault(json.loads(line)["chain"]["writer"], []).append(line)
        return found

    positions = st.integers(0, len(lines) - 1)

    @given(st.lists(st.tuples(positions, positions, st.booleans()), min_size=1, max_size=3))
    @settings(max_examples=100, deadline=None)
    def change(moves: list[tuple[int, int, bool]]) -> None:
        changed = list(lines)
        for source, target, keep in moves:
            line = changed.pop(source % len(changed))
            if keep:
                changed.insert(target, line)
        log.write_bytes(b"".join(changed))
        assert verify_file(log, key).complete == (per_writer(changed) == per_writer(lines))

    change()


async def test_a_changed_line_in_an_earlier_file_is_named_by_that_file(file_type, log, tmp_path):
    auditor = Auditor([file_type])
    await auditor.enable(device(log))
    auditor.request(an_entry())
    old = tmp_path / "audit.log.1"
    log.rename(old)
    auditor.reopen()
    await auditor.close()
    auditor.request(an_entry())
    edit(old, lambda lines: [lines[0], lines[1].replace(b"update", b"delete"), *lines[2:]])
    first = verify_files([old, log]).first
    assert (first.path, first.line, first.kind) == (str(old), 2, "changed")


async def test_two_processes_append_to_one_file_without_mixing_lines(log):
    script = textwrap.dedent("""
        import asyncio, sys
        from broker.audit import Auditor, new_entry
        from broker_plugins.audit.file import register_audit_devices
        from tests.audit.helpers import an_entry
        async def main():
            auditor = Auditor(register_audit_devices())
            await auditor.enable(new_entry("file", "file", {"file_path": sys.argv[1]}, from_config=True))
            sys.stdin.readline()
            for number in range(400):
                auditor.request(an_entry(request_id=f"r-{number}", data={"k" * (number * 7 % 3000): "v"}))
            await auditor.close()
        asyncio.run(main())
    """)
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(log)],
            stdin=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        for _ in range(2)
    ]
    for worker in workers:
        worker.stdin.write(b"go\n")
        worker.stdin.flush()
    for worker in workers:
        worker.communicate(timeout=60)
        assert worker.returncode == 0
    report = verify_file(log)
    assert report.complete
    assert (report.writers, report.torn) == (2, [])
    assert report.lines == report.checkpoints + 2 * 401
