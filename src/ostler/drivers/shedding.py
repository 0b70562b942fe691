"""Who has waited too long for a worker is told so: 503 with Retry-After, instead of an answer that nobody waits for.

A request waits from the moment at which all of it was here: its last bytes' time in the kernel counts (TCP_INFO, of TCP
on Linux), and what a trusted proxy says of the time before (X-Request-Start). What a client takes to send it does not.
Requests that are pipelined behind another wait since that one was answered.

    came      bytes were read: since when they have been here
    queued    a request is complete: since when it waits
    is_due    its turn has come: too late?
    sweep     whose turn does not come

Rules for editing: made only with `queue_timeout`; without it no request pays for any of this. Whoever took a client
from the queue may shed it, in whatever thread that is.
"""

import contextlib
import logging
import math
import time
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import unquote_to_bytes

from ostler import real
from ostler.app.environ import Environ, EnvironTemplate
from ostler.drivers.client import Client
from ostler.drivers.proxy_clock import ProxyClock
from ostler.drivers.ready import Ready
from ostler.http.encode import error_body
from ostler.http.errors import HttpError
from ostler.http.head import PROTOCOLS
from ostler.http.request_start import field_of, queue_time
from ostler.lifecycle import Observer, RequestFinished
from ostler.logline import fields
from ostler.observe.pressure import Pressure
from ostler.process.queues import waited_s

_monotonic = time.monotonic
_wall = time.time

_ERROR: Final = HttpError(503)
_STATUS: Final = f"{_ERROR.status} {_ERROR.reason}"
_BODY: Final = error_body(_ERROR)
_SWEEP_S: Final = 0.05
_NEGLIGIBLE_S: Final = 0.02
_AT_ONCE: Final = 64
"""A crowd that is late at once is answered in several turns: others are to be heard between."""
_COMPLAIN_S: Final = 60.0
_CAUSE: Final = "more comes than the workers can do"
_CURE: Final = "more workers or threads (workers_max adds workers by itself), or find what keeps them busy"


class Shedding:
    """Of one worker."""

    def __init__(  # noqa: PLR0913  one place makes it, by name
        self,
        *,
        timeout_s: float,
        spared: Sequence[str],
        template: EnvironTemplate,
        observers: Sequence[Observer],
        pressure: Pressure,
        count: Callable[[], object],
        log: logging.Logger,
    ) -> None:
        """spared: paths, as in a request line, whose requests wait for as long as it takes, with a slash at their end
        or without. count: is called for each request that is shed.
        """
        self.timeout_s = timeout_s
        paths = {unquote_to_bytes(path.partition("?")[0]) for path in spared}
        self._spared = paths | {path.removesuffix(b"/") for path in paths} | {path + b"/" for path in paths}
        self._template = template
        self._observers = tuple(observers)
        self._pressure = pressure
        self._count = count
        self._log = log
        self._fields = [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Retry-After", str(max(1, math.ceil(timeout_s)))),
        ]
        self._proxy_clock = ProxyClock()
        self._turn = self._turn_before = 0.0
        self._next_sweep = 0.0
        self._lock = real.make_lock()
        self._untold = 0
        self._longest_s = 0.0
        self._next_line = float("-inf")

    # -- how long

    def came(self, client: Client, now: float) -> float:
        """Bytes of it were read in the turn that began `now`: since when they have been here."""
        if now != self._turn:
            self._turn_before, self._turn = self._turn, now
        if client.served and now - self._turn_before < _NEGLIGIBLE_S:
            return now  # a turn ago they were not there; asking costs 0.7 µs
        return _monotonic() - waited_s(client.transport.sock)  # calls of the application may lie in this turn

    def queued(self, client: Client, since: float) -> float:
        """Its request is complete, and was as far as we know `since`: since when it has waited."""
        exchange = client.exchange
        assert exchange is not None
        if not client.environ.trusted or (value := field_of(exchange.head.fields)) is None:
            return since
        if exchange.head.body_length:
            return since  # a proxy between may have stamped it, and then waited for a slow client's upload
        wall, fresh = _wall(), _monotonic()
        said_s = queue_time(value, wall)
        if said_s is None:
            return since
        address = client.peer.address
        proxy = address if isinstance(address, str) else address[0]
        # The time in the kernel lies within what the stamp says.
        return min(since, fresh - self._proxy_clock.waited_s(said_s, fresh, wall - fresh, proxy))

    def is_due(self, client: Client) -> bool:
        """Its turn has come, and it has waited too long."""
        return _monotonic() - client.since > self.timeout_s and self._may_be_shed(client)

    def sweep(self, ready: Ready, now: float, shed: Callable[[Client], object]) -> None:
        """In the leader, while requests wait: shed those that have waited too long. `shed` answers and settles."""
        if now < self._next_sweep:
            return
        late = ready.withdraw(now - self.timeout_s, self._may_be_shed, _AT_ONCE)
        self._next_sweep = now if len(late) == _AT_ONCE else now + _SWEEP_S
        for client in late:
            shed(client)

    def _may_be_shed(self, client: Client) -> bool:
        exchange = client.exchange
        assert exchange is not None
        path = exchange.head.path
        return (unquote_to_bytes(path) if "%" in path else path.encode("latin-1", "replace")) not in self._spared

    # -- the answer

    def answer(self, client: Client) -> None:
        """Put the response into its exchange, and tell the access log. The connection stays as after any response."""
        exchange = client.exchange
        assert exchange is not None
        exchange.start(_ERROR.status, _ERROR.reason, self._fields, len(_BODY))
        exchange.write(_BODY)
        exchange.end()
        took_s = _monotonic() - client.since
        head = exchange.head
        if self._observers:
            event = RequestFinished(
                environ=self._environ(client),
                request_fields=head.fields,
                status=_STATUS,
                response_fields=self._fields,
                sent=exchange.body_sent,
                duration_s=took_s,
                method=head.method,
                target=head.target,
                protocol=(head.params or {}).get("SERVER_PROTOCOL") or PROTOCOLS[head.minor],
            )
            for observer in self._observers:
                observer.request_finished(event)
        self._count()
        with self._lock:
            self._pressure.count_shed()
            self._untold += 1
            self._longest_s = max(self._longest_s, took_s)
        self.tell(_monotonic())

    def _environ(self, client: Client) -> Environ:
        exchange = client.exchange
        assert exchange is not None
        with contextlib.suppress(HttpError):
            return self._template.build(client.environ, exchange.head)
        return {}

    def tell(self, now: float) -> None:
        """About once a second, and at the first one: one line for all that were shed, once a minute."""
        if now < self._next_line or not self._untold:
            return
        with self._lock:
            self._next_line = now + _COMPLAIN_S
            shed, self._untold = self._untold, 0
            longest_s, self._longest_s = self._longest_s, 0.0
        text = "requests shed, they waited longer than queue_timeout"
        said = {"shed": shed, "waited_s": round(longest_s, 2), "queue_timeout": self.timeout_s}
        self._log.warning("%s", fields(text, **said, cause=_CAUSE, cure=_CURE))
