"""Background work and the requests beside it, with clocks that the test sets."""

import pytest

from broker.core.pace import BREATH, SHARE, Pace


class Loop:
    """A loop whose thread works for a part of every pause: 0 is an idle one, 1 a busy one."""

    def __init__(self, load: float):
        self.load = load
        self.worked = self.wall = 0.0
        self.pauses = []

    def step(self, seconds: float):
        self.worked += seconds
        self.wall += seconds

    async def sleep(self, seconds: float):
        self.pauses.append(seconds)
        self.wall += seconds
        self.worked += seconds * self.load


async def paused(load: float, *steps: float) -> list[float]:
    loop = Loop(load)
    pace = Pace(worked=lambda: loop.worked, wall=lambda: loop.wall, sleep=loop.sleep)
    totals = []
    for seconds in steps:
        loop.step(seconds)
        before = loop.wall
        await pace.rest()
        totals.append(loop.wall - before)
    return totals


async def test_an_idle_loop_is_left_alone_for_a_moment_only():
    assert await paused(0.0, 0.01, 0.02) == pytest.approx([0.01 * BREATH, 0.02 * BREATH])


@pytest.mark.parametrize("load", [0.5, 1.0])
async def test_a_busy_loop_gives_the_work_its_share_and_no_more(load):
    steps = [0.01, 0.002, 0.03]
    pauses = await paused(load, *steps)
    for step, pause in zip(steps, pauses, strict=True):
        assert step / (step + pause) == pytest.approx(SHARE)


async def test_what_requests_took_is_not_counted_as_the_works_own():
    assert await paused(1.0, 0.01, 0.01) == pytest.approx([0.01 / SHARE - 0.01] * 2)
