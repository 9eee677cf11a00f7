"""A store remembers which versions have run on it."""

from __future__ import annotations

import broker


def test_the_running_version_is_in_the_history_and_stays_through_a_restart(node):
    server = node()
    found = server.data("LIST", "sys/version-history")
    assert found["keys"] == [broker.__version__]
    assert found["key_info"][broker.__version__]["previous_version"] is None
    server.restart()
    assert server.data("LIST", "sys/version-history") == found


def test_the_history_is_not_for_strangers(api):
    assert api.ask("LIST", "sys/version-history", token="").status == 403
