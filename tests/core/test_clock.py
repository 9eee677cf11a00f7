"""The node's clock follows the machine's forward and never back."""

from broker.core.clock import NodeClock
from broker.server.nodepage import NodePage

HOUR = 3600 * 10**9
START = 1_700_000_000 * 10**9


class Machine:
    """A machine whose clocks are set by hand, in nanoseconds."""

    def __init__(self) -> None:
        self.wall, self.steady = START, 5 * 10**9
        self.page = NodePage(lock_memory=False)

    def worker(self) -> NodeClock:
        return NodeClock(self.page, wall=lambda: self.wall, steady=lambda: self.steady)

    def pass_time(self, ns: int) -> None:
        self.wall += ns
        self.steady += ns


def test_it_tells_the_time_of_day():
    assert Machine().worker()() == 1_700_000_000


def test_set_back_an_hour_it_goes_on_as_if_nothing_had_happened():
    machine = Machine()
    clock = machine.worker()
    clock()
    machine.wall -= HOUR
    machine.pass_time(10 * 10**9)
    assert clock() == 1_700_000_010


def test_set_forward_it_follows():
    machine = Machine()
    clock = machine.worker()
    clock()
    machine.wall += HOUR
    assert clock() == 1_700_003_600
    machine.wall -= HOUR
    assert clock() == 1_700_003_600


def test_a_worker_that_starts_after_the_clock_was_set_back_agrees_with_the_others():
    machine = Machine()
    first = machine.worker()
    first()
    machine.wall -= HOUR
    assert machine.worker()() == first() == 1_700_000_000


def test_two_workers_that_see_a_step_count_it_once():
    machine = Machine()
    one, two = machine.worker(), machine.worker()
    one()
    machine.wall += HOUR
    assert (one(), two()) == (1_700_003_600, 1_700_003_600)
