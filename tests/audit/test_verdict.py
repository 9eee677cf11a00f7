"""What is said of a file, and that it is no more than is known."""

import pytest

from broker.audit import Auditor
from broker.audit.verify import verify_file, verify_files
from tests.audit.helpers import an_entry, device


async def write(file_type, log, count=3, *, close=True, signed=False):
    auditor = Auditor([file_type])
    await auditor.enable(device(log))
    for _ in range(count):
        auditor.request(an_entry())
    if signed:
        auditor.checkpoint()
        auditor.request(an_entry())
    if close:
        await auditor.close()


def cut(log, lines):
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-lines]))


async def test_a_file_whose_writers_ended_is_intact_and_says_of_whose_lines(file_type, log):
    await write(file_type, log)
    assert verify_file(log).verdict == (
        "Intact: of the lines of its one writer, nothing was removed, changed or reordered."
    )
    await write(file_type, log)
    assert "of its 2 writers" in verify_file(log).verdict


@pytest.mark.parametrize("content", [b"", b'{"time":"#torn\n'])
async def test_of_a_file_without_a_record_nothing_is_said(file_type, log, tmp_path, content):
    log.write_bytes(content)
    report = verify_file(log)
    assert not report.intact
    assert report.verdict == f"NOT VOUCHED FOR: there is no record in {log}."
    await write(file_type, tmp_path / "old.log")
    assert not verify_files([tmp_path / "old.log", log]).intact


async def test_a_tail_that_was_cut_off_is_not_vouched_for(file_type, log):
    await write(file_type, log, signed=True)  # the probe, three lines, a checkpoint, a line, the closing one
    writer = verify_file(log)
    assert "Intact: " in writer.verdict
    for lines in (1, 2):
        cut(log, 1)
        report = verify_file(log)
        assert report.intact
        (end,) = report.open_ends
        assert report.verdict == (
            f"Intact up to line 5 of {log}; "
            f"what came after the last checkpoint of writer {end.writer} cannot be vouched for."
        ), lines
    cut(log, 1)
    assert f"no checkpoint of writer {end.writer} vouches for it" in verify_file(log).verdict


async def test_the_writer_that_was_signed_first_says_how_far_all_is_known(file_type, log):
    await write(file_type, log, 1)
    await write(file_type, log, 2, close=False)
    (end,) = verify_file(log).open_ends
    assert (end.vouched_line, end.unsigned) == (3, 3)
    assert f"up to line 3 of {log}" in verify_file(log).verdict
