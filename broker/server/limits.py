"""What a listener allows a client, in the numbers a connection works with."""

from dataclasses import dataclass

from broker.server.settings import ListenerConfig

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds and bytes. A time of 0 in the file means no limit, except while a request's head is awaited."""

    listener: ListenerConfig
    head_seconds: float
    body_seconds: float
    idle_seconds: float
    write_seconds: float
    request_line: int = 16 * 1024
    header_count: int = 200
    header_size: int = 16 * 1024

    @classmethod
    def of(cls, listener: ListenerConfig) -> "Limits":
        """The limits of one ``listener`` stanza. As in the field, an idle time of 0 falls back to the read times."""
        head = listener.http_read_header_timeout.total_seconds() or 10.0
        body = listener.http_read_timeout.total_seconds()
        idle = listener.http_idle_timeout.total_seconds() or body or head
        return cls(listener, head, body or float("inf"), idle, listener.http_write_timeout.total_seconds())
