"""What a connection waits for, in seconds: one table for every worker kind, made of the settings' chapter "Deadlines".

Infinity is no limit. `Patience` is the one rule for whatever a client sends or takes in many pieces.
"""

from dataclasses import dataclass
from math import inf
from typing import Final

from ostler.config.settings import Settings

_GRACE_S: Final = 60.0
"""When nobody says how long a silence may be: so long an average rate is not asked for."""

_THREAD_RATE: Final = 8 * 1024
"""Bytes a second that a body must bring on average while a thread waits for it."""

_LINGER_FACTOR: Final = 15
"""nginx's lingering_time is so many of our silences."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client may take: a silence, an average rate, and all in all."""

    silence_s: float = 60.0
    rate: float = 0.0
    """Bytes a second, asked for beyond the first `grace_s`; 0 is any."""
    total_s: float = inf
    grace_s: float = _GRACE_S

    @classmethod
    def of(cls, timeout: float, rate: float, total: float = 0.0) -> "Patience":
        """From settings, whose 0 is no limit."""
        return cls(timeout or inf, rate, total or inf, timeout or _GRACE_S)

    def deadline(self, began: float, moved: int, now: float) -> float:
        """When it is over, for a client that has moved `moved` bytes since `began`, the last of them `now`."""
        end = now + self.silence_s
        if self.rate:
            end = min(end, began + self.grace_s + moved / self.rate)
        return min(end, began + self.total_s)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """`head_s` is for the whole head; `greeting_s` for what comes before HTTP."""

    keep_alive_s: float
    greeting_s: float = 10.0
    head_s: float = 30.0
    body: Patience = Patience()
    streamed_body: Patience = Patience(rate=_THREAD_RATE)
    """While a thread waits: on the clock of its waiting."""
    write: Patience = Patience()
    linger_s: float = 2.0
    """After the last response: how long a silent client's unread bytes are still waited for (RFC 9112 9.6)."""
    linger_total_s: float = 30.0
    farewell_s: float = 1.0
    """When the server stops: how long an idle keep-alive connection may still bring a request that is on its way."""
    tied_farewell_s: float = 15.0
    """The same when this worker retires, for a connection that no sibling can take over (TLS), or none does now."""

    beat_s: float = 1.0
    """The longest a thread that is alive may go without a heartbeat."""

    @classmethod
    def of(cls, settings: Settings) -> "Timeouts":
        """The table for these settings."""
        rate = settings.body_min_rate
        total = settings.body_total_timeout
        return cls(
            keep_alive_s=float(settings.keepalive),
            greeting_s=settings.handshake_timeout or inf,
            head_s=settings.header_timeout or inf,
            body=Patience.of(settings.body_timeout, rate, total),
            streamed_body=Patience.of(settings.body_timeout, max(rate, _THREAD_RATE) if rate else 0, total),
            write=Patience.of(settings.write_timeout, settings.write_min_rate),
            linger_s=settings.lingering_timeout,
            linger_total_s=settings.lingering_timeout * _LINGER_FACTOR,
            tied_farewell_s=max(1.0, settings.graceful_timeout / 2),
            beat_s=min(1.0, settings.timeout / 4) if settings.timeout else 1.0,
        )
