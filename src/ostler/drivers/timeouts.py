"""What a connection waits for, in seconds: one table for every worker kind.

`keepalive` is a setting; the other deadlines are nginx's defaults where nginx has one (client_header_timeout,
client_body_timeout, send_timeout, lingering_timeout) and fixed in this version.
"""

from dataclasses import dataclass

from ostler.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `head_s` is for the whole head, `body_s` and `write_s` between two signs of progress."""

    keep_alive_s: float
    head_s: float = 30.0
    body_s: float = 60.0
    body_rate: float = 8 * 1024
    """Bytes a second that a body must bring on average, beyond the first `body_s`, while a thread waits for it."""
    write_s: float = 60.0
    linger_s: float = 2.0
    """After the last response: how long a client's unread bytes are still taken off its hands (RFC 9112 9.6)."""
    farewell_s: float = 1.0
    """When the server stops: how long an idle keep-alive connection may still bring a request that is on its way."""

    beat_s: float = 1.0
    """The longest a thread that is alive may go without a heartbeat."""

    @classmethod
    def of(cls, settings: Settings) -> "Timeouts":
        """The table for these settings."""
        beat_s = min(1.0, settings.timeout / 4) if settings.timeout else 1.0
        return cls(keep_alive_s=float(settings.keepalive), beat_s=beat_s)
