"""Places of writers: one for each, seen by all processes, given back by those that are gone."""

import os

from broker.server.writertable import PLACES, WriterTable

LOG, OTHER_LOG = b"sixteen bytes...", b"another sixteen."
ONE, TWO = "00000000000000a1", "00000000000000b2"


def in_child(work):
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def test_each_sees_the_others_of_its_log():
    table = WriterTable()
    one, two = table.claim(), table.claim()
    table.note(one, LOG, ONE, 5)
    assert table.others(two, LOG) == {ONE: 5}
    assert table.others(one, LOG) == table.others(two, OTHER_LOG) == {}
    table.note(two, LOG, TWO, 2**40)
    assert table.others(one, LOG) == {TWO: 2**40}
    table.withdraw(two)
    assert table.others(one, LOG) == {}
    table.release(one)
    assert table.others(two, LOG) == {}
    assert table.claim() == one


def test_a_process_that_ended_is_named_until_its_place_is_taken():
    table = WriterTable()
    mine = table.claim()
    in_child(lambda: table.note(table.claim(), LOG, ONE, 7))
    assert table.others(mine, LOG) == {ONE: 7}
    table.claim()
    assert table.others(mine, LOG) == {}


def test_a_full_table_has_no_place():
    table = WriterTable(places=2)
    assert None not in (table.claim(), table.claim())
    assert table.claim() is None
    assert table.others(None, LOG) == {}
    assert PLACES >= 4 * 128  # of each of a node's workers, several devices
