"""Events: told to whoever listens, and nobody's failure is another's."""

from broker.core.events import SECOND_UNWRAP, Event, Events


def test_every_listener_hears_every_event_until_it_stops():
    events, heard, other = Events(), [], []
    stop = events.listen(heard.append)
    events.listen(other.append)
    first, second = Event(SECOND_UNWRAP, "a/", {"accessor": "x"}), Event(SECOND_UNWRAP)
    events.emit(first)
    stop()
    events.emit(second)
    assert (heard, other) == ([first], [first, second])


def test_a_listener_that_fails_is_logged_and_stops_nobody(caplog):
    events, heard = Events(), []

    def fail(event: Event) -> None:
        raise RuntimeError

    events.listen(fail)
    events.listen(heard.append)
    events.emit(Event(SECOND_UNWRAP))
    assert len(heard) == 1
    assert "events.listener_failed" in caplog.text


def test_an_event_is_logged_on_one_line(caplog):
    Events().emit(Event(SECOND_UNWRAP, "", {"creation_path": "a\nb"}))
    assert caplog.messages == [r"wrapping.second_unwrap namespace=root creation_path='a\nb'"]
