"""With groups of custodians, a seal status tells per group what is missing."""

import pytest

from broker.cli.sealstatus import progress_rows, status_rows

SECURITY = {"name": "security", "threshold": 3, "count": 5}
OPERATIONS = {"name": "operations", "threshold": 2, "count": 3}
BOARD = {"name": "board", "threshold": 1, "count": 1}


def rows(*given: int, wanted: int = 2, groups=(SECURITY, OPERATIONS, BOARD)) -> dict[str, str]:
    listed = [group | {"progress": number} for group, number in zip(groups, given, strict=True)]
    status = {"t": 3, "progress": sum(given), "group_threshold": wanted, "groups": listed}
    return dict(progress_rows(status, "Unseal Progress", 3))


@pytest.mark.parametrize(
    ("given", "wanted", "done", "missing"),
    [
        (
            (0, 0, 0),
            2,
            "0/2 groups",
            "2 groups of: security (3 shares), operations (2 shares), board (1 share)",
        ),
        ((3, 0, 0), 2, "1/2 groups", "1 group of: operations (2 shares), board (1 share)"),
        (
            (2, 1, 0),
            2,
            "0/2 groups",
            "2 groups of: security (1 share), operations (1 share), board (1 share)",
        ),
        ((3, 0, 0), 3, "1/3 groups", "operations (2 shares), board (1 share)"),
        ((3, 2, 0), 3, "2/3 groups", "board (1 share)"),
    ],
)
def test_what_is_missing_is_told_by_group(given, wanted, done, missing):
    told = rows(*given, wanted=wanted)
    assert told["Unseal Progress"] == done
    assert told["Missing"] == missing
    assert told["  security"] == f"{given[0]}/3"


def test_nothing_is_missing_once_enough_groups_are_there():
    assert "Missing" not in rows(0, 2, 1)


def test_a_group_without_a_name_is_told_by_its_number():
    assert rows(0, 0, groups=(SECURITY, OPERATIONS | {"name": ""}))["  group 2"] == "0/2"


def test_without_groups_shares_are_counted_as_ever():
    assert progress_rows({"progress": 1}, "Unseal Progress", 3) == [("Unseal Progress", "1/3")]


def test_a_store_that_was_put_back_is_told_with_the_way_out():
    told = dict(status_rows({"sealed": True, "rollback_detected": True}, {}))
    assert "-accept-rollback" in told["Older Copy of the Store"]
    assert "Older Copy of the Store" not in dict(status_rows({"sealed": True}, {}))
