"""Settled data: a mapping like any other, and what is made of it is made once."""

from broker.core.jsontext import encode
from broker.plugin import Settled


def test_it_is_the_mapping_it_was_made_of():
    data = {"a": 1, "b": {"c": [1, 2]}}
    assert Settled(data) == data
    assert encode(Settled(data)) == encode(data)


def test_what_is_asked_for_again_is_made_twice_at_most():
    made = []

    def make(data):
        made.append(data)
        return b"%d" % len(made)

    settled = Settled({"a": 1})
    assert [settled.once("x", make) for _ in range(5)] == [b"1", b"2", b"2", b"2", b"2"]
    assert settled.once("y", make) == b"3"
    assert all(given is settled for given in made)
