"""When a revocation is tried again, and what is kept of the reason."""

import pytest

from broker.leases.backoff import RARELY_SECONDS, delay, failed, sentence
from broker.leases.layout import due_name, parse_due
from broker.leases.records import TRIES, LeaseEntry
from broker.plugin.errors import Unavailable

NOW = 1_700_000_000.0
ENTRY = LeaseEntry("mount", "db/creds/app", "user", NOW - 10, NOW)


def test_after_six_failures_a_lease_is_irrevocable_and_still_tried():
    entry = ENTRY
    for count in range(1, 10):
        entry = failed(entry, Unavailable("no route to the target"), NOW)
        assert entry.irrevocable is (count >= TRIES)
        assert NOW < entry.next_at <= NOW + RARELY_SECONDS * 1.5
    assert entry.error == "no route to the target"


@pytest.mark.parametrize("spread", [0, 0.5, 1])
def test_each_wait_is_longer_than_the_one_before(spread):
    waits = [delay(count, spread=spread) for count in range(1, TRIES + 1)]
    assert waits == sorted(waits)
    assert all(
        base <= wait <= base * 1.5 for base, wait in zip([2, 6, 18, 54, 162, 3600], waits, strict=True)
    )


def test_a_failing_lease_is_never_renewed_again():
    assert failed(ENTRY, OSError(), NOW - 5).lives(NOW - 5) is False


def test_of_a_foreign_error_only_its_kind_is_kept():
    assert sentence(ValueError("password=hunter2")) == "ValueError"
    assert sentence(TimeoutError("password=hunter2")) == "the target did not answer in time"
    assert sentence(Unavailable("line\nbreak" + "x" * 1000)) == ("line break" + "x" * 1000)[:256]


def test_the_due_index_is_in_the_order_of_time():
    rows = [due_name(when, "id/db/creds/app/x") for when in (0.5, 9.999, 10, 1_700_000_000.123)]
    assert rows == sorted(rows)
    assert parse_due(rows[-1]) == (1_700_000_000.123, "id/db/creds/app/x")
