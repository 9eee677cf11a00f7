"""What happened, for those in this process who want to know: a name, where, and facts that hold no values.

A listener is called in the request's own task, must not block and must not raise; an event is not stored here.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

log = logging.getLogger("broker.events")

SECOND_UNWRAP = "wrapping.second_unwrap"
"""A wrapping token was shown again after it was used: somebody else may have read what it held."""


@dataclass(frozen=True, slots=True)
class Event:
    """``namespace`` is the path of the tenant it happened in; ``facts`` are paths, accessors and times."""

    name: str
    namespace: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


Listener = Callable[[Event], None]


class Events:
    """The listeners of one worker."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` for every event from now on. Returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def emit(self, event: Event) -> None:
        """Log an event and tell it to every listener; one that fails is logged and does not stop the others."""
        log.warning("%s namespace=%s %s", event.name, event.namespace or "root", _written(event.facts))
        for listener in tuple(self._listeners):
            try:
                listener(event)
            except Exception:
                log.exception("events.listener_failed event=%s", event.name)


def _written(facts: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={value!r}" for key, value in facts.items())
