"""What workers tell each other over the noticeboard: bounded, whoever is slow or silent."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from broker.plugin.errors import QuotaExceeded
from broker.server.attendant import MAX_READERS, NodeAttendant
from broker.server.noticeboard import LINE_BYTES, LINES, Noticeboard


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    ours = logging.getLogger("broker")
    handlers, level = list(ours.handlers), ours.level
    yield ours
    ours.handlers[:], ours.level = handlers, level
    ours.setLevel(level)


async def always() -> bool:
    return True


async def test_only_so_many_read_at_once_and_whoever_leaves_makes_room(logger):
    board = Noticeboard()
    attendant = NodeAttendant(board, 0, 1)
    readers = [attendant.monitor("info", "standard", always) for _ in range(MAX_READERS)]
    for reader in readers:
        assert await anext(reader) == b""
    with pytest.raises(QuotaExceeded):
        attendant.monitor("info", "standard", always)
    await readers[0].aclose()
    await attendant.monitor("info", "standard", always).aclose()
    for reader in readers:
        await reader.aclose()
    assert board.watched() == 0


async def test_a_slow_reader_is_told_how_much_it_missed_and_holds_nothing_up(logger):
    attendant = NodeAttendant(Noticeboard(), 0, 1)
    reader = attendant.monitor("info", "standard", always)
    await anext(reader)
    for number in range(LINES + 10):
        logger.warning("line %d", number)
    text = (await anext(reader)).decode()
    assert text.startswith("10 lines were written faster than they were read")
    assert text.count("\n") == LINES + 1
    await reader.aclose()


async def test_readers_get_their_level_and_the_log_keeps_its_own(logger):
    kept: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: kept.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    attendant = NodeAttendant(Noticeboard(), 0, 1)
    reader = attendant.monitor("debug", "standard", always)
    await anext(reader)
    logging.getLogger("broker.core").debug("quiet")
    logging.getLogger("broker.core").warning("loud")
    text = (await anext(reader)).decode()
    assert ("quiet" in text, "loud" in text, kept) == (True, True, ["loud"])
    await reader.aclose()
    assert not logging.getLogger("broker.core").isEnabledFor(logging.DEBUG)


async def test_a_line_of_any_length_fits(logger):
    attendant = NodeAttendant(Noticeboard(), 0, 1)
    reader = attendant.monitor("info", "json", always)
    await anext(reader)
    logger.warning("x" * 5 * LINE_BYTES)
    assert 500 < len(await anext(reader)) < LINE_BYTES
    await reader.aclose()


async def test_a_worker_that_does_not_answer_is_not_waited_for_for_ever(logger):
    board = Noticeboard()
    attendant = NodeAttendant(board, 0, 2)
    attendant.under_way["one"] = {"raw_path": b"/v1/x", "method": "GET", "client": ("10.0.0.1", 7)}, 0.0
    assert list(await attendant.in_flight()) == ["one"]


async def test_an_answer_has_as_many_requests_as_it_has_room_for(logger):
    attendant = NodeAttendant(Noticeboard(), 0, 1)
    scope = {"raw_path": b"/v1/" + b"x" * 5000, "method": "GET", "client": ("10.0.0.1", 7)}
    attendant.under_way.update({str(number): (scope, 0.0) for number in range(2000)})
    assert 50 < len(await attendant.in_flight()) < 200
