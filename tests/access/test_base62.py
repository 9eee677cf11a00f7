"""Ids are of the length that was asked for, and every character is as likely as any other."""

from collections import Counter

import pytest

from broker.access.base62 import ALPHABET, base62


@pytest.mark.parametrize("length", [0, 1, 24, 26, 1000])
def test_it_is_as_long_as_asked(length):
    text = base62(length)
    assert len(text) == length
    assert set(text) <= set(ALPHABET)


def test_every_character_is_as_likely_as_any_other():
    count = 62_000
    found = Counter(base62(count))
    assert set(found) == set(ALPHABET)
    # 62 counts around 1,000 with a deviation of 31 each: seven of them is not seen in a lifetime of runs.
    assert all(abs(found[letter] - count / 62) < 7 * 31.5 for letter in ALPHABET)
