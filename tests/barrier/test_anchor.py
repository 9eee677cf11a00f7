"""The anchor file: replaced as a whole, and the mark of the store that it is left with is the only one that fits."""

import os

import pytest

from broker.barrier.anchor import NONE, AnchorFile, Marks
from broker.plugin.errors import ConfigError


def test_without_a_file_only_a_store_that_was_never_anchored_fits(tmp_path):
    marks = AnchorFile(tmp_path / "anchor").read()
    assert marks.fit(NONE)
    assert not marks.fit("0011")


def test_a_store_fits_on_both_sides_of_a_change_and_on_one_behind_it():
    leaving = Marks.leave("old")
    assert leaving.fit("old")
    assert leaving.fit(leaving.next)
    assert not leaving.fit(NONE)
    arrived = leaving.arrive()
    assert arrived.fit(leaving.next)
    assert not arrived.fit("old")
    assert Marks.leave("old").next != leaving.next


def test_what_is_written_is_read_back_and_only_its_owner_may_read_it(tmp_path):
    file = AnchorFile(tmp_path / "anchor")
    for marks in (Marks.leave(NONE), Marks.leave("a"), Marks.leave("a").arrive()):
        file.write(marks)
        assert file.read() == marks
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert [found.name for found in tmp_path.iterdir()] == ["anchor"]


def test_a_file_that_cannot_be_written_stays_as_it_is(tmp_path):
    file = AnchorFile(tmp_path / "anchor")
    file.write(before := Marks.leave("a"))
    (tmp_path / f".anchor.{os.getpid()}").mkdir()
    with pytest.raises(OSError):
        file.write(Marks.leave("b"))
    assert file.read() == before


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"mark": 1}', b"\xff"])
def test_what_is_no_anchor_is_said_to_be_none(tmp_path, content):
    (tmp_path / "anchor").write_bytes(content)
    with pytest.raises(ConfigError, match="not a readable anchor"):
        AnchorFile(tmp_path / "anchor").read()
