"""The benchmark's own arithmetic: what it prints is what was measured."""

from __future__ import annotations

import pytest

from contrib.bench import leases
from contrib.bench.load import SCENARIOS, Result
from contrib.bench.openloop import _complete, _quantiles
from contrib.bench.publish import PAGE, publish
from contrib.bench.run import REQUIRED, table


def test_the_table_shows_every_load_and_the_ratio():
    slow = {name: Result(1000, 1.0, 2.0, 3.0, 10) for name in SCENARIOS}
    fast = {name: Result(5500, 0.1, 0.2, 0.3, 55) for name in SCENARIOS}
    lines = table({"peer": slow, "ours": fast}).splitlines()
    assert len(lines) == 2 + 2 * len(SCENARIOS)
    assert [line.split("|")[-2].strip() for line in lines[3::2]] == [
        f"5.5x (wanted {REQUIRED[n]}x)" for n in SCENARIOS
    ]


@pytest.mark.parametrize(
    ("raw", "whole"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Le", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{", False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", True),
    ],
)
def test_an_answer_counts_when_it_is_whole(raw, whole):
    assert _complete(raw) is whole


def test_quantiles_are_values_that_were_measured():
    found = _quantiles([n / 1000 for n in range(1, 101)])
    assert found == {"p50": 51.0, "p90": 91.0, "p99": 100.0, "p99.9": 100.0, "max": 100.0}


def test_a_result_replaces_the_last_one_on_the_page(tmp_path):
    page = tmp_path / "performance.md"
    page.write_text("before\n<!-- open: begin -->\nold\n<!-- open: end -->\nafter\n")
    publish("open", "| new |", page)
    publish("open", "| newer |", page)
    text = page.read_text()
    assert "| newer |" in text
    assert "old" not in text
    assert "| new |" not in text
    assert text.startswith("before")
    assert text.endswith("after\n")
    with pytest.raises(KeyError):
        publish("closed", "x", page)


@pytest.mark.parametrize("name", ["closed", "open", "million", "leases", "live"])
def test_the_page_has_a_place_for_every_benchmark(name):
    assert f"<!-- {name}: begin -->" in PAGE.read_text()
    assert f"<!-- {name}: end -->" in PAGE.read_text()


def test_the_table_of_leases_compares_ours_with_the_peer():
    rows = {
        name: leases.Row(100, rate, 80, 80 / rate, rate, rate / 2, 50)
        for name, rate in (("peer", 10), ("ours", 40))
    }
    peer, ours = leases.table(rows).splitlines()[2:]
    assert peer == "| peer | 100 | 10 | 80 | 8.0 | 10 | 10 | 5 | 50% | 50 |"
    assert ours == "| ours | 100 | 40 (4.0x) | 80 | 2.0 | 40 (4.0x) | 40 (4.0x) | 20 (4.0x) | 50% | 50 |"
